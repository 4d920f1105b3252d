"""A volume is retyped under its server, and a call of Nova's swap fails.

Whichever way the migration ends, the server has its volume by one attachment and one export, and
its guest has been able to read all the time.
"""
# SPDX-License-Identifier: Apache-2.0

import exporting_service
import nova_player
import nova_sequences
import nova_swaps
import path_reader
import pytest
import requests
import rest

OTHER = {'alpha': 'beta', 'beta': 'alpha'}
KINDS = (nova_sequences.NEVER, nova_sequences.LOST, nova_sequences.TWICE, nova_sequences.KILLED)
FEW = ((5, nova_sequences.LOST), (6, nova_sequences.NEVER), (7, nova_sequences.LOST))


class Way:
    """A volume that a server has, and that goes to and fro between two backends."""

    def __init__(self, directory):
        self.reader = path_reader.PathReader()
        self.nova = nova_swaps.SwappingNova(directory, self.reader)
        self.cloud = exporting_service.ExportingService(directory, ('alpha', 'beta'), {
            'nova': {'endpoint_override': self.nova.url},
            'migration': {'swap_report_timeout': 2, 'swap_timeout': 5}})
        self.nova.speak_by(self.cloud.wire)
        self.api, self.is_whole, self.place = self.cloud.service.api, True, 'alpha'

    def open(self):
        self.reader.__enter__()
        self.nova.__enter__()
        self.cloud.start()
        self.cloud.service.create_types()
        self.volume_id, = self.cloud.take_volumes(1, False)
        self.api.retype(self.volume_id, 'alpha')
        self.api.wait_volume(self.volume_id)

    def close(self):
        self.nova.__exit__()
        self.cloud.service.kill()
        self.reader.__exit__()

    def attach(self):
        self.cloud.wire.plan(None, None)
        self.server = self.nova.boot()
        self.disk = self.nova.attach(self.server, self.volume_id, self.cloud.stamps[self.volume_id])

    def migrate(self, point, kind):
        """Returns the record of the migration when it has ended, and Nova is done."""
        self.is_whole = False
        before = self.api.latest_migration(self.volume_id)
        self.cloud.wire.plan(point, kind)
        self.api.retype(self.volume_id, OTHER[self.place])
        record = rest.wait_for(lambda: self._ended(before), 'the end of the migration', 60, 0.05)
        self.nova.settle()
        assert point is None or self.cloud.wire.hit
        return record

    def _ended(self, before):
        try:
            record = self.api.latest_migration(self.volume_id)
        except requests.RequestException:
            return None
        is_new = record['id'] != (before or {}).get('id')
        return record if is_new and record['phase'] in rest.ENDED_PHASES else None

    def has_one_place(self, record):
        """The guest reads at the volume's place, and no other place is to be reached."""
        assert record['leftovers'] == []
        if record['phase'] == 'finished':
            self.place = OTHER[self.place]
        volume = self.api.volume(self.volume_id)
        assert (volume['status'], volume['os-vol-host-attr:host']) == (
            'in-use', f'host@{self.place}#{self.place}')
        listed, = self.api.get('/attachments/detail')['attachments']
        assert (listed['status'], listed['volume_id']) == ('attached', self.volume_id)
        if self._is_disowned(record):
            self.disk.restart(listed['connection_info']['device_path'])
            assert self.reader.faults
            self.reader.faults.clear()
        assert listed['connection_info']['device_path'] == self.disk.path
        nova_player.settled(lambda: self._exports() == [self.disk.path])
        self.reader.pass_round()
        assert self.reader.faults == []

    def _is_disowned(self, record):
        """Nova has moved the guest, tells nobody, removes what it reads by, and says that it failed.

        That is Nova's own: the server is told so and started again where its mapping leads.
        """
        fault = self.cloud.wire.hit
        return record['phase'] == 'failed' and fault is not None and fault[0] == 'never' and (
            fault[2].endswith('/action') and self.disk.has_moved)

    def _exports(self):
        return [str(path) for path in self.cloud.exports.glob('*/*')]

    def detach(self):
        """The server is deleted; nothing is left."""
        self.reader.clear()
        self.server.devices.clear()
        for each in self.api.get('/attachments')['attachments']:
            self.api.delete(f"/attachments/{each['id']}")
        assert (self._exports(), self.api.volume(self.volume_id)['status']) == ([], 'available')
        self.is_whole = True


@pytest.fixture(scope='module')
def ways(tmp_path_factory):
    """The way that the tests of this module share; a new one after one that went wrong."""
    made = []

    def way():
        if not made or not made[-1].is_whole:
            made.append(Way(tmp_path_factory.mktemp('swap')))
            made[-1].open()
        return made[-1]

    yield way
    for each in made:
        each.close()


def pytest_generate_tests(metafunc):
    if 'point' in metafunc.fixturenames:
        is_long = metafunc.config.getoption('--long')
        cases = [(point, kind) for point in range(len(nova_swaps.CALLS)) for kind in KINDS]
        cases = [(None, None), *(case for case in cases if is_long or case in FEW)]
        metafunc.parametrize(('point', 'kind'), cases, ids=[
            'whole' if point is None else f'{nova_swaps.CALLS[point]}-{kind}'
            for point, kind in cases])


def test_the_guest_reads_throughout_and_one_export_is_left(ways, point, kind):
    way = ways()
    way.attach()
    record = way.migrate(point, kind)
    way.has_one_place(record)
    way.detach()
