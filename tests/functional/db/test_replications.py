"""Replications: created with their members, enabled by points, and what volumes show of them."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import pytest
import sqlalchemy as sa
from oslo_utils import timeutils
from replication_rows import (
    BACKEND,
    DR,
    ON_SQLITE,
    OTHER_POOL,
    POOL,
    make_group,
    policy,
    protect,
    ship,
    word,
)

from cinder_ext import exceptions
from cinder_ext.db import (
    listing,
    messages,
    replication_changes,
    replication_claims,
    replication_models,
    replication_shipping,
    replications,
    session,
    transfers,
    transition,
    volumes,
)
from cinder_ext.states import messages as words
from cinder_ext.states import replication as states

pytestmark = ON_SQLITE


def _members(ctxt, row):
    return [each.volume_id for each in replications.members(ctxt, row.id)]


def test_a_volume_is_enabling_until_its_first_point(make_volume, ctxt):
    volume_id = make_volume()
    row = protect(ctxt, volume_id, values={'epoch': 1}, rpo_seconds=10)
    assert (row.state, row.scope, row.protected_id, row.home, row.target) == (
        'enabling', 'volume', volume_id, BACKEND, DR)
    assert (row.mode, row.rpo_seconds, row.interval_seconds, row.retention) == ('async', 10, 5, 3)
    assert (row.project_id, row.source_side, row.destination_side) == ('project', None, DR)
    assert _members(ctxt, row) == [volume_id]
    assert word(ctxt, volume_id) == 'enabling'
    point_id = ship(ctxt, row, bytes_shipped=7)
    row = replications.get(ctxt, row.id)
    assert (row.state, row.point_id, row.bytes_shipped, row.epoch) == ('enabled', point_id, 7, 1)
    member, = replications.members(ctxt, row.id)
    assert (member.point_id, member.last_consistent_at, member.epoch) == (
        point_id, row.last_consistent_at, 1)
    assert word(ctxt, volume_id) == 'enabled'


def test_the_driver_and_the_site_may_say_more_than_the_policy(make_volume, ctxt):
    row = protect(ctxt, make_volume(), values={
        'interval_seconds': 60, 'cross_os': True, 'source_side': 'other', 'epoch': 4})
    assert (row.interval_seconds, row.cross_os, row.source_side, row.epoch) == (60, True, 'other', 4)


@pytest.mark.parametrize('status', ['deleting', 'error', 'maintenance', 'error_deleting'])
def test_a_volume_that_comes_or_goes_is_not_replicated(make_volume, ctxt, status):
    volume_id = make_volume(status=status)
    with pytest.raises(exceptions.InvalidState):
        protect(ctxt, volume_id)
    assert replications.of_thing(ctxt, 'volume', volume_id) == []
    assert replication_claims.contradicting(ctxt, 'backend', BACKEND, BACKEND) is None


def test_what_does_not_exist_or_is_nowhere_is_not_replicated(make_volume, ctxt):
    with pytest.raises(exceptions.VolumeNotFound):
        protect(ctxt, 'nothing')
    with pytest.raises(exceptions.GroupNotFound):
        protect(ctxt, 'nothing', 'group')
    with pytest.raises(exceptions.InvalidState, match='nowhere'):
        protect(ctxt, make_volume(host=None, status='creating'))


def test_two_targets_are_two_replications_of_one_volume(make_volume, ctxt):
    volume_id = make_volume()
    first, second = (protect(ctxt, volume_id, target=name) for name in ('a', 'b'))
    assert [row.id for row in replications.of_thing(ctxt, 'volume', volume_id)] == [
        first.id, second.id]
    with pytest.raises(exceptions.ReplicationConflict) as refusal:
        protect(ctxt, volume_id, target='b')
    assert refusal.value.facts['replication_id'] == second.id


def test_the_members_of_a_pool_are_what_is_whole_there(make_volume, ctxt):
    inside = sorted([make_volume(), make_volume(status='in-use')])
    for outside in ({'host': OTHER_POOL}, {'host': f'{POOL}x'}, {'host': POOL.upper()},
                    {'status': 'creating'}, {'status': 'deleting'}, {'consumes_quota': False},
                    {'migration_status': 'target:x'}, {'status': 'error'},
                    {'deleted_at': timeutils.utcnow()}):
        make_volume(**outside)
    assert _members(ctxt, protect(ctxt, POOL, 'pool')) == inside


def test_the_members_of_a_backend_are_in_any_of_its_pools(make_volume, ctxt):
    inside = sorted([make_volume(), make_volume(host=OTHER_POOL)])
    make_volume(host='node@alphabet#alpha')
    make_volume(host='Node@alpha#alpha')
    row = protect(ctxt, BACKEND, 'backend')
    assert _members(ctxt, row) == inside
    assert (row.home, row.project_id) == (BACKEND, None)


def test_members_follow_what_comes_and_goes(make_volume, ctxt):
    group_id = make_group(ctxt)
    first, second = (make_volume(group_id=group_id) for _ in range(2))
    row = protect(ctxt, group_id, 'group')
    ship(ctxt, row)
    third = make_volume(group_id=group_id)
    volumes.update(ctxt, first, {'group_id': None})
    wanted, leaving = replications.sync_members(ctxt, row.id)
    assert (wanted, leaving) == (sorted([second, third]), [first])
    assert [word(ctxt, each) for each in (first, second, third)] == ['enabled', 'enabled', 'enabling']
    replications.drop_member(ctxt, row.id, first)
    replications.drop_member(ctxt, row.id, first)
    assert word(ctxt, first) == 'disabled'
    assert _members(ctxt, row) == sorted([second, third])


@pytest.mark.parametrize('state', ['failing-over', 'disabling'])
def test_members_stay_while_an_operation_has_them_or_it_ends(make_volume, ctxt, state):
    first = make_volume()
    row = protect(ctxt, POOL, 'pool')
    volumes.mark_deleted(ctxt, first)
    second = make_volume()
    transition.force(ctxt, states.MACHINE, row.id, state)
    assert replications.sync_members(ctxt, row.id) == ([first], [])
    transition.force(ctxt, states.MACHINE, row.id, 'failed-over')
    assert replications.sync_members(ctxt, row.id) == ([second], [first])
    assert word(ctxt, second) == 'enabling'


def test_volumes_that_are_found_failed_over_keep_their_word(make_volume, ctxt):
    volume_id = make_volume(replication_status='failed-over')
    row = replications.create(ctxt, policy(), volume_id, DR, {'source_side': DR}, 'failed-over')
    assert (row.state, word(ctxt, volume_id)) == ('failed-over', 'failed-over')
    assert _members(ctxt, row) == [volume_id]


def test_a_pool_is_as_consistent_as_the_volume_that_is_furthest_behind(make_volume, ctxt):
    first, second = (make_volume() for _ in range(2))
    row = protect(ctxt, POOL, 'pool')
    old, new = ship(ctxt, row, first, ago=50), ship(ctxt, row, second, ago=10)
    assert replications.get(ctxt, row.id).point_id == old
    ship(ctxt, row, second, ago=20)
    points = {each.volume_id: each.point_id for each in replications.members(ctxt, row.id)}
    assert points == {first: old, second: new}
    latest = ship(ctxt, row)
    assert replications.get(ctxt, row.id).point_id == latest


def test_bytes_are_counted_once_for_a_point_that_is_told_twice(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    member, = _members(ctxt, row)
    moment = timeutils.utcnow()
    for _ in range(2):
        replication_shipping.arrived(ctxt, row, 'p', moment, [member], bytes_shipped=100,
                                     bytes_pending=5)
    row = replications.get(ctxt, row.id)
    assert (row.bytes_shipped, row.bytes_pending) == (100, 5)


def test_a_wish_for_a_point_ends_with_one_that_is_younger(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    ship(ctxt, row, ago=10)
    replication_changes.ask_sync(ctxt, row.id)
    ship(ctxt, row, ago=5)
    assert replications.get(ctxt, row.id).ship_asked_at is not None
    ship(ctxt, row, ago=-1)
    assert replications.get(ctxt, row.id).ship_asked_at is None


def test_a_volume_shows_the_target_that_it_is_used_at(make_volume, ctxt):
    first, second, other = (make_volume() for _ in range(3))
    rows = [protect(ctxt, first, target=name) for name in ('a', 'b')]
    protect(ctxt, second, rpo_seconds=20)
    found = replications.of_volumes(ctxt, [first, second, other])
    assert {volume_id: row.target for volume_id, row in found.items()} == {first: 'a', second: DR}
    assert (found[second].rpo_seconds, found[second].last_consistent_at) == (20, None)
    ship(ctxt, rows[1])
    transition.move(ctxt, states.MACHINE, rows[1].id, 'fail-over')
    row = replications.of_volumes(ctxt, [first])[first]
    assert (row.target, row.state, row.mode, row.scope) == ('b', 'failing-over', 'async', 'volume')
    assert row.last_consistent_at is not None


def test_lists_have_a_page_of_what_lives(make_volume, ctxt):
    rows = [protect(ctxt, make_volume()) for _ in range(3)]
    replication_changes.begin_disable(ctxt, rows[0].id)
    replication_changes.disabled(ctxt, rows[0].id)
    found = listing.rows(ctxt, replication_models.Replication, listing.Page(limit=1))
    assert [row.id for row in found] == [rows[2].id]
    found = listing.rows(ctxt, replication_models.Replication,
                         listing.Page(limit=5, marker=rows[2].id), project_id='project')
    assert [row.id for row in found] == [rows[1].id]


def test_another_project_knows_nothing_of_it(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    assert replications.get(ctxt, row.id, 'project').id == row.id
    with pytest.raises(exceptions.ReplicationNotFound):
        replications.get(ctxt, row.id, 'other')


def test_a_transfer_takes_the_replication_along(make_volume, ctxt):
    volume_id = make_volume()
    row = protect(ctxt, volume_id)
    transfer = transfers.create(ctxt, volume_id, {
        'name': None, 'no_snapshots': False, 'salt': 's', 'key_hash': 'h'})
    ctxt.project_id = 'other'
    transfers.accept(ctxt, transfer.id)
    assert replications.get(ctxt, row.id, 'other').id == row.id


# Conditions, pauses, breaches

def test_a_condition_keeps_the_moment_since_which_it_holds(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    told = []
    unwatch = transition.watch(lambda _context, *change: told.append(change[:3]))
    assert replication_changes.set_condition(ctxt, row.id, 'degraded', True, 'cut')
    first = replications.get(ctxt, row.id).conditions['degraded']
    assert not replication_changes.set_condition(ctxt, row.id, 'degraded', True, 'cut')
    assert replication_changes.set_condition(ctxt, row.id, 'degraded', True, 'still cut', {'a': 1})
    second = replications.get(ctxt, row.id).conditions['degraded']
    assert (second['since'], second['reason'], second['a']) == (first['since'], 'still cut', 1)
    assert replication_changes.set_condition(ctxt, row.id, 'degraded', False)
    assert replications.get(ctxt, row.id).conditions['degraded']['since'] > first['since']
    unwatch()
    assert told == [('replication', row.id, 'condition')] * 3


def test_conditions_are_separate_facts(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    for each in ('degraded', 'split_brain'):
        replication_changes.set_condition(ctxt, row.id, each, True)
    assert set(replications.get(ctxt, row.id).conditions) == {'degraded', 'split_brain'}
    with pytest.raises(ValueError, match='rainy'):
        replication_changes.set_condition(ctxt, row.id, 'rainy', True)


def test_a_pause_ends_points_and_may_be_asked_for_twice(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    with pytest.raises(exceptions.ReplicationActionRefused):
        replication_changes.pause(ctxt, row.id)
    ship(ctxt, row)
    for _ in range(2):
        assert replication_changes.pause(ctxt, row.id).state == 'paused'
    with pytest.raises(exceptions.ReplicationActionRefused, match='no points'):
        replication_changes.ask_sync(ctxt, row.id)
    for _ in range(2):
        assert replication_changes.resume(ctxt, row.id).state == 'enabled'


def _told(ctxt):
    return [(each.resource_type, each.resource_uuid, each.action_id)
            for each in messages.list_all(ctxt)]


def test_a_breach_is_told_once_and_again_after_it_healed(make_volume, ctxt):
    volume_id = make_volume()
    row = protect(ctxt, volume_id, rpo_seconds=10)
    assert not replication_changes.healed(ctxt, row.id)
    assert [replication_changes.breached(ctxt, row.id) for _ in range(3)] == [True, False, False]
    assert replications.get(ctxt, row.id).breached_at is not None
    message, = messages.list_all(ctxt, 'project')
    assert (message.resource_uuid, message.detail_id, message.user_message) == (
        volume_id, words.REPLICATION_BEHIND, 'The objective is 10 seconds.')
    assert [replication_changes.healed(ctxt, row.id) for _ in range(2)] == [True, False]
    assert replication_changes.breached(ctxt, row.id)
    assert len(messages.list_all(ctxt)) == 2


def test_a_breach_is_told_to_the_owner_of_each_volume_or_of_the_group(make_volume, ctxt):
    group_id = make_group(ctxt)
    make_volume(group_id=group_id)
    replication_changes.breached(ctxt, protect(ctxt, group_id, 'group').id)
    assert _told(ctxt) == [('GROUP', group_id, words.REPLICATE_GROUP)]
    owners = {make_volume(host='node@b#p', project_id=name): name for name in ('one', 'two')}
    replication_changes.breached(ctxt, protect(ctxt, 'node@b#p', 'pool').id)
    told = {each.resource_uuid: each.project_id for each in messages.list_all(ctxt)
            if each.resource_type == 'VOLUME'}
    assert told == owners


# The end

@session.reader
def _claims(context):
    claim = replication_models.ReplicationClaim
    return context.session.execute(
        sa.select(claim.key).where(claim.scope.is_not(None))).scalars().all()


def test_what_was_disabled_can_be_replicated_again(make_volume, ctxt):
    volume_id = make_volume()
    row = protect(ctxt, volume_id)
    ship(ctxt, row)
    for _ in range(2):
        assert replication_changes.begin_disable(ctxt, row.id).state == 'disabling'
    assert word(ctxt, volume_id) == 'disabling'
    assert _claims(ctxt) == [volume_id]
    for _ in range(2):
        replication_changes.disabled(ctxt, row.id)
    assert word(ctxt, volume_id) == 'disabled'
    assert _claims(ctxt) == []
    with pytest.raises(exceptions.ReplicationNotFound):
        replications.get(ctxt, row.id)
    assert protect(ctxt, volume_id).id != row.id
    assert word(ctxt, volume_id) == 'enabling'


def test_the_claim_and_the_word_stay_with_the_last_target(make_volume, ctxt):
    volume_id = make_volume()
    first, second = (protect(ctxt, volume_id, target=name) for name in ('a', 'b'))
    for row in (first, second):
        ship(ctxt, row)
    replication_changes.begin_disable(ctxt, first.id)
    replication_changes.disabled(ctxt, first.id)
    assert word(ctxt, volume_id) == 'enabled'
    assert _claims(ctxt) == [volume_id]
    assert replication_changes.leave(ctxt, volume_id) == [second.id]
    replication_changes.disabled(ctxt, second.id)
    assert (word(ctxt, volume_id), _claims(ctxt)) == ('disabled', [])


def test_a_group_that_was_disabled_lets_its_volumes_go(make_volume, ctxt):
    group_id = make_group(ctxt)
    volume_ids = [make_volume(group_id=group_id) for _ in range(2)]
    row = protect(ctxt, group_id, 'group')
    replication_changes.begin_disable(ctxt, row.id)
    replication_changes.disabled(ctxt, row.id)
    assert {word(ctxt, each) for each in volume_ids} == {'disabled'}
    for volume_id in volume_ids:
        protect(ctxt, volume_id)


@pytest.mark.parametrize('scope', ['volume', 'pool'])
def test_a_volume_that_is_gone_is_a_member_of_nothing(make_volume, ctxt, scope):
    volume_id = make_volume()
    row = protect(ctxt, {'volume': volume_id, 'pool': POOL}[scope], scope)
    ship(ctxt, row)
    volumes.mark_deleted(ctxt, volume_id)
    for _ in range(2):
        replication_changes.volume_gone(ctxt, volume_id)
    assert _members(ctxt, row) == []
    left = {'volume': 0, 'pool': 1}[scope]
    assert len(_claims(ctxt)) == len(replications.of_home(ctxt, BACKEND)) == left


def test_the_clock_of_a_point_is_kept_to_the_microsecond(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    moment = datetime.datetime(2026, 3, 29, 1, 59, 59, 999999)
    replication_shipping.arrived(ctxt, row, 'p', moment, _members(ctxt, row))
    assert replications.get(ctxt, row.id).last_consistent_at == moment
