"""Operations: one at a time for a thing and its members, and a result for each of these."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from replication_rows import (
    BACKEND,
    DR,
    ON_SQLITE,
    OTHER_POOL,
    POOL,
    make_group,
    protect,
)

from cinder_ext import exceptions
from cinder_ext.db import replication_changes, transition
from cinder_ext.db import replication_operations as operations
from cinder_ext.states import replication as states

pytestmark = ON_SQLITE

FAULT = exceptions.BackendDown('The array does not answer.')


def _begin(ctxt, row, verb='failover', **values):
    return operations.create(ctxt, {'verb': verb, 'replication_id': row.id, **values})


def test_what_is_asked_of_a_replication_follows_from_it(enabled, ctxt):
    row = enabled()
    operation = _begin(ctxt, row, force=True)
    assert (operation.state, operation.scope, operation.protected_id, operation.home,
            operation.target, operation.project_id, operation.force) == (
        'queued', 'volume', row.protected_id, BACKEND, DR, 'project', True)
    member, = operations.members(ctxt, operation.id)
    assert (member.volume_id, member.replication_id, member.result) == (
        row.protected_id, row.id, 'pending')
    assert [each.id for each in operations.open_of(ctxt, BACKEND)] == [operation.id]
    assert operations.open_of(ctxt, 'node@other') == []
    assert [each.home for each in operations.open_of(ctxt)] == [BACKEND]


def test_another_project_knows_nothing_of_it(enabled, ctxt):
    operation = _begin(ctxt, enabled())
    assert operations.get(ctxt, operation.id, 'project').id == operation.id
    with pytest.raises(exceptions.ReplicationOperationNotFound):
        operations.get(ctxt, operation.id, 'other')


@pytest.mark.parametrize('verb', states.VERBS)
def test_each_verb_needs_a_state_that_fits(make_volume, ctxt, verb):
    row = protect(ctxt, make_volume())
    for state in states.ALIVE:
        transition.force(ctxt, states.MACHINE, row.id, state)
        if state in operations.FROM[verb]:
            operations.close(ctxt, _begin(ctxt, row, verb).id)
            continue
        with pytest.raises(exceptions.ReplicationActionRefused) as refusal:
            _begin(ctxt, row, verb)
        assert refusal.value.facts['state'] == state
    assert not {'failing-over', 'disabling'} & set(operations.FROM[verb])


def test_while_one_is_open_others_on_the_same_are_refused(enabled, ctxt):
    row = enabled()
    operation = _begin(ctxt, row)
    for verb in ('failover', 'test'):
        with pytest.raises(exceptions.ReplicationOperationActive) as refusal:
            _begin(ctxt, row, verb)
        assert refusal.value.facts['operation_id'] == operation.id
    for act in (replication_changes.pause, replication_changes.begin_disable):
        with pytest.raises(exceptions.ReplicationOperationActive):
            act(ctxt, row.id)
    operations.close(ctxt, operation.id)
    _begin(ctxt, row, 'failover')


def test_one_that_fails_over_is_refused_by_the_operation_and_not_by_its_state(enabled, ctxt):
    row = enabled()
    operation = _begin(ctxt, row)
    transition.move(ctxt, states.MACHINE, row.id, 'fail-over')
    with pytest.raises(exceptions.ReplicationOperationActive, match=operation.id):
        _begin(ctxt, row)


def test_a_dry_run_is_in_nobodys_way(enabled, ctxt):
    row = enabled()
    _begin(ctxt, row, dry_run=True)
    _begin(ctxt, row, dry_run=True)
    operation = _begin(ctxt, row)
    with pytest.raises(exceptions.ReplicationOperationActive, match=operation.id):
        _begin(ctxt, row)
    _begin(ctxt, row, dry_run=True)


def _looped(ctxt, rows, scope='pool', protected_id=POOL):
    return operations.create(
        ctxt, {'verb': 'failover', 'scope': scope, 'protected_id': protected_id, 'home': BACKEND},
        [{'volume_id': row.protected_id, 'replication_id': row.id} for row in rows])


def test_wide_ones_have_members_of_several_replications(enabled, ctxt):
    rows = [enabled() for _ in range(3)]
    operation = _looped(ctxt, rows)
    assert [each.volume_id for each in operations.members(ctxt, operation.id)] == sorted(
        row.protected_id for row in rows)
    for refused in (lambda: _begin(ctxt, rows[1]), lambda: _looped(ctxt, [enabled()]),
                    lambda: _looped(ctxt, rows[2:], 'backend', BACKEND)):
        with pytest.raises(exceptions.ReplicationOperationActive, match=operation.id):
            refused()
    _looped(ctxt, [enabled(host=OTHER_POOL)], 'pool', OTHER_POOL)


def test_a_member_that_is_done_may_be_in_another_one(enabled, ctxt):
    rows = [enabled() for _ in range(2)]
    operation = _looped(ctxt, rows)
    operations.member_done(ctxt, operation.id, rows[0].protected_id)
    _begin(ctxt, rows[0], 'failover')
    with pytest.raises(exceptions.ReplicationOperationActive):
        _begin(ctxt, rows[1], 'failover')


@pytest.mark.parametrize(('results', 'state'), [
    ('dd', 'succeeded'), ('ds', 'succeeded'), ('ss', 'succeeded'), ('df', 'partial'),
    ('ff', 'failed'), ('fs', 'failed'), ('dp', 'partial'), ('pp', 'failed')])
def test_it_ends_as_its_members_did(enabled, ctxt, results, state):
    rows = sorted((enabled() for _ in results), key=lambda row: row.protected_id)
    operation = _looped(ctxt, rows)
    operations.run(ctxt, operation.id)
    for row, result in zip(rows, results, strict=True):
        if result == 'd':
            assert operations.member_done(ctxt, operation.id, row.protected_id, {'epoch': 2})
            assert not operations.member_failed(ctxt, operation.id, row.protected_id, FAULT)
        elif result == 'f':
            assert operations.member_failed(ctxt, operation.id, row.protected_id, FAULT)
        elif result == 's':
            assert operations.member_skipped(ctxt, operation.id, row.protected_id, 'nothing to do')
    closed = operations.close(ctxt, operation.id, {'seen': 1})
    assert (closed.state, closed.facts) == (state, {'seen': 1})
    assert closed.finished_at is not None
    words = {'d': 'done', 'f': 'failed', 's': 'skipped', 'p': 'failed'}
    assert [each.result for each in operations.members(ctxt, operation.id)] == [
        words[result] for result in results]
    counted = operations.counts(ctxt, [operation.id])[operation.id]
    assert sum(counted.values()) == len(results)
    assert operations.close(ctxt, operation.id, {'seen': 2}).facts == {'seen': 1}


def test_a_failed_member_says_why(enabled, ctxt):
    row = enabled()
    operation = _begin(ctxt, row)
    operations.member_failed(ctxt, operation.id, row.protected_id, FAULT, {'step': 'fenced'})
    member = operations.member(ctxt, operation.id, row.protected_id)
    assert (member.error, member.error_code, member.step) == (FAULT.message, FAULT.code, 'fenced')


def test_one_that_was_not_begun_fails_as_a_whole(enabled, ctxt):
    row = enabled()
    operation = operations.fail(ctxt, _begin(ctxt, row).id, FAULT)
    assert (operation.state, operation.error_code) == ('failed', FAULT.code)
    assert operations.member(ctxt, operation.id, row.protected_id).error == FAULT.message
    assert operations.open_of(ctxt) == []
    with pytest.raises(exceptions.TransitionRefused):
        operations.run(ctxt, operation.id)


def test_one_on_an_empty_group_succeeds(ctxt, database):
    group_id = make_group(ctxt)
    row = protect(ctxt, group_id, 'group')
    transition.move(ctxt, states.MACHINE, row.id, 'enabled')
    operation = _begin(ctxt, row)
    assert operations.close(ctxt, operation.id).state == 'succeeded'


def test_it_runs_since_the_first_time(enabled, ctxt):
    operation = _begin(ctxt, enabled())
    first = operations.run(ctxt, operation.id)
    assert (first.state, operations.run(ctxt, operation.id).started_at) == (
        'running', first.started_at)
