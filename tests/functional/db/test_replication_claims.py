"""Scopes exclude each other, whoever comes first, and of two at once one wins."""
# SPDX-License-Identifier: Apache-2.0

import pytest
import sqlalchemy as sa
from replication_rows import (
    BACKEND,
    DR,
    ON_SQLITE,
    OTHER_POOL,
    POOL,
    make_group,
    policy,
    protect,
    word,
)

from cinder_ext import exceptions
from cinder_ext.db import (
    group_requests,
    models,
    placement,
    replication_claims,
    replications,
    session,
    volumes,
)

pytestmark = ON_SQLITE

WANTED = replications.Wanted(policy(), DR)


@pytest.fixture
def things(make_volume, ctxt):
    """scope -> what it protects, all of it the same volume."""
    group_id = make_group(ctxt)
    return {'volume': make_volume(group_id=group_id), 'group': group_id, 'pool': POOL,
            'backend': BACKEND}


SCOPES = ('volume', 'group', 'pool', 'backend')


@pytest.mark.parametrize('second', SCOPES)
@pytest.mark.parametrize('first', SCOPES)
def test_a_volume_is_protected_in_one_scope(things, ctxt, first, second):
    row = protect(ctxt, things[first], first)
    target = DR if first != second else 'another'
    if first == second:
        protect(ctxt, things[second], second, target)
        return
    with pytest.raises(exceptions.ReplicationConflict) as refusal:
        protect(ctxt, things[second], second, target)
    facts = refusal.value.facts
    assert (facts['id'], facts['replication_id'], facts['scope'], facts['protected_id']) == (
        things[second], row.id, first, things[first])
    assert things[second] in refusal.value.message
    assert things[first] in refusal.value.message
    assert replications.of_thing(ctxt, second, things[second]) == []


def test_what_has_nothing_in_common_is_protected_side_by_side(make_volume, ctxt):
    protect(ctxt, make_volume())
    protect(ctxt, make_group(ctxt), 'group')
    protect(ctxt, OTHER_POOL, 'pool')
    protect(ctxt, 'node@alphabet', 'backend')
    protect(ctxt, f'{BACKEND}#alp', 'pool')


def test_an_empty_group_is_in_its_pool(ctxt, database):
    protect(ctxt, make_group(ctxt), 'group')
    for scope, thing in (('pool', POOL), ('backend', BACKEND)):
        with pytest.raises(exceptions.ReplicationConflict):
            protect(ctxt, thing, scope)


def test_a_group_is_in_every_pool_of_its_volumes(make_volume, ctxt):
    group_id = make_group(ctxt)
    make_volume(group_id=group_id, host=OTHER_POOL)
    protect(ctxt, OTHER_POOL, 'pool')
    with pytest.raises(exceptions.ReplicationConflict, match='pool'):
        protect(ctxt, group_id, 'group')


def test_a_deleted_volume_is_in_nobodys_way(make_volume, ctxt):
    volume_id = make_volume()
    protect(ctxt, volume_id)
    volumes.mark_deleted(ctxt, volume_id)
    protect(ctxt, POOL, 'pool')


def test_a_volume_with_a_replication_of_its_own_does_not_join_a_group_that_has_one(
        make_volume, ctxt):
    kind = _volume_type(ctxt)
    group_id = make_group(ctxt, volume_types=[kind])
    alone, other = (make_volume(volume_type_id=kind) for _ in range(2))
    protect(ctxt, alone)
    group_requests.update(ctxt, group_id, {}, add=[alone])
    group_requests.update(ctxt, group_id, {}, remove=[alone])
    row = protect(ctxt, group_id, 'group')
    with pytest.raises(exceptions.ReplicationConflict, match=group_id):
        group_requests.update(ctxt, group_id, {}, add=[alone])
    group_requests.update(ctxt, group_id, {}, add=[other])
    assert replications.sync_members(ctxt, row.id) == ([other], [])


@session.writer
def _volume_type(context):
    row = models.VolumeType(name='fast', live_name='fast')
    context.session.add(row)
    context.session.flush()
    return row.id


def test_what_is_claimed_as_a_whole_is_told_to_the_scheduler(ctxt, database):
    protect(ctxt, POOL, 'pool')
    protect(ctxt, 'node@beta', 'backend')
    assert replication_claims.of_hosts(ctxt) == {POOL: 'pool', 'node@beta': 'backend'}
    assert replication_claims.of_hosts(ctxt, [POOL]) == {POOL: 'pool'}
    assert replication_claims.of_container(ctxt, 'pool', POOL) == ('pool', POOL)
    assert replication_claims.of_container(ctxt, 'pool', OTHER_POOL) is None


# Placement

@pytest.fixture
def waiting(make_volume):
    """waiting() -> id of a volume that is to be made and has no backend yet."""
    return lambda: make_volume(status='creating', host=None)


def test_a_volume_is_enabling_from_its_placement_on(waiting, ctxt):
    volume_id = waiting()
    assert placement.place_volume(ctxt, volume_id, POOL, replication=WANTED)
    row, = replications.of_thing(ctxt, 'volume', volume_id)
    assert (row.state, row.home, row.target, row.project_id) == (
        'enabling', BACKEND, DR, 'project')
    assert word(ctxt, volume_id) == 'enabling'
    assert not placement.place_volume(ctxt, volume_id, OTHER_POOL, replication=WANTED)
    assert len(replications.of_thing(ctxt, 'volume', volume_id)) == 1


@pytest.mark.parametrize(('scope', 'thing'), [('pool', POOL), ('backend', BACKEND)],
                         ids=['pool', 'backend'])
def test_a_volume_of_its_own_replication_is_not_placed_where_all_is_replicated(
        waiting, ctxt, scope, thing):
    protect(ctxt, thing, scope)
    volume_id = waiting()
    with pytest.raises(exceptions.ReplicationConflict):
        placement.place_volume(ctxt, volume_id, POOL, 'nova', WANTED)
    row = volumes.get(ctxt, volume_id)
    assert (row.host, row.availability_zone, row.replication_status) == (None, None, None)
    assert placement.place_volume(ctxt, volume_id, 'node@beta#beta', replication=WANTED)


def test_a_volume_that_goes_elsewhere_leaves_its_claim_behind(waiting, ctxt):
    volume_id = waiting()
    placement.place_volume(ctxt, volume_id, POOL, replication=WANTED)
    assert placement.place_again(ctxt, volumes.get(ctxt, volume_id), 'burnt', 3)
    assert replications.of_thing(ctxt, 'volume', volume_id) == []
    protect(ctxt, POOL, 'pool')
    assert placement.place_volume(ctxt, volume_id, 'node@beta#beta', replication=WANTED)
    assert word(ctxt, volume_id) == 'enabling'
    assert placement.place_again(ctxt, volumes.get(ctxt, volume_id), 'burnt', 2) is False
    assert replications.of_thing(ctxt, 'volume', volume_id) == []


def test_placing_a_volume_that_is_not_replicated_asks_for_one_change_only(waiting, ctxt):
    volume_id, statements = waiting(), []
    engine = session.get_engine()

    def note(_conn, _cursor, statement, _parameters, _context, _many):
        statements.append(statement.split()[0])

    sa.event.listen(engine, 'before_cursor_execute', note)
    try:
        placement.place_volume(ctxt, volume_id, POOL)
    finally:
        sa.event.remove(engine, 'before_cursor_execute', note)
    assert [each for each in statements if each != 'BEGIN'] == ['UPDATE']
