"""The service dies while a server swaps its volume: no acknowledged write is missing.

One volume goes to and fro between two backends, under a guest that writes all the time; in each
test the service is killed at another point of the way.  The compute service lives on and asks
again, as Nova's client does.
"""
# SPDX-License-Identifier: Apache-2.0

import time

import compute_service
import guest_disk
import pytest
import requests

MIB = 1024 ** 2
OTHER = {'alpha': 'beta', 'beta': 'alpha'}


class Way:
    """A volume with a snapshot, on its way to and fro, and the server that uses it."""

    def __init__(self, directory, kind):
        self.service = kind(directory / 'state')
        self.compute = compute_service.ComputeService(directory, self.service.api.endpoint)
        self.compute.__enter__()
        self.service.options = {
            **self.service.options, 'nova': {'endpoint_override': self.compute.url},
            'DEFAULT': {'sweep_interval': 1}}
        self.service.options['migration'] = {'checkpoint_mib': 4, 'swap_report_timeout': 3}
        self.api, self.is_whole = self.service.api, True
        self.service.begin()
        self.service.create_types()
        self.volume_id = self.api.create_volume(1, volume_type='alpha', name='a volume')['id']
        with open(self.service.path('alpha', 'volume', self.volume_id), 'r+b') as stream:
            stream.seek(32 * MIB)
            stream.write(b'old' * MIB)
        self.api.create_snapshot(self.volume_id, 'first')
        self.server = self.compute.boot()
        self.disk = self.compute.attach(self.server, self.volume_id)
        self.guest = guest_disk.Writer(self.disk)
        self.place = 'alpha'

    def close(self):
        self.guest.stop()
        self.service.kill()
        self.compute.__exit__()

    def reborn(self):
        """Kill the service and start it again."""
        self.service.kill()
        self.service.begin()

    def migrate(self, kill_at=''):
        """Go to the other backend, in a service that may kill itself; returns when it has ended."""
        service, self.is_whole = self.service, False
        if kill_at:
            service.kill()
            service.begin(kill_at)
        before = self.api.latest_migration(self.volume_id)
        self.api.retype(self.volume_id, OTHER[self.place])

        def is_over():
            try:
                record = self.api.latest_migration(self.volume_id)
            except requests.RequestException:
                return False
            return record['id'] != (before or {}).get('id') and record['phase'] in (
                'finished', 'failed')
        if kill_at:
            assert service.dies(is_over), f'{kill_at} was not reached'
            service.begin()
        deadline = time.monotonic() + 90
        while not is_over():
            assert time.monotonic() < deadline, service.log_tail(40)
            time.sleep(0.05)
        return self.api.latest_migration(self.volume_id)

    def has_arrived(self, record):
        """All is at the destination and nowhere else, and the guest has never noticed."""
        source, self.place = self.place, OTHER[self.place]
        assert record['phase'] == 'finished', record['error']
        assert record['leftovers'] == []
        self.compute.settle()
        self.guest.goes_on(50)
        volume = self.api.volume(self.volume_id)
        assert (volume['status'], volume['migration_status']) == ('in-use', 'success')
        assert volume['os-vol-host-attr:host'] == f'host@{self.place}#{self.place}'
        attachment, = volume['attachments']
        listed, = self.api.get('/attachments')['attachments']
        assert listed['id'] == attachment['attachment_id']
        assert self.service.files(source) == []
        assert len(self.service.files(self.place)) == 2
        assert f'/{self.place}/' in self.disk.path
        assert self.guest.missing(self.disk.path) == []
        assert [each['id'] for each in self.api.get('/volumes?all_tenants=1')['volumes']] == [
            self.volume_id]
        self.is_whole = True
        return attachment['attachment_id']

    def server_agrees(self, attachment_id):
        """The compute service has the same attachment."""
        assert self.compute.answers['completion'] == {'save_volume_id': self.volume_id}
        assert self.server.devices[self.volume_id]['attachment_id'] == attachment_id


@pytest.fixture(scope='module')
def ways(tmp_path_factory, killable):
    """The way that the tests of this module share; a new one after one that went wrong."""
    made = []

    def way():
        if not made or not made[-1].is_whole:
            made.append(Way(tmp_path_factory.mktemp('way'), killable))
        way_ = made[-1]
        way_.compute.hooks.clear()
        way_.compute.answers.clear()
        return way_

    yield way
    for each in made:
        each.close()


@pytest.mark.parametrize('point', ['requested', 'created', 'connected', 'ready', 'pivoted',
                                   'completed', 'detached'])
def test_killed_when_the_compute_service_has_come_to(ways, point):
    way = ways()
    way.compute.hooks[point] = lambda: (way.compute.hooks.clear(), way.reborn())
    record = way.migrate()
    way.server_agrees(way.has_arrived(record))
    assert record['attempt'] >= 2


@pytest.mark.parametrize('kill_at', [
    'step:swap-server:RUNNING', 'phased:swapping', 'within:swap',
    'phased:committed', 'step:release-source:RUNNING'],
    ids=lambda word: word.replace(':', '-'))
def test_killed_at_its_own(ways, kill_at):
    way = ways()
    way.server_agrees(way.has_arrived(way.migrate(kill_at)))
