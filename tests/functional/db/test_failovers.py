"""Failovers of many volumes in few transactions; the service of a whole backend; mended sides."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from replication_rows import (
    BACKEND,
    ON_SQLITE,
    POOL,
    make_group,
    make_snapshot,
    protect,
    ship,
    word,
)

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    failovers,
    operation_members,
    replication_failover,
    replications,
    services,
    transition,
    trial_volumes,
    volumes,
)
from cinder_ext.db import replication_operations as operations
from cinder_ext.states import replication as states

FAULT = exceptions.BackendDown('The array does not answer.')


@pytest.fixture
def several(make_volume, ctxt):
    """(ids of two volumes, their replication with the pool), enabled."""
    ids = sorted([make_volume(), make_volume()])
    row = protect(ctxt, POOL, 'pool')
    ship(ctxt, row)
    return ids, row


def _taken(ctxt, row, verb='failover'):
    operation = operations.create(ctxt, {'verb': verb, 'replication_id': row.id})
    operations.run(ctxt, operation.id)
    replication_failover.begin(ctxt, operation.id)
    replication_failover.take_members(ctxt, operation.id)
    return operation.id


def test_volumes_are_placed_and_arrive_together_and_the_replication_follows(several, ctxt):
    ids, row = several
    snapshot_id = make_snapshot(ctxt, ids[0])
    operation_id = _taken(ctxt, row)
    failovers.place(ctxt, operation_id, [
        (each, 'side:dr', {snapshot_id: 'side:dr'}, {'epoch': 1}) for each in ids])
    failovers.arrive(ctxt, operation_id, ids, is_home=False)
    failovers.settle(ctxt, operation_id, False, [(row.id, {'source_side': 'dr', 'epoch': 1}, None)])
    assert {volumes.get(ctxt, each).provider_location for each in ids} == {'side:dr'}
    assert operation_members.snapshots(ctxt, ids)[ids[0]][0].provider_location == 'side:dr'
    assert {word(ctxt, each) for each in ids} == {'failed-over'}
    now = replications.get(ctxt, row.id)
    assert (now.state, now.source_side, now.error) == ('failed-over', 'dr', None)


@ON_SQLITE
def test_what_failed_is_said_of_the_replication(several, ctxt):
    ids, row = several
    operation_id = _taken(ctxt, row)
    failovers.fail(ctxt, operation_id, [(ids[0], FAULT)])
    failovers.arrive(ctxt, operation_id, ids[1:], is_home=False)
    failed = operations.member(ctxt, operation_id, ids[0])
    failovers.settle(ctxt, operation_id, False, [(row.id, {'source_side': 'dr'}, failed)])
    now = replications.get(ctxt, row.id)
    assert (now.state, now.source_side, now.error_code) == ('failover-error', None, FAULT.code)
    assert [word(ctxt, each) for each in ids] == ['failover-error', 'failed-over']


@ON_SQLITE
def test_what_is_given_back_is_what_it_was(several, ctxt):
    ids, row = several
    operation_id = _taken(ctxt, row)
    failovers.give_back(ctxt, operation_id, [(each, FAULT) for each in ids])
    failovers.settle(ctxt, operation_id, False, [(row.id, {}, None)])
    assert {word(ctxt, each) for each in ids} == {'enabled'}
    assert replications.get(ctxt, row.id).state == 'enabled'


def test_refusals_name_what_is_in_the_way(several, make_volume, ctxt):
    ids, _row = several
    attachments.reserve(ctxt, ids[0], 'a-server')
    make_snapshot(ctxt, ids[1], 'creating')
    plain = make_volume()
    found = failovers.refusals(ctxt, [*ids, plain, 'none'], False, False)
    assert isinstance(found[ids[0]], exceptions.MemberAttached)
    assert 'snapshot' in found[ids[1]].message
    assert 'replication_status' in found[plain].message
    assert 'exist' in found['none'].message
    forced = failovers.refusals(ctxt, ids, True, True)
    assert forced == {}


def test_a_backend_that_is_failed_over_gets_nothing_new_until_somebody_says_so(make_volume, ctxt):
    services.heartbeat(ctxt, services.VOLUME_BINARY, BACKEND, 'topic', 'nova')
    kept, busy = make_volume(), make_volume(status='creating')
    failovers.begin_backend(ctxt, BACKEND)
    for _ in range(2):
        failovers.end_backend(ctxt, BACKEND, 'failed-over', 'dr')
    service = services.get(ctxt, services.VOLUME_BINARY, BACKEND)
    assert (service.replication_status, service.active_backend_id, service.disabled) == (
        'failed-over', 'dr', True)
    assert [volumes.get(ctxt, each).status for each in (kept, busy)] == ['error', 'creating']
    assert volumes.get(ctxt, kept).previous_status == 'available'

    failovers.begin_backend(ctxt, BACKEND)
    failovers.end_backend(ctxt, BACKEND, 'failover-failed')
    assert services.active_backend(ctxt, BACKEND) == 'dr'
    assert volumes.get(ctxt, kept).status == 'error'
    failovers.begin_backend(ctxt, BACKEND)
    failovers.end_backend(ctxt, BACKEND, 'failed-back')
    service = services.get(ctxt, services.VOLUME_BINARY, BACKEND)
    assert (service.replication_status, service.active_backend_id, service.disabled) == (
        'enabled', None, False)
    assert volumes.get(ctxt, kept).status == 'available'


@ON_SQLITE
@pytest.mark.parametrize(('before', 'is_away', 'after'), [
    ('error', False, 'enabled'), ('failover-error', False, 'enabled'),
    ('failed-over', False, 'enabled'), ('enabled', False, 'enabled'),
    ('error', True, 'failed-over'), ('failover-error', True, 'failed-over'),
    ('failed-over', True, 'failed-over')])
def test_a_resync_ends_in_the_state_of_the_side_that_is_used(
        before, is_away, after, make_volume, ctxt):
    row = protect(ctxt, make_volume(replication_status=None))
    ship(ctxt, row)
    operation = operations.create(ctxt, {'verb': 'resync', 'replication_id': row.id,
                                         'discard': 'home'})
    transition.force(ctxt, states.VOLUME, row.protected_id, before)
    transition.force(ctxt, states.MACHINE, row.id, before)
    failovers.mend(ctxt, operation.id, [row.protected_id], is_away)
    failovers.mend_replication(ctxt, row.id, is_away, {'is_shipping': True})
    assert (word(ctxt, row.protected_id), replications.get(ctxt, row.id).state) == (after, after)
    assert operations.member(ctxt, operation.id, row.protected_id).result == 'done'


def test_further_targets_wait_and_begin_anew_with_the_epoch_of_the_way_back(make_volume, ctxt):
    volume_id = make_volume()
    near, far = protect(ctxt, volume_id), protect(ctxt, volume_id, target='far')
    for row in (near, far):
        ship(ctxt, row)
    operation_id = _taken(ctxt, near)
    operations.update_member(ctxt, operation_id, volume_id, {'epoch': 4})
    moved = operations.members(ctxt, operation_id)
    failovers.tell_others(ctxt, moved, is_home=False)
    assert replications.get(ctxt, far.id).is_shipping is False
    assert replications.get(ctxt, near.id).is_shipping is True
    failovers.tell_others(ctxt, moved, is_home=True)
    assert (replications.get(ctxt, far.id).is_shipping, replications.get(ctxt, far.id).epoch) == (
        True, 4)


@ON_SQLITE
def test_members_are_completed_once(several, make_volume, ctxt):
    ids, row = several
    late = make_volume()
    operation = operations.create(ctxt, {'verb': 'failover', 'scope': 'pool', 'protected_id': POOL,
                                         'home': BACKEND}, [{'volume_id': ids[0]}])
    for _ in range(2):
        operation_members.complete(
            ctxt, operation.id, [(ids[0], row.id), (ids[1], row.id), (late, None)], {late: None})
    found = {each.volume_id: (each.replication_id, each.result)
             for each in operations.members(ctxt, operation.id)}
    assert found == {ids[0]: (row.id, 'pending'), ids[1]: (row.id, 'pending'),
                     late: (None, 'skipped')}


@ON_SQLITE
def test_a_scope_has_its_volumes_and_no_temporary_ones(make_volume, ctxt):
    group_id = make_group(ctxt)
    inside = make_volume(group_id=group_id)
    outside = make_volume()
    make_volume(consumes_quota=False)
    assert operation_members.in_scope(ctxt, 'group', group_id) == [inside]
    assert operation_members.in_scope(ctxt, 'backend', BACKEND) == sorted([inside, outside])
    assert operation_members.of_project(ctxt, 'project', BACKEND) == sorted([inside, outside])
    assert operation_members.of_project(ctxt, 'another', BACKEND) == []


@ON_SQLITE
def test_volumes_of_a_test_are_recorded_once_and_use_no_quota(several, ctxt):
    ids, row = several
    operation = operations.create(ctxt, {'verb': 'test', 'replication_id': row.id})
    source, clone_id = volumes.get(ctxt, ids[0]), '00000000-0000-4000-8000-00000000c10e'
    for _ in range(2):
        trial_volumes.create(ctxt, operation, clone_id, source, 'side:dr')
    clone = volumes.get(ctxt, clone_id)
    assert (clone.consumes_quota, clone.status, clone.provider_location, clone.host) == (
        False, 'available', 'side:dr', source.host)
