"""An administrator resets the status of a migrating volume; a second process takes over."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import transition, volume_migrations, volume_requests, volumes
from cinder_ext.drivers import values
from cinder_ext.states import migration as states
from cinder_ext.volume import engine
from cinder_ext.volume.migration import flow, journey
from cinder_ext.volume.migration import work as works

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


@pytest.mark.parametrize('step', ['own-failure', 'create-target', 'copy-link-0000',
                                  'seal-link-0000', 'copy-link-0001', 'verify-chain',
                                  'swap-records'])
def test_reset_volume_keeps_what_is_written_to_it(cloud, volume_id, step):
    def interfere(_flow, name, state):
        if (name, state) == (step, 'RUNNING'):
            reset(cloud, volume_id)
            cloud.write(volume_id, 40 * MIB, b'acknowledged')

    cloud.engine._watchers = (interfere,)
    record = cloud.record(cloud.migrate(volume_id))

    assert (record.phase, record.leftovers) == ('failed', None)
    assert 'administrator' in record.error
    volume = volumes.get(cloud.context, volume_id)
    assert (volume.host, volume.status) == ('host@alpha#alpha', 'available')
    assert cloud.path(volume_id, 'alpha').read_bytes()[40 * MIB:][:12] == b'acknowledged'
    assert cloud.files('beta') == []
    cloud.engine._watchers = ()
    assert cloud.record(cloud.migrate(volume_id)).phase == 'finished'


@pytest.mark.parametrize('phase', ['scheduling', 'preflight'])
def test_reset_volume_whose_migration_has_no_plan_yet(cloud, volume_id, phase):
    if phase == 'scheduling':
        record = volume_migrations.start(cloud.context, volume_id, {'operation': 'retype'}, 'retype')
        reset(cloud, volume_id)
        assert cloud.record(record.id).phase == 'refused'
    else:
        work = planned(cloud, volume_id)
        reset(cloud, volume_id)
        cloud.endpoints['alpha'].resume()
        assert cloud.wait(work.id).phase == 'failed'
    assert volumes.get(cloud.context, volume_id).status == 'available'
    assert cloud.record(cloud.migrate(volume_id)).phase == 'finished'


def test_reset_after_the_commit_undoes_nothing(cloud, volume_id):
    def interfere(_flow, name, state):
        if (name, state) == ('begin-tidy', 'RUNNING'):
            reset(cloud, volume_id)

    cloud.engine._watchers = (interfere,)
    assert cloud.record(cloud.migrate(volume_id)).phase == 'finished'
    assert volumes.get(cloud.context, volume_id).host == 'host@beta#beta'


def test_end_of_a_migration_that_was_given_up_leaves_the_next_one_locked(cloud, volume_id):
    work = planned(cloud, volume_id)
    reset(cloud, volume_id)
    second = volume_migrations.start(cloud.context, volume_id, {'operation': 'retype'}, 'retype')

    cloud.endpoints['alpha'].resume()

    assert cloud.wait(work.id).phase == 'failed'
    volume = volumes.get(cloud.context, volume_id)
    assert (volume.status, volume.migration_status) == ('retyping', 'starting')
    assert cloud.record(second.id).phase == 'scheduling'


def planned(cloud, volume_id):
    """A migration that nobody works on yet: work.Work."""
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    return works.Work(cloud.endpoints['alpha']._tools, cloud.context, record.id)


def test_process_that_was_succeeded_stores_and_undoes_nothing(cloud, volume_id):
    """It was stopped for a while, say, and its successor is at work."""
    work = planned(cloud, volume_id)
    journey.prepare(work)
    steps = [step for step, _ in flow.move(work).iter_nodes()]
    for step in steps[:2]:
        step.execute()
    volume_migrations.begin_attempt(cloud.context, work.id)

    for step in steps:
        with pytest.raises(engine.Parked):
            step.execute()
        with pytest.raises(engine.Parked):
            step.revert({})
    with pytest.raises(exceptions.RecordLost):
        volume_migrations.checkpoint(cloud.context, work.id, 0, [], {'position': 1}, {},
                                     work.attempt)
    with pytest.raises(exceptions.TransitionRefused):
        volume_migrations.swap(cloud.context, work.id, work.attempt)

    assert cloud.record(work.id).phase == 'copying'
    assert volume_migrations.links(cloud.context, work.id)[0].position == 0
    cloud.endpoints['alpha'].resume()
    assert cloud.wait(work.id).phase == 'finished'
