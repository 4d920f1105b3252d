"""A failover takes volumes: of it and whatever else would change them, one wins."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from oslo_utils import timeutils
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
    attach_requests,
    attachments,
    group_requests,
    group_snapshots,
    managed,
    replication_failover,
    replications,
    reverts,
    session,
    snapshots,
    transfers,
    transition,
    volume_migrations,
    volume_requests,
    volumes,
)
from cinder_ext.db import replication_operations as operations
from cinder_ext.states import replication as states

pytestmark = ON_SQLITE

FAULT = exceptions.BackendDown('The array does not answer.')


def _begin(ctxt, row, verb='failover', **values):
    operation = operations.create(ctxt, {'verb': verb, 'replication_id': row.id, **values})
    operations.run(ctxt, operation.id)
    replication_failover.begin(ctxt, operation.id)
    return operation


def _member(ctxt, operation):
    member, = operations.members(ctxt, operation.id)
    return member


# Taking

def test_a_taken_volume_is_failing_over_and_its_former_words_are_kept(enabled, ctxt):
    row = enabled()
    operation = _begin(ctxt, row)
    assert replications.get(ctxt, row.id).state == 'failing-over'
    for _ in range(2):
        assert replication_failover.take_members(ctxt, operation.id) == [row.protected_id]
        assert replication_failover.begin(ctxt, operation.id) == {row.id: 'enabled'}
    member = _member(ctxt, operation)
    assert (member.result, member.step, member.former_status, member.former_replication_status) == (
        'pending', 'taken', 'available', 'enabled')
    assert word(ctxt, row.protected_id) == 'failing-over'


@pytest.mark.parametrize(('status', 'force', 'allow_attached', 'is_taken'), [
    ('in-use', False, False, False), ('in-use', True, False, False), ('in-use', False, True, True),
    ('reserved', False, True, True), ('deleting', True, True, False),
    ('extending', False, True, False), ('extending', True, False, True),
    ('maintenance', True, True, False), ('retyping', True, True, False),
    ('error', False, False, True)])
def test_not_every_volume_can_be_taken(
        enabled, ctxt, make_volume, status, force, allow_attached, is_taken):
    row = enabled()
    transition.force(ctxt, volumes.states.MACHINE, row.protected_id, status)
    operation = _begin(ctxt, row, force=force, allow_attached=allow_attached)
    taken = replication_failover.take_members(ctxt, operation.id)
    member = _member(ctxt, operation)
    assert (taken == [row.protected_id]) == is_taken
    if is_taken:
        assert member.former_status == status
    else:
        assert (member.result, status in member.error) == ('failed', True)
        assert word(ctxt, row.protected_id) == 'enabled'


def test_a_volume_without_a_point_is_not_taken(make_volume, ctxt):
    first = make_volume()
    row = protect(ctxt, POOL, 'pool')
    ship(ctxt, row)
    second = make_volume()
    replications.sync_members(ctxt, row.id)
    operation = _begin(ctxt, row)
    assert replication_failover.take_members(ctxt, operation.id) == [first]
    member = operations.member(ctxt, operation.id, second)
    assert (member.result, 'enabling' in member.error) == ('failed', True)


def test_a_planned_failover_waits_for_snapshots_that_are_being_made(enabled, ctxt):
    row = enabled()
    busy = make_snapshot(ctxt, row.protected_id, 'creating')
    operation = _begin(ctxt, row)
    assert replication_failover.take_members(ctxt, operation.id) == []
    assert busy in _member(ctxt, operation).error
    replication_failover.settle(ctxt, operation.id, row.id, False)
    operations.close(ctxt, operation.id)
    forced = _begin(ctxt, row, force=True)
    assert replication_failover.take_members(ctxt, forced.id) == [row.protected_id]


def test_a_planned_failover_waits_for_clones_that_are_being_made(enabled, make_volume, ctxt):
    row = enabled()
    clone = make_volume(status='creating', source_volid=row.protected_id)
    operation = _begin(ctxt, row)
    assert replication_failover.take_members(ctxt, operation.id) == []
    assert clone in _member(ctxt, operation).error
    assert word(ctxt, row.protected_id) == 'enabled'


# What is refused meanwhile

REQUESTS = {
    'delete': lambda ctxt, v: volume_requests.begin_delete(ctxt, v.id),
    'delete by force': lambda ctxt, v: volume_requests.begin_delete(ctxt, v.id, force=True),
    'extend': lambda ctxt, v: volume_requests.begin_extend(ctxt, v.id, 'extend', 9),
    'migrate': lambda ctxt, v: volume_migrations.start(ctxt, v.id, {'operation': 'migrate'}, None),
    'migrate locked': lambda ctxt, v: volume_migrations.start(
        ctxt, v.id, {'operation': 'migrate'}, 'lock'),
    'retype': lambda ctxt, v: volume_migrations.start(
        ctxt, v.id, {'operation': 'retype'}, 'retype'),
    'transfer': lambda ctxt, v: transfers.create(ctxt, v.id, {
        'name': None, 'no_snapshots': False, 'salt': 's', 'key_hash': 'h'}),
    'unmanage': lambda ctxt, v: managed.begin_unmanage(ctxt, v.id),
    'reserve': lambda ctxt, v: attachments.reserve(ctxt, v.id, 'server'),
    'reserve by action': lambda ctxt, v: attach_requests.reserve(ctxt, v.id),
    'attach by action': lambda ctxt, v: attach_requests.attach(
        ctxt, v.id, {'instance_id': 'server', 'attached_host': None}, '/dev/vdb', 'rw'),
    'snapshot': lambda ctxt, v: snapshots.create(ctxt, {'volume_id': v.id}),
    'snapshot by force': lambda ctxt, v: snapshots.create(ctxt, {'volume_id': v.id}, force=True),
    'delete a snapshot': lambda ctxt, v: snapshots.begin_delete(ctxt, v.snapshot),
    'clone': lambda ctxt, v: volume_requests.create_from_volume(
        ctxt, volumes.get(ctxt, v.id), {'project_id': 'project', 'user_id': 'user', 'size': 1}),
    'clone a snapshot': lambda ctxt, v: volume_requests.create_from_snapshot(
        ctxt, snapshots.get(ctxt, v.snapshot),
        {'project_id': 'project', 'user_id': 'user', 'size': 1}),
    'revert': lambda ctxt, v: reverts.begin(ctxt, v.id, v.snapshot),
    'reset its status': lambda ctxt, v: volume_requests.reset_status(ctxt, v.id, 'error'),
    "reset a snapshot's status": lambda ctxt, v: volume_requests.reset_snapshot_status(
        ctxt, v.snapshot, 'error'),
    'leave its group': lambda ctxt, v: group_requests.update(ctxt, v.group, {}, remove=[v.id]),
    'snapshot its group': lambda ctxt, v: group_snapshots.create(
        ctxt, v.group, {'user_id': 'user', 'name': 'whole'}),
    'delete its group': lambda ctxt, v: group_requests.begin_delete(ctxt, v.group, True),
    'set it read only': lambda ctxt, v: attach_requests.set_readonly(ctxt, v.id, True),
}


class _Taken:
    """A volume that a failover has, with a snapshot."""

    def __init__(self, ctxt, enabled, group=None):
        self.row = enabled(group_id=group)
        self.id, self.group = self.row.protected_id, group
        self.snapshot = make_snapshot(ctxt, self.id)
        self.operation = _begin(ctxt, self.row)
        assert replication_failover.take_members(ctxt, self.operation.id) == [self.id]


def _state(ctxt, volume_id):
    row = volumes.get(ctxt, volume_id)
    return (row.status, row.replication_status, row.group_id, row.request,
            [each.status for each in snapshots.of_volume(ctxt, volume_id)],
            attachments.of_volume(ctxt, volume_id))


@pytest.mark.parametrize('is_grouped', [False, True])
def test_a_failover_keeps_everything_else_away(enabled, ctxt, is_grouped):
    taken = _Taken(ctxt, enabled, make_group(ctxt) if is_grouped else None)
    before, refused = _state(ctxt, taken.id), {}
    for name, request in REQUESTS.items():
        if is_grouped == ('group' in name):
            with pytest.raises(exceptions.Conflict) as refusal:
                request(ctxt, taken)
            refused[name] = refusal.value.facts.get('operation_id')
            assert _state(ctxt, taken.id) == before
    assert set(refused.values()) == {taken.operation.id}


def test_of_two_failovers_the_second_is_refused(enabled, ctxt):
    taken = _Taken(ctxt, enabled)
    assert not transition.try_move(ctxt, states.VOLUME, taken.id, 'fail-over')


def test_a_connector_is_refused_and_letting_go_is_not(enabled, ctxt):
    row = enabled()
    one, other = (attachments.reserve(ctxt, row.protected_id, 'server') for _ in range(2))
    operation = _begin(ctxt, row, allow_attached=True)
    replication_failover.take_members(ctxt, operation.id)
    for act in (lambda: attachments.connect(ctxt, one.id, {'host': 'h'}),
                lambda: attachments.complete(ctxt, one.id)):
        with pytest.raises(exceptions.VolumeFailingOver, match=operation.id):
            act()
    for each in (one, other):
        attachments.begin_detach(ctxt, each.id)
        attachments.detached(ctxt, each.id)
    assert volumes.get(ctxt, row.protected_id).status == 'available'


# Arriving, failing, giving back

def test_a_volume_and_its_snapshots_are_where_the_driver_says(enabled, ctxt):
    taken = _Taken(ctxt, enabled)
    later = make_snapshot(ctxt, taken.id)
    missing = replication_failover.store_location(
        ctxt, taken.operation.id, taken.id, 'side:alpha-dr', {taken.snapshot: 'side:alpha-dr'},
        {'epoch': 2, 'point_id': 'p', 'loss_seconds': 1.5})
    assert missing == [later]
    assert volumes.get(ctxt, taken.id).provider_location == 'side:alpha-dr'
    assert snapshots.get(ctxt, taken.snapshot).provider_location == 'side:alpha-dr'
    assert snapshots.get(ctxt, later).provider_location is None
    for _ in range(2):
        replication_failover.failed_over(ctxt, taken.operation.id, taken.id)
    member = _member(ctxt, taken.operation)
    assert (member.result, member.step, member.location, member.epoch, member.loss_seconds) == (
        'done', 'promoted', 'side:alpha-dr', 2, 1.5)
    row = replication_failover.settle(ctxt, taken.operation.id, taken.row.id, False, {
        'source_side': 'alpha-dr', 'destination_side': None, 'is_shipping': False, 'epoch': 2})
    assert (row.state, row.source_side, row.destination_side, row.is_shipping, row.epoch) == (
        'failed-over', 'alpha-dr', None, False, 2)
    assert word(ctxt, taken.id) == 'failed-over'
    assert operations.close(ctxt, taken.operation.id).state == 'succeeded'


def test_a_new_place_is_seen_in_the_transaction_that_stores_it(enabled, ctxt):
    taken = _Taken(ctxt, enabled)

    @session.writer
    def move(context):
        before = volumes.get(context, taken.id), snapshots.get(context, taken.snapshot)
        assert [each.provider_location for each in before] == [None, None]
        replication_failover.store_location(context, taken.operation.id, taken.id, 'there',
                                            {taken.snapshot: 'there'})
        return (volumes.get(context, taken.id).provider_location,
                snapshots.get(context, taken.snapshot).provider_location)

    assert move(ctxt) == ('there', 'there')


def test_an_operation_that_does_not_have_a_volume_moves_nothing(enabled, ctxt):
    taken = _Taken(ctxt, enabled)
    replication_failover.failed(ctxt, taken.operation.id, taken.id, FAULT)
    other = enabled()
    second = _begin(ctxt, other)
    for operation, volume_id in ((taken.operation, taken.id), (second, other.protected_id),
                                 (second, taken.id)):
        with pytest.raises(exceptions.TransitionRefused):
            replication_failover.store_location(ctxt, operation.id, volume_id, 'elsewhere')
        assert volumes.get(ctxt, volume_id).provider_location is None


def test_failing_back_ends_where_it_began(enabled, ctxt):
    taken = _Taken(ctxt, enabled)
    replication_failover.store_location(ctxt, taken.operation.id, taken.id, 'side:alpha-dr')
    replication_failover.failed_over(ctxt, taken.operation.id, taken.id)
    replication_failover.settle(ctxt, taken.operation.id, taken.row.id, False)
    operations.close(ctxt, taken.operation.id)
    back = _begin(ctxt, taken.row, 'failback')
    assert replication_failover.take_members(ctxt, back.id) == [taken.id]
    assert _member(ctxt, back).former_replication_status == 'failed-over'
    replication_failover.store_location(ctxt, back.id, taken.id, None)
    replication_failover.failed_back(ctxt, back.id, taken.id)
    row = replication_failover.settle(ctxt, back.id, taken.row.id, True)
    assert (row.state, word(ctxt, taken.id)) == ('enabled', 'enabled')
    assert volumes.get(ctxt, taken.id).provider_location is None


def test_what_failed_may_be_tried_again(enabled, ctxt):
    taken = _Taken(ctxt, enabled)
    for _ in range(2):
        replication_failover.failed(ctxt, taken.operation.id, taken.id, FAULT)
    assert word(ctxt, taken.id) == 'failover-error'
    assert replication_failover.settle(
        ctxt, taken.operation.id, taken.row.id, False).state == 'failover-error'
    assert operations.close(ctxt, taken.operation.id).state == 'failed'
    again = _begin(ctxt, taken.row)
    assert replication_failover.take_members(ctxt, again.id) == [taken.id]


@pytest.mark.parametrize('former', ['enabled', 'failed-over', 'failover-error', 'error'])
def test_what_was_not_touched_is_what_it_was(enabled, ctxt, former):
    row = enabled()
    transition.force(ctxt, states.VOLUME, row.protected_id, former)
    transition.force(ctxt, states.MACHINE, row.id, former)
    operation = _begin(ctxt, row, 'failback' if former == 'failed-over' else 'failover')
    assert replication_failover.take_members(ctxt, operation.id) == [row.protected_id]
    for _ in range(2):
        replication_failover.give_back(ctxt, operation.id, row.protected_id, FAULT)
    assert word(ctxt, row.protected_id) == former
    assert _member(ctxt, operation).result == 'failed'
    assert replication_failover.settle(ctxt, operation.id, row.id, False).state == former


def test_what_was_paused_is_paused_again(enabled, ctxt):
    row = enabled()
    transition.move(ctxt, states.MACHINE, row.id, 'pause')
    operation = _begin(ctxt, row)
    replication_failover.take_members(ctxt, operation.id)
    replication_failover.give_back(ctxt, operation.id, row.protected_id, FAULT)
    assert replication_failover.settle(ctxt, operation.id, row.id, False).state == 'paused'


def test_a_group_of_which_a_part_failed_is_in_error(make_volume, ctxt):
    group_id = make_group(ctxt)
    ids = sorted(make_volume(group_id=group_id) for _ in range(3))
    row = protect(ctxt, group_id, 'group')
    ship(ctxt, row)
    operation = _begin(ctxt, row)
    assert replication_failover.take_members(ctxt, operation.id) == ids
    replication_failover.failed_over(ctxt, operation.id, ids[0])
    replication_failover.failed(ctxt, operation.id, ids[1], FAULT)
    replication_failover.give_back(ctxt, operation.id, ids[2], FAULT)
    assert [word(ctxt, each) for each in ids] == ['failed-over', 'failover-error', 'enabled']
    assert replication_failover.settle(ctxt, operation.id, row.id, False).state == 'failover-error'
    assert replication_failover.settle(ctxt, operation.id, row.id, False) is None
    assert operations.close(ctxt, operation.id).state == 'partial'


# What is not replicated

def test_volumes_that_are_not_replicated_come_back_as_they_were(enabled, make_volume, ctxt):
    enabled()
    kept = {make_volume(status=status): status
            for status in ('available', 'awaiting-transfer', 'reserved')}
    busy, elsewhere = make_volume(status='creating'), make_volume(host='node@beta#b')
    attachment_of = next(each for each, status in kept.items() if status == 'reserved')
    attachments.reserve(ctxt, make_volume(), 'server')
    in_use = [each for each in replication_failover.unreplicated(ctxt, BACKEND)
              if each not in kept]
    assert len(in_use) == 1
    assert busy not in in_use
    assert elsewhere not in in_use
    ids = [*kept, *in_use]
    for _ in range(2):
        replication_failover.strand(ctxt, ids)
        assert {volumes.get(ctxt, each).status for each in ids} == {'error'}
    assert sorted(replication_failover.restore(ctxt, BACKEND)) == sorted(ids)
    assert replication_failover.restore(ctxt, BACKEND) == []
    # Nobody has an attachment of this one.
    kept[attachment_of] = 'available'
    assert {each: volumes.get(ctxt, each).status for each in kept} == kept
    assert volumes.get(ctxt, in_use[0]).status == 'reserved'


def test_what_an_administrator_has_reset_is_not_restored(make_volume, ctxt):
    volume_id = make_volume(launched_at=timeutils.utcnow())
    replication_failover.strand(ctxt, [volume_id])
    volume_requests.reset_status(ctxt, volume_id, 'error')
    assert replication_failover.restore(ctxt, BACKEND) == []
    assert volumes.get(ctxt, volume_id).status == 'error'


def test_a_volume_that_was_in_error_before_stays_so(make_volume, ctxt):
    volume_id = make_volume(status='error')
    assert replication_failover.strand(ctxt, [volume_id]) == []
    assert replication_failover.restore(ctxt, BACKEND) == []
    assert volumes.get(ctxt, volume_id).status == 'error'
