"""What the shipper of a backend reads and writes."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import pytest
from oslo_utils import timeutils
from replication_rows import BACKEND, DR, ON_SQLITE, make_group, protect, ship, word

from cinder_ext import exceptions
from cinder_ext.db import (
    replication_changes,
    replication_operations,
    replication_shipping,
    replications,
    session,
    snapshots,
    transition,
    volume_types,
    volumes,
)
from cinder_ext.states import replication as states
from cinder_ext.states import snapshot as snapshot_states

WELL = {'completed': (True, None), 'degraded': (False, None)}


def _arrive(ctxt, row, ago=0, **more):
    ids = [each.volume_id for each in replications.members(ctxt, row.id)]
    return replication_shipping.arrived(
        ctxt, row, 'p', timeutils.utcnow() - datetime.timedelta(seconds=ago), ids,
        **{'conditions': WELL, **more})


def test_members_of_a_backend_are_told_with_their_volumes(database, make_volume, ctxt):
    first, second = make_volume(), make_volume()
    row = protect(ctxt, first)
    other = protect(ctxt, second)
    ship(ctxt, row)
    found = replication_shipping.members_of_home(ctxt, BACKEND)
    assert set(found) == {row.id, other.id}
    (member,) = found[row.id]
    assert (member.volume_id, member.status, member.replication_status) == (
        first, 'available', 'enabled')
    assert member.point_id is not None
    assert found[other.id][0].point_id is None
    assert replication_shipping.members_of_home(ctxt, 'node@beta') == {}


def test_shipment_has_whole_snapshots_oldest_first(database, make_volume, ctxt):
    volume_id = make_volume()
    row = protect(ctxt, volume_id)
    ids = [snapshots.create(ctxt, {'volume_id': volume_id}).id for _ in range(3)]
    for each in ids[:2]:
        transition.move(ctxt, snapshot_states.MACHINE, each, 'created')
    ((volume, taken, member),) = replication_shipping.shipment(ctxt, row.id, [volume_id])
    assert (volume.id, member.replication_id) == (volume_id, row.id)
    assert [each.id for each in taken] == ids[:2]
    assert replication_shipping.shipment(ctxt, row.id, []) == []


def test_volumes_that_a_type_or_a_record_concerns_are_those_of_the_backend(
        database, make_volume, ctxt):
    asks = volume_types.create(ctxt, {'name': 'asks'}, {'replication_enabled': '<is> True'}).id
    plain = volume_types.create(ctxt, {'name': 'plain'}, {'fast': 'yes'}).id
    wanted = make_volume(volume_type_id=asks)
    retyped = make_volume(volume_type_id=plain)
    row = protect(ctxt, retyped)
    make_volume(volume_type_id=plain)
    make_volume(volume_type_id=asks, host='node@alphabet#alpha')
    make_volume(volume_type_id=asks, status='creating')
    found = {each.id: each for each in replication_shipping.own_volumes(ctxt, BACKEND)}
    assert set(found) == {wanted, retyped}
    assert [each.id for each in replication_shipping.own_volumes(ctxt, BACKEND, {wanted})] == [
        wanted]
    assert found[wanted].replication_id is None
    assert (found[retyped].replication_id, found[retyped].target) == (row.id, DR)


@ON_SQLITE
def test_point_of_what_was_failed_over_meanwhile_counts_no_more(make_volume, ctxt):
    volume_id = make_volume()
    row = protect(ctxt, volume_id)
    assert _arrive(ctxt, row, ago=5).state == 'enabled'
    before = replications.get(ctxt, row.id)
    replications.update(ctxt, row.id, {'epoch': before.epoch + 1})
    assert _arrive(ctxt, before) is None
    replications.update(ctxt, row.id, {'epoch': before.epoch, 'is_shipping': False})
    assert _arrive(ctxt, before) is None
    assert replications.get(ctxt, row.id).last_consistent_at == before.last_consistent_at


@ON_SQLITE
def test_paused_and_ended_replications_take_no_point(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    shipped = _arrive(ctxt, row, ago=5)
    replication_changes.pause(ctxt, row.id)
    assert _arrive(ctxt, shipped) is None
    replication_changes.begin_disable(ctxt, row.id)
    replication_changes.disabled(ctxt, row.id)
    assert _arrive(ctxt, shipped) is None


@ON_SQLITE
def test_first_copy_of_a_volume_that_comes_to_a_group_enables_nothing(make_volume, ctxt):
    group_id = make_group(ctxt)
    volume_id = make_volume(group_id=group_id)
    row = protect(ctxt, group_id, scope='group')
    assert _arrive(ctxt, row, counts=False).state == 'enabling'
    assert word(ctxt, volume_id) == 'enabling'
    assert _arrive(ctxt, row).state == 'enabled'
    assert word(ctxt, volume_id) == 'enabled'


@ON_SQLITE
def test_condition_keeps_its_moment_until_it_changes(make_volume, ctxt):
    row = protect(ctxt, make_volume())
    replication_shipping.tell(ctxt, row, {'degraded': (True, 'cut')})
    first = replications.get(ctxt, row.id).conditions['degraded']
    assert (first['status'], first['reason']) == (True, 'cut')
    replication_shipping.tell(ctxt, row, {'degraded': (True, 'full')})
    second = replications.get(ctxt, row.id).conditions['degraded']
    assert (second['reason'], second['since']) == ('full', first['since'])
    _arrive(ctxt, row)
    assert replications.get(ctxt, row.id).conditions['degraded']['status'] is False


@ON_SQLITE
def test_conditions_are_told_when_they_change_and_not_with_each_point(make_volume, ctxt):
    row, told = protect(ctxt, make_volume()), []
    unwatch = transition.watch(lambda context, kind, row_id, event, *more: told.append(event))
    try:
        for _ in range(2):
            _arrive(ctxt, row)
        assert told.count('condition') == 1
        for _ in range(2):
            replication_shipping.tell(ctxt, row, {'degraded': (True, 'cut')})
        assert told.count('condition') == 2
        _arrive(ctxt, row)
        assert told.count('condition') == 3
    finally:
        unwatch()


@ON_SQLITE
def test_split_brain_breaks_a_volume_and_of_a_pool_only_its_volume(make_volume, ctxt):
    fault = exceptions.SplitBrain(name='v', reason='promoted', local_epoch=1, local_side='home',
                                  remote_epoch=2, remote_side=DR)
    facts = {'local_epoch': 1, 'remote_epoch': 2}
    alone = make_volume()
    row = _arrive(ctxt, protect(ctxt, alone))
    assert replication_shipping.broken(ctxt, row, fault, facts, [alone]) is True
    found = replications.get(ctxt, row.id)
    assert (found.state, found.error_code, found.remedy) == ('error', fault.code, fault.remedy)
    assert found.conditions['split_brain']['remote_epoch'] == 2
    assert word(ctxt, alone) == 'error'
    assert replication_shipping.broken(ctxt, row, fault, facts, [alone]) is False
    replication_changes.begin_disable(ctxt, row.id)
    replication_changes.disabled(ctxt, row.id)
    row = _arrive(ctxt, protect(ctxt, f'{BACKEND}#alpha', scope='pool'))
    other = next(each.volume_id for each in replications.members(ctxt, row.id))
    assert replication_shipping.broken(ctxt, row, fault, facts, [other]) is True
    found = replications.get(ctxt, row.id)
    assert (found.state, found.conditions['split_brain']['volumes']) == ('enabled', [other])


@ON_SQLITE
def test_empty_group_is_as_consistent_as_it_was_looked_at(ctxt, database):
    row = protect(ctxt, make_group(ctxt), scope='group')
    replication_shipping.nothing_to_ship(ctxt, row.id)
    found = replications.get(ctxt, row.id)
    assert found.state == 'enabled'
    assert timeutils.utcnow() - found.last_consistent_at < datetime.timedelta(seconds=10)


@ON_SQLITE
def test_group_that_has_volumes_is_not_taken_for_an_empty_one(make_volume, ctxt):
    group_id = make_group(ctxt)
    make_volume(group_id=group_id)
    row = protect(ctxt, group_id, scope='group')
    replication_shipping.nothing_to_ship(ctxt, row.id)
    assert replications.get(ctxt, row.id).last_consistent_at is None


@ON_SQLITE
def test_operations_are_open_until_they_end(make_volume, ctxt):
    row = _arrive(ctxt, protect(ctxt, make_volume()))
    made = replication_operations.create(ctxt, {'verb': 'failover', 'replication_id': row.id})
    assert [(each.id, each.home) for each in replication_shipping.open_operations(ctxt)] == [
        (made.id, BACKEND)]
    transition.move(ctxt, states.OPERATION, made.id, 'fail')
    assert replication_shipping.open_operations(ctxt) == []


@ON_SQLITE
@pytest.mark.parametrize('is_deleted', [False, True])
def test_removed_members_are_found_when_their_volumes_are_deleted_too(make_volume, ctxt, is_deleted):
    volume_id = make_volume()
    row = protect(ctxt, volume_id)
    if is_deleted:
        volumes.mark_deleted(ctxt, volume_id)
    assert [each.id for each in replication_shipping.removed(ctxt, row.id, [volume_id])] == [
        volume_id]
    assert (replication_shipping.shipment(ctxt, row.id, [volume_id]) == []) is is_deleted


def test_volumes_of_groups_whose_type_asks_are_concerned(database, make_volume, ctxt):
    group_id = make_group(ctxt)
    inside = make_volume(group_id=group_id)
    assert replication_shipping.own_volumes(ctxt, BACKEND) == []
    _ask_of_group(ctxt, group_id)
    assert [each.id for each in replication_shipping.own_volumes(ctxt, BACKEND)] == [inside]


@session.writer
def _ask_of_group(context, group_id):
    group = context.session.get(replication_shipping.group_models.Group, group_id)
    context.session.add(replication_shipping.group_models.GroupTypeSpec(
        group_type_id=group.group_type_id, key='group_replication_enabled', value='<is> True'))
