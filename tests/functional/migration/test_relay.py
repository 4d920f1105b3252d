"""The next link is copied while the flow stores that the last one is done."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import pytest

from cinder_ext.db import migration_actions, transition, volume_migrations
from cinder_ext.drivers import values
from cinder_ext.drivers.file import FileDriver
from cinder_ext.states import migration as states
from cinder_ext.volume.migration import flow, journey

MIB = values.MIB
ENDED = ('copy-link-0000', 'SUCCESS')


class SlowToFreeze(FileDriver):
    """Takes its second snapshot between its removal and that of the volume, if it can.

    :ivar seconds: how long it waits for the removal, which must not come
    """

    seconds = 1.0

    def __init__(self, settings):
        super().__init__(settings)
        self.taken = []
        self.is_asked, self.is_removed, self.is_taken = (threading.Event() for _ in range(3))

    def create_snapshot(self, snapshot):
        self.taken.append(snapshot.name_id)
        if len(self.taken) == 2:
            self.is_asked.set()
            self.is_removed.wait(self.seconds)
        location = super().create_snapshot(snapshot)
        if len(self.taken) == 2:
            self.is_taken.set()
        return location

    def delete_snapshot(self, snapshot):
        super().delete_snapshot(snapshot)
        if snapshot.name_id == self.taken[1]:
            self.is_removed.set()

    def delete_volume(self, volume):
        self.is_taken.wait(self.seconds)
        super().delete_volume(volume)


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


def when_frozen_early(cloud, do=lambda record: None):
    """Hold the end of the first step until the second link is frozen, then do something."""
    def hold(_flow, step, state):
        if (step, state) != ENDED or cloud.steps:
            return
        record = volume_migrations.get(cloud.context, cloud.migrating)
        deadline = time.monotonic() + 20
        while volume_migrations.links(cloud.context, record.id)[1].sealed_at is None:
            assert time.monotonic() < deadline, 'the next link is not begun'
            time.sleep(0.01)
        cloud.steps.append(ENDED)
        do(record)

    cloud.engine._watchers = (hold,)


def migrate(cloud, volume_id):
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    cloud.migrating = record.id
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    cloud.endpoints['alpha'].run_migration(cloud.context, record.id)
    return cloud.wait(record.id)


def test_link_is_copied_before_its_step(reflink_cloud, chain):
    volume_id = chain(reflink_cloud)
    contents = reflink_cloud.contents(volume_id)
    when_frozen_early(reflink_cloud)
    record = migrate(reflink_cloud, volume_id)
    assert reflink_cloud.steps == [ENDED]
    assert record.phase == 'finished', record.as_dict()
    assert reflink_cloud.contents(volume_id) == contents


def test_link_whose_step_never_began_is_removed_with_the_others(reflink_cloud, chain):
    """Called off when the flow knows of one link and two are frozen."""
    volume_id = chain(reflink_cloud)
    contents = reflink_cloud.contents(volume_id)
    when_frozen_early(reflink_cloud,
                      lambda record: migration_actions.cancel(reflink_cloud.context, record.id))
    record = migrate(reflink_cloud, volume_id)
    assert reflink_cloud.steps == [ENDED]
    assert record.phase == 'cancelled', record.as_dict()
    assert reflink_cloud.files('beta') == []
    assert reflink_cloud.contents(volume_id) == contents


def test_link_that_is_being_frozen_is_waited_for_before_it_is_removed(reflink_cloud_of, chain):
    cloud = reflink_cloud_of(beta=SlowToFreeze)
    volume_id = chain(cloud)

    def cancel(_flow, step, state):
        if (step, state) == ENDED:
            assert cloud.drivers['beta'].is_asked.wait(20), 'the next link is not begun'
            migration_actions.cancel(cloud.context, cloud.migrating)

    cloud.engine._watchers = (cancel,)
    record = migrate(cloud, volume_id)
    assert record.phase == 'cancelled', record.as_dict()
    assert cloud.files('beta') == []


def test_fault_of_a_later_step_removes_it_too(reflink_cloud, chain):
    """By the flow's own reverting, when the head cannot be read any more."""
    volume_id = chain(reflink_cloud)
    contents = reflink_cloud.contents(volume_id)

    def lose(_record):
        (reflink_cloud.directory / 'alpha' / 'volumes').rename(reflink_cloud.directory / 'away')

    when_frozen_early(reflink_cloud, lose)
    record = migrate(reflink_cloud, volume_id)
    (reflink_cloud.directory / 'away').rename(reflink_cloud.directory / 'alpha' / 'volumes')
    assert record.phase == 'failed', record.as_dict()
    assert reflink_cloud.files('beta') == []
    assert reflink_cloud.contents(volume_id) == contents


def test_work_that_is_let_go_copies_no_more(reflink_cloud, chain):
    """Whoever takes it up finds what was stored, and ends it."""
    volume_id = chain(reflink_cloud)
    contents = reflink_cloud.contents(volume_id)
    record = volume_migrations.start(reflink_cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    transition.move(reflink_cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    work = reflink_cloud.work(record.id)
    work.obey()
    journey.prepare(work)
    for step, _ in list(flow.move(work).iter_nodes())[:3]:
        step.execute()
    work.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('next-link')]
    stood = [row.position for row in work.rows()]
    time.sleep(0.1)
    assert [row.position for row in work.rows()] == stood
    reflink_cloud.endpoints['alpha'].run_migration(reflink_cloud.context, record.id)
    assert reflink_cloud.wait(record.id).phase == 'finished'
    assert reflink_cloud.contents(volume_id) == contents
