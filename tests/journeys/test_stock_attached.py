"""An attached volume that a client of the last upstream version migrates is what it expects of it.

The stock ``openstack`` command starts it; the server's guest writes all the time.
"""
# SPDX-License-Identifier: Apache-2.0

import compute_service
import embedded
import guest_disk
import osc_commands
import pytest
from stock import STOCK, Stock, assert_only_known_words_came

HOSTS = ['host@alpha#alpha', 'host@beta#beta']


@pytest.fixture(scope='module')
def running(tmp_path_factory):
    """(the service, the compute service)"""
    directory = tmp_path_factory.mktemp('attached')
    service = embedded.EmbeddedService(directory / 'state', options={
        'DEFAULT': {'sweep_interval': 1}})
    with compute_service.ComputeService(directory, service.api.endpoint) as compute:
        service.options['nova'] = {'endpoint_override': compute.url}
        service.start()
        try:
            service.create_types()
            service.api.create_type('anywhere', {'vendor_name': 'cinder_ext'})
            yield service, compute
        finally:
            service.stop()


@pytest.fixture(scope='module')
def openstack(running):
    made = osc_commands.Openstack(running[0].client_environment(),
                                  ['--os-volume-api-version', STOCK])
    yield made
    made.close()


class Attached:
    """A volume in use, what a stock client sees of it, and the guest that writes to it."""

    def __init__(self, running, volume_type, name):
        self.service, self.compute = running
        made = self.service.api.create_volume(1, volume_type=volume_type, name=name)
        self.start = made['os-vol-host-attr:host']
        self.there, = set(HOSTS) - {self.start}
        self.server = self.compute.boot()
        self.disk = self.compute.attach(self.server, made['id'])
        self.guest = guest_disk.Writer(self.disk)
        self.guest.goes_on(50)
        self.volume = Stock(self.service, made['id'])

    def has_moved(self, statuses):
        self.volume.until('success', 'error')
        self.compute.settle()
        self.volume.look()
        assert_only_known_words_came(self.volume, changes=('attachments',))
        assert self.volume.history('status') == statuses
        assert self.volume.history('os-vol-host-attr:host') == [self.start, self.there]
        servers = {attachment['server_id'] for look, _ in self.volume.seen
                   for attachment in look['attachments']}
        assert servers == {self.server.id}
        before, after = (self.volume.seen[each][0]['attachments'][0]['attachment_id']
                         for each in (0, -1))
        assert before != after
        assert self.server.devices[self.volume.id]['attachment_id'] == after
        self.guest.goes_on(50)
        assert self.guest.missing(self.disk.path) == []

    def close(self):
        self.guest.stop()
        self.disk.close()


@pytest.fixture
def attached(running):
    made = []

    def make(volume_type, name):
        made.append(Attached(running, volume_type, name))
        return made[-1]
    yield make
    for each in made:
        each.close()


def test_retype_on_demand_of_a_volume_in_use(openstack, attached):
    moving = attached('alpha', 'busy')
    openstack.do('volume set --type beta --retype-policy on-demand busy')
    moving.has_moved(['in-use', 'retyping', 'in-use'])
    assert moving.volume.history('volume_type') == ['alpha', 'beta']
    assert openstack('volume show busy')['status'] == 'in-use'


def test_migrate_a_volume_in_use_to_a_host(openstack, attached):
    moving = attached('anywhere', 'busy-too')
    openstack.do(f'volume migrate --host {moving.there} busy-too')
    moving.has_moved(['in-use'])


def test_server_that_cannot_swap_keeps_its_volume(attached):
    staying = attached('alpha', 'asleep')
    staying.server.vm_state = 'suspended'
    before = staying.volume.look()
    answer = staying.volume.act('os-retype', {'new_type': 'beta', 'migration_policy': 'on-demand'})
    assert (answer.status_code, answer.content) == (202, b'')
    staying.volume.until('error')
    after = staying.volume.look()
    assert staying.volume.history('status') == ['in-use', 'retyping', 'in-use']
    kept = ('status', 'attachments', 'volume_type', 'os-vol-host-attr:host')
    assert [after[key] for key in kept] == [before[key] for key in kept]
