"""The copies of the links are one step: what is done of it is in their rows."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.db import migration_actions, transition, volume_migrations
from cinder_ext.drivers import values
from cinder_ext.drivers.file import FileDriver
from cinder_ext.states import migration as states

MIB = values.MIB
ENDED = ('copy-link-0001', 'SUCCESS')


class Told(FileDriver):
    """Tells when it freezes something.

    :ivar on_second: called in the middle of its second snapshot
    """

    def __init__(self, settings):
        super().__init__(settings)
        self.taken = []

    def create_snapshot(self, snapshot):
        self.taken.append(snapshot.name_id)
        if len(self.taken) == 2:
            self.on_second()
        return super().create_snapshot(snapshot)

    create_snapshot_unflushed = create_snapshot


@pytest.fixture
def chain(noise):
    """A volume with two snapshots: three links."""
    def fill(cloud):
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise(3 * MIB))
        for number in range(2):
            cloud.snapshot(volume_id)
            cloud.write(volume_id, number * MIB + 4096, noise(8192))
        return volume_id
    return fill


def when_two_are_frozen(cloud, do):
    """Do something when two links are copied and the third is not begun."""
    def hold(_flow, step, state):
        if (step, state) == ENDED and not cloud.steps:
            cloud.steps.append(ENDED)
            do()

    cloud.engine._watchers = (hold,)


def migrate(cloud, volume_id):
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    cloud.migrating = record.id
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    cloud.endpoints['alpha'].run_migration(cloud.context, record.id)
    return cloud.wait(record.id)


def test_links_that_are_frozen_are_removed_when_it_is_called_off(reflink_cloud, chain):
    volume_id = chain(reflink_cloud)
    contents = reflink_cloud.contents(volume_id)
    when_two_are_frozen(reflink_cloud, lambda: migration_actions.cancel(
        reflink_cloud.context, reflink_cloud.migrating))
    record = migrate(reflink_cloud, volume_id)
    assert reflink_cloud.steps == [ENDED]
    assert record.phase == 'cancelled', record.as_dict()
    assert reflink_cloud.files('beta') == []
    assert reflink_cloud.contents(volume_id) == contents


def test_link_that_is_being_frozen_when_it_is_called_off_is_removed(reflink_cloud_of, chain):
    cloud = reflink_cloud_of(beta=Told)
    cloud.drivers['beta'].on_second = lambda: migration_actions.cancel(
        cloud.context, cloud.migrating)
    record = migrate(cloud, chain(cloud))
    assert len(cloud.drivers['beta'].taken) == 2
    assert record.phase == 'cancelled', record.as_dict()
    assert cloud.files('beta') == []


def test_fault_of_a_later_link_removes_those_before(reflink_cloud, chain):
    """By the flow's own reverting, when the head cannot be read any more."""
    volume_id = chain(reflink_cloud)
    contents = reflink_cloud.contents(volume_id)
    when_two_are_frozen(reflink_cloud, lambda: (
        reflink_cloud.directory / 'alpha' / 'volumes').rename(reflink_cloud.directory / 'away'))
    record = migrate(reflink_cloud, volume_id)
    (reflink_cloud.directory / 'away').rename(reflink_cloud.directory / 'alpha' / 'volumes')
    assert record.phase == 'failed', record.as_dict()
    assert reflink_cloud.files('beta') == []
    assert reflink_cloud.contents(volume_id) == contents


def test_links_that_are_frozen_are_not_copied_again(reflink_cloud_of, chain):
    """Though the flow knows of their step only that it was begun."""
    cloud = reflink_cloud_of(beta=Told)
    cloud.drivers['beta'].on_second = lambda: None
    volume_id = chain(cloud)
    contents = cloud.contents(volume_id)
    tools = cloud.endpoints['alpha']._tools
    when_two_are_frozen(cloud, tools.stopping.set)
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    cloud.endpoints['alpha'].run_migration(cloud.context, record.id)
    cloud.idle(record.id)
    stood = [(row.sealed_at, row.bytes_read) for row in volume_migrations.links(
        cloud.context, record.id)]
    assert [bool(sealed) for sealed, _ in stood] == [True, True, False]
    tools.stopping.clear()
    cloud.endpoints['alpha'].resume()
    assert cloud.wait(record.id).phase == 'finished'
    ended = [(row.sealed_at, row.bytes_read) for row in volume_migrations.links(
        cloud.context, record.id)]
    assert ended[:2] == stood[:2]
    assert len(cloud.drivers['beta'].taken) == 2
    assert cloud.contents(volume_id) == contents
