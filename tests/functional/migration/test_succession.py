"""What a process that was succeeded may still do, and a reset after the commit: nothing."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    lease,
    migration_copies,
    transition,
    volume_migrations,
    volume_requests,
    volumes,
)
from cinder_ext.drivers import values
from cinder_ext.states import migration as states
from cinder_ext.volume import engine
from cinder_ext.volume.migration import flow, journey

MIB = values.MIB


@pytest.fixture
def volume_id(cloud, noise):
    made = cloud.volume(1)
    cloud.write(made, 0, noise(12 * MIB))
    cloud.snapshot(made)
    cloud.write(made, 3 * MIB, noise(2 * MIB))
    return made


def reset(cloud, volume_id):
    volume_requests.reset_status(cloud.context, volume_id, 'available', {'migration_status': None})


def test_reset_after_the_commit_undoes_nothing(cloud, volume_id):
    def interfere(_flow, name, state):
        if (name, state) == ('begin-tidy', 'RUNNING'):
            reset(cloud, volume_id)

    cloud.engine._watchers = (interfere,)
    assert cloud.record(cloud.migrate(volume_id)).phase == 'finished'
    assert volumes.get(cloud.context, volume_id).host == 'host@beta#beta'


def planned(cloud, volume_id):
    """A migration that nobody works on yet: work.Work."""
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    return cloud.work(record.id)


def test_process_that_was_succeeded_stores_and_undoes_nothing(cloud, volume_id):
    """It was stopped for a while, say, and its successor is at work."""
    work = planned(cloud, volume_id)
    journey.prepare(work)
    steps = [step for step, _ in flow.move(work).iter_nodes()]
    for step in steps[:2]:
        step.execute()
    lease.take(cloud.context, *lease.standings(cloud.context, [work.id]), 'a successor', False)
    lease.release(cloud.context, lease.Fence(work.id, work.attempt + 1))

    for step in steps:
        with pytest.raises(engine.Parked):
            step.execute()
        with pytest.raises(engine.Parked):
            step.revert({})
    with pytest.raises(exceptions.RecordLost):
        migration_copies.store(cloud.context, work.id, [
            migration_copies.Checkpoint(0, [], {'position': 1}, {})], work.attempt)
    with pytest.raises(exceptions.TransitionRefused):
        volume_migrations.swap(cloud.context, work.id, work.attempt)

    assert cloud.record(work.id).phase == 'copying'
    assert volume_migrations.links(cloud.context, work.id)[0].position == 0
    cloud.endpoints['alpha'].resume()
    assert cloud.wait(work.id).phase == 'finished'
