"""Replication on every database: of several requests at once one wins, and one life, whole."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest
from replication_rows import BACKEND, DR, POOL, make_group, policy, protect, ship, word

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    listing,
    placement,
    purge,
    replication_changes,
    replication_claims,
    replication_failover,
    replication_models,
    replications,
    snapshots,
    volume_migrations,
    volume_requests,
    volumes,
)
from cinder_ext.db import replication_operations as operations

WANTED = replications.Wanted(policy(), DR)
RACES = 3
"""How often each race is run: once would prove little."""


def _race(*functions):
    """What each function returns or raises; all start together, each in a thread."""
    barrier = threading.Barrier(len(functions))

    def run(function):
        own = contexts.RequestContext(user_id='user', project_id='project', overwrite=False)
        barrier.wait()
        try:
            return function(own)
        except exceptions.Conflict as refusal:
            return refusal

    with concurrent.futures.ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(run, functions))


@pytest.fixture
def waiting(make_volume):
    """waiting() -> id of a volume that is to be made and has no backend yet."""
    return lambda: make_volume(status='creating', host=None)


def _protecting(thing, scope):
    return lambda ctxt: protect(ctxt, thing, scope)


# Claims

@pytest.mark.parametrize('scope', ['pool', 'backend'])
def test_of_a_volume_being_placed_and_its_pool_being_enabled_one_wins(waiting, ctxt, scope):
    for number in range(RACES):
        backend = f'node@{scope}{number}'
        pool, volume_id = f'{backend}#p', waiting()
        placed, enabled = _race(
            lambda own, volume_id=volume_id, pool=pool: placement.place_volume(
                own, volume_id, pool, replication=WANTED),
            _protecting(pool if scope == 'pool' else backend, scope))
        is_placed = placed is True
        assert is_placed == isinstance(enabled, exceptions.ReplicationConflict)
        assert is_placed != isinstance(placed, exceptions.ReplicationConflict)
        row = volumes.get(ctxt, volume_id)
        assert (row.host, row.replication_status) == (
            (pool, 'enabling') if is_placed else (None, None))
        assert [each.scope for each in replications.of_home(ctxt, backend)] == [
            'volume' if is_placed else scope]


@pytest.mark.parametrize(('one', 'other'), [
    ('volume', 'pool'), ('volume', 'backend'), ('volume', 'group'), ('group', 'pool'),
    ('pool', 'backend')])
def test_of_two_scopes_at_once_one_wins(make_volume, ctxt, one, other):
    for number in range(RACES):
        backend = f'node@r{number}'
        group_id = make_group(ctxt, host=f'{backend}#p')
        things = {'volume': make_volume(host=f'{backend}#p', group_id=group_id),
                  'group': group_id, 'pool': f'{backend}#p', 'backend': backend}
        results = _race(*(_protecting(things[each], each) for each in (one, other) * 2))
        won = [each for each in results if isinstance(each, replication_models.Replication)]
        assert len(won) == 1
        assert [each.id for each in replications.of_home(ctxt, backend)] == [won[0].id]
        assert word(ctxt, things['volume']) == 'enabling'


# Operations

def test_of_several_operations_at_once_one_is_recorded(enabled, ctxt):
    row = enabled()
    values = {'verb': 'failover', 'scope': 'pool', 'protected_id': POOL, 'home': BACKEND}
    members = [{'volume_id': row.protected_id, 'replication_id': row.id}]
    results = _race(*[lambda own: operations.create(own, values, members).id] * 3,
                    *[lambda own: operations.create(
                        own, {'verb': 'failover', 'replication_id': row.id}).id] * 3)
    won = [each for each in results if isinstance(each, str)]
    assert len(won) == 1
    assert {each.facts['operation_id'] for each in results if each not in won} == set(won)
    assert [each.id for each in operations.open_of(ctxt)] == won


@pytest.mark.parametrize('act', [
    replication_changes.begin_disable, replication_changes.pause], ids=['disabled', 'paused'])
def test_of_an_operation_and_the_end_of_its_replication_one_wins(enabled, ctxt, act):
    for _ in range(RACES):
        row = enabled()
        begun, acted = _race(
            lambda own, row=row: operations.create(own, {'verb': 'sync_now', 'replication_id': row.id}),
            lambda own, row=row: act(own, row.id))
        is_begun = not isinstance(begun, exceptions.ReplicationActionRefused)
        assert is_begun == isinstance(acted, exceptions.ReplicationOperationActive)
        assert (replications.get(ctxt, row.id).state == 'enabled') == is_begun


REQUESTS = {
    'delete': volume_requests.begin_delete,
    'snapshot': lambda ctxt, volume_id: snapshots.create(ctxt, {'volume_id': volume_id}),
    'reserve': lambda ctxt, volume_id: attachments.reserve(ctxt, volume_id, 'server'),
    'retype': lambda ctxt, volume_id: volume_migrations.start(
        ctxt, volume_id, {'operation': 'retype'}, 'retype'),
}


def _begin(ctxt, row, verb='failover'):
    operation = operations.create(ctxt, {'verb': verb, 'replication_id': row.id})
    operations.run(ctxt, operation.id)
    replication_failover.begin(ctxt, operation.id)
    return operation


@pytest.mark.parametrize('name', REQUESTS)
def test_of_a_failover_and_another_request_one_wins(enabled, ctxt, name):
    for _ in range(RACES):
        row = enabled()
        operation = _begin(ctxt, row)
        taken, requested = _race(
            lambda own, operation=operation: replication_failover.take_members(own, operation.id),
            lambda own, row=row: REQUESTS[name](own, row.protected_id))
        is_taken = taken == [row.protected_id]
        assert is_taken == isinstance(requested, exceptions.VolumeFailingOver)
        assert (word(ctxt, row.protected_id) == 'failing-over') == is_taken
        member, = operations.members(ctxt, operation.id)
        assert (member.result == 'pending') == is_taken


# Everything once

def test_a_group_is_failed_over_and_its_replication_ends(make_volume, ctxt):
    group_id = make_group(ctxt)
    ids = sorted(make_volume(group_id=group_id) for _ in range(2))
    row = protect(ctxt, group_id, 'group', rpo_seconds=10)
    ship(ctxt, row, ids[0], ago=20)
    point_id = ship(ctxt, row, bytes_shipped=2 ** 40)
    replication_changes.set_condition(ctxt, row.id, 'degraded', True, 'ü 💾', {'epochs': [1, 2]})
    assert replication_changes.breached(ctxt, row.id)
    assert not replication_changes.breached(ctxt, row.id)
    listed, = listing.rows(ctxt, replication_models.Replication, listing.Page(), project_id='project')
    assert (listed.point_id, listed.bytes_shipped, listed.conditions['degraded']['epochs']) == (
        point_id, 2 ** 40, [1, 2])
    assert set(replications.of_volumes(ctxt, ids)) == set(ids)
    assert replication_failover.unreplicated(ctxt, BACKEND) == []

    operation = _begin(ctxt, row)
    assert replication_failover.take_members(ctxt, operation.id) == ids
    with pytest.raises(exceptions.VolumeFailingOver, match=operation.id):
        snapshots.create(ctxt, {'volume_id': ids[0]})
    for volume_id in ids:
        replication_failover.store_location(ctxt, operation.id, volume_id, 'side:alpha-dr', {},
                                            {'epoch': 2 ** 40, 'loss_seconds': 0.25})
        replication_failover.failed_over(ctxt, operation.id, volume_id)
    settled = replication_failover.settle(ctxt, operation.id, row.id, False, {'is_shipping': False})
    assert (settled.state, settled.is_shipping) == ('failed-over', False)
    assert operations.close(ctxt, operation.id).state == 'succeeded'
    assert operations.counts(ctxt, [operation.id]) == {operation.id: {'done': 2}}

    replication_changes.begin_disable(ctxt, row.id)
    replication_changes.disabled(ctxt, row.id)
    assert replication_claims.of_container(ctxt, 'group', group_id) is None
    gone = purge.purge(ctxt, 0)
    assert (gone['replications'], gone['replication_operations']) == (1, 1)
    assert operations.members(ctxt, operation.id) == []
