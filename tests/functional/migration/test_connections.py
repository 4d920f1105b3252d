"""How often the destination's volume is connected while a chain is written to it."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.file import FileDriver

MIB = values.MIB


class Told(FileDriver):
    """Keeps what it was asked of the volume, in order; refuses what it is told to refuse."""

    def __init__(self, settings):
        super().__init__(settings)
        self.asked, self.refused = [], set()

    def _note(self, word):
        self.asked.append(word)
        if word in self.refused:
            raise exceptions.BackendDown(reason='it is told to refuse')

    def connect_volume(self, volume, connector):
        self._note('connect')
        return super().connect_volume(volume, connector)

    def disconnect_volume(self, volume, connector):
        self._note('disconnect')
        super().disconnect_volume(volume, connector)

    def extend_volume(self, volume, size_bytes):
        self._note('extend')
        super().extend_volume(volume, size_bytes)

    def create_snapshot(self, snapshot):
        self._note('freeze')
        super().create_snapshot(snapshot)

    def delete_volume(self, volume):
        self._note('delete')
        super().delete_volume(volume)


class ToldEachTime(Told):
    """Its volume is reached in another way after a snapshot."""

    connections_outlive_snapshots = False


@pytest.fixture
def chain(noise):
    """Two snapshots of 1 GiB; a third and the head of 2 GiB."""
    def fill(cloud):
        volume_id = cloud.volume(1)
        for offset in range(2):
            cloud.write(volume_id, offset * MIB, noise(2 * MIB))
            cloud.snapshot(volume_id)
        cloud.extend(volume_id, 2)
        cloud.write(volume_id, 1500 * MIB, noise(MIB))
        cloud.snapshot(volume_id)
        cloud.write(volume_id, 3 * MIB, noise(MIB))
        return volume_id
    return fill


@pytest.mark.parametrize(('kind', 'expected'), [
    (Told, 'connect freeze freeze disconnect extend connect freeze disconnect'),
    (ToldEachTime, 'connect disconnect freeze connect disconnect freeze extend '
                   'connect disconnect freeze connect disconnect')], ids=['kept', 'each-time'])
def test_volume_is_connected_once_for_each_size_where_that_outlives_a_snapshot(
        cloud_of, chain, kind, expected):
    cloud = cloud_of(beta=kind)
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)

    record = cloud.record(cloud.migrate(volume_id, verify='off'))

    assert record.phase == 'finished', record.error
    assert cloud.contents(volume_id) == before
    assert cloud.drivers['beta'].asked == expected.split()


def test_volume_that_is_kept_is_let_go_before_it_is_removed(cloud_of, chain):
    cloud = cloud_of(beta=Told)
    volume_id = chain(cloud)
    driver = cloud.drivers['beta']
    driver.refused = {'freeze'}

    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'failed'
    assert driver.asked == ['connect', 'freeze', 'disconnect', 'delete']
    assert cloud.files('beta') == []


def test_volume_that_cannot_be_let_go_is_removed_all_the_same(cloud_of, chain):
    cloud = cloud_of(beta=Told)
    volume_id = chain(cloud)
    driver = cloud.drivers['beta']
    driver.refused = {'freeze', 'disconnect'}

    record = cloud.record(cloud.migrate(volume_id))

    assert (record.phase, record.leftovers) == ('failed', None)
    assert driver.asked == ['connect', 'freeze', 'disconnect', 'delete']
    assert cloud.files('beta') == []


def test_who_stops_between_two_links_lets_go_and_connects_again(cloud_of, chain):
    cloud = cloud_of(beta=Told)
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    tools = cloud.endpoints['alpha']._tools

    def stop(_flow, step, state):
        if (step, state) == ('copy-link-0001', 'RUNNING'):
            tools.stopping.set()

    cloud.engine._watchers = (stop,)
    migration_id = cloud.migrate(volume_id, wait=False)
    cloud.idle(migration_id)
    assert cloud.drivers['beta'].asked == ['connect', 'freeze', 'disconnect']
    assert cloud.record(migration_id).phase == 'copying'
    cloud.engine._watchers = ()
    tools.stopping.clear()
    cloud.endpoints['alpha'].resume()
    record = cloud.wait(migration_id)
    assert record.phase == 'finished', record.error
    assert cloud.contents(volume_id) == before
