"""Attachments in the database, and the volume's status that follows from them."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import itertools

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    connections,
    reconciliation,
    transition,
    volume_migrations,
    volume_requests,
    volumes,
)
from cinder_ext.states import migration as migration_states

CONNECTOR = {'host': 'one', 'mountpoint': '/dev/vdb', 'initiator': 'iqn'}
OTHER = {**CONNECTOR, 'host': 'two'}


def _volume(ctxt, volume_id):
    volume = volumes.get(ctxt, volume_id)
    return volume.status, volume.attach_status


def _attached(ctxt, volume_id, server='server', connector=CONNECTOR):
    attachment = attachments.reserve(ctxt, volume_id, server)
    attachments.connect(ctxt, attachment.id, connector)
    attachments.store_connection(ctxt, attachment.id, {'driver_volume_type': 'local'})
    attachments.complete(ctxt, attachment.id)
    return attachment.id


def test_reserve_connect_complete_and_detach_move_the_volume(make_volume, ctxt):
    volume_id = make_volume()
    made = attachments.reserve(ctxt, volume_id, 'server', 'ro')
    assert (made.attach_status, made.instance_id, made.attach_mode) == ('reserved', 'server', 'ro')
    assert _volume(ctxt, volume_id) == ('reserved', 'detached')
    connected = attachments.connect(ctxt, made.id, CONNECTOR)
    assert (connected.attach_status, connected.attached_host) == ('attaching', 'one')
    assert (connected.mountpoint, connected.attach_mode) == ('/dev/vdb', 'ro')
    assert _volume(ctxt, volume_id)[0] == 'attaching'
    done = attachments.complete(ctxt, made.id)
    assert done.attach_status == 'attached'
    assert done.attached_at is not None
    assert _volume(ctxt, volume_id) == ('in-use', 'attached')
    before = attachments.begin_detach(ctxt, made.id)
    assert before.attach_status == 'attached'
    assert attachments.get(ctxt, made.id).attach_status == 'detaching'
    assert attachments.unfinished(ctxt, 'node@alpha') == [(made.id, volume_id)]
    assert attachments.detached(ctxt, made.id) == []
    assert _volume(ctxt, volume_id) == ('available', 'detached')
    with pytest.raises(exceptions.AttachmentNotFound):
        attachments.get(ctxt, made.id)


def test_each_step_may_be_repeated(make_volume, ctxt):
    volume_id = make_volume()
    made = attachments.reserve(ctxt, volume_id)
    for _ in range(2):
        attachments.connect(ctxt, made.id, CONNECTOR)
    first = attachments.complete(ctxt, made.id).attached_at
    assert attachments.complete(ctxt, made.id).attached_at == first
    for _ in range(2):
        attachments.begin_detach(ctxt, made.id)
    for _ in range(2):
        assert attachments.detached(ctxt, made.id) == []
    assert _volume(ctxt, volume_id) == ('available', 'detached')


@pytest.mark.parametrize('status', ['creating', 'error', 'deleting', 'in-use', 'reserved', 'attaching',
                                    'extending', 'retyping'])
def test_only_an_available_volume_is_reserved(make_volume, ctxt, status):
    volume_id = make_volume(status=status)
    with pytest.raises(exceptions.InvalidState, match=f'its status is {status}'):
        attachments.reserve(ctxt, volume_id, 'server')
    assert attachments.of_volume(ctxt, volume_id) == []


def test_a_multiattach_volume_in_use_is_reserved_once_more(make_volume, ctxt):
    volume_id = make_volume(multiattach=True)
    first = _attached(ctxt, volume_id, 'one')
    second = attachments.reserve(ctxt, volume_id, 'two')
    assert _volume(ctxt, volume_id) == ('reserved', 'attached')
    assert attachments.detached(ctxt, second.id)[0].id == first
    assert _volume(ctxt, volume_id) == ('in-use', 'attached')


def test_the_same_server_may_reserve_again_to_move_between_hosts(make_volume, ctxt):
    volume_id = make_volume()
    old = _attached(ctxt, volume_id)
    new = attachments.reserve(ctxt, volume_id, 'server')
    assert _volume(ctxt, volume_id) == ('in-use', 'attached')
    with pytest.raises(exceptions.InvalidState):
        attachments.reserve(ctxt, volume_id, 'another server')
    attachments.connect(ctxt, new.id, OTHER)
    attachments.complete(ctxt, new.id)
    attachments.detached(ctxt, old)
    assert _volume(ctxt, volume_id) == ('in-use', 'attached')


def test_a_server_whose_move_failed_half_way_may_begin_another(make_volume, ctxt):
    volume_id = make_volume()
    first = attachments.reserve(ctxt, volume_id, 'server')
    attachments.connect(ctxt, first.id, CONNECTOR)
    assert _volume(ctxt, volume_id)[0] == 'attaching'
    second = attachments.reserve(ctxt, volume_id, 'server')
    attachments.detached(ctxt, first.id)
    assert _volume(ctxt, volume_id)[0] == 'reserved'
    attachments.connect(ctxt, second.id, CONNECTOR)
    attachments.complete(ctxt, second.id)
    assert _volume(ctxt, volume_id) == ('in-use', 'attached')


def test_two_that_connect_to_the_same_host_at_once_are_told_apart(make_volume, ctxt):
    volume_id = make_volume()
    made = [attachments.reserve(ctxt, volume_id, 'server').id for _ in range(2)]
    attachments.connect(ctxt, made[0], CONNECTOR)
    with pytest.raises(exceptions.Conflict, match=made[0]):
        attachments.connect(ctxt, made[1], CONNECTOR)


def test_a_host_that_is_being_let_go_may_be_connected_by_another_attachment(make_volume, ctxt):
    volume_id = make_volume()
    old = _attached(ctxt, volume_id)
    new = attachments.reserve(ctxt, volume_id, 'server').id
    attachments.begin_detach(ctxt, old)
    assert attachments.connect(ctxt, new, CONNECTOR).attach_status == 'attaching'


def test_a_repeated_request_finds_the_attachment_it_has_made(make_volume, ctxt):
    volume_id = make_volume()
    made = attachments.reserve(ctxt, volume_id, 'server')
    attachments.connect(ctxt, made.id, CONNECTOR)
    assert attachments.repeated(ctxt, volume_id, 'server', CONNECTOR).id == made.id
    for server, connector in (('server', OTHER), ('another', CONNECTOR), (None, CONNECTOR)):
        assert attachments.repeated(ctxt, volume_id, server, connector) is None
    attachments.complete(ctxt, made.id)
    assert attachments.repeated(ctxt, volume_id, 'server', CONNECTOR) is None


@pytest.mark.parametrize('order', list(itertools.permutations(range(3))))
def test_the_status_is_right_after_every_event_in_every_order(make_volume, ctxt, order):
    volume_id = make_volume(multiattach=True)
    made = [_attached(ctxt, volume_id), attachments.reserve(ctxt, volume_id, 'server').id,
            attachments.reserve(ctxt, volume_id, 'server').id]
    attachments.connect(ctxt, made[1], OTHER)
    ranks = {0: 'in-use', 1: 'attaching', 2: 'reserved'}
    left = set(range(3))
    for number in order:
        assert _volume(ctxt, volume_id)[0] == ranks[min(left)]
        attachments.begin_detach(ctxt, made[number])
        attachments.detached(ctxt, made[number])
        left.remove(number)
    assert _volume(ctxt, volume_id) == ('available', 'detached')


def test_a_second_connection_to_the_same_host_is_refused(make_volume, ctxt):
    volume_id = make_volume()
    old = _attached(ctxt, volume_id)
    new = attachments.reserve(ctxt, volume_id, 'server')
    with pytest.raises(exceptions.Conflict, match=old):
        attachments.connect(ctxt, new.id, CONNECTOR)
    assert attachments.get(ctxt, new.id).attach_status == 'reserved'


@pytest.mark.parametrize(('remaining', 'status'), [
    (['attached', 'attaching', 'reserved'], 'in-use'),
    (['attaching', 'reserved'], 'attaching'),
    (['reserved'], 'reserved'),
    ([], 'available'),
])
def test_the_status_follows_from_what_remains(make_volume, ctxt, remaining, status):
    volume_id = make_volume(multiattach=True)
    last = _attached(ctxt, volume_id, 'last')
    made = [attachments.reserve(ctxt, volume_id, 'last') for _ in remaining]
    for each, wanted in zip(made, remaining, strict=True):
        if wanted in ('attached', 'attaching'):
            attachments.connect(ctxt, each.id, OTHER)
        if wanted == 'attached':
            attachments.complete(ctxt, each.id)
    left = attachments.detached(ctxt, last)
    assert [each.attach_status for each in left] == remaining
    assert _volume(ctxt, volume_id)[0] == status


def test_a_failed_connection_keeps_the_volume_reserved_until_it_is_removed(make_volume, ctxt):
    volume_id = make_volume()
    made = attachments.reserve(ctxt, volume_id)
    attachments.connect(ctxt, made.id, CONNECTOR)
    attachments.connect_failed(ctxt, made.id)
    assert attachments.get(ctxt, made.id).attach_status == 'error_attaching'
    assert _volume(ctxt, volume_id)[0] == 'reserved'
    attachments.begin_detach(ctxt, made.id)
    attachments.detach_failed(ctxt, made.id)
    assert attachments.get(ctxt, made.id).attach_status == 'error_detaching'
    attachments.begin_detach(ctxt, made.id)
    attachments.detached(ctxt, made.id)
    assert _volume(ctxt, volume_id) == ('available', 'detached')


def test_a_connection_is_not_stored_in_a_removed_attachment(make_volume, ctxt):
    made = attachments.reserve(ctxt, make_volume())
    attachments.connect(ctxt, made.id, CONNECTOR)
    attachments.detached(ctxt, made.id)
    with pytest.raises(exceptions.AttachmentNotFound):
        attachments.store_connection(ctxt, made.id, {'driver_volume_type': 'local'})


def test_a_detaching_attachment_is_not_completed(make_volume, ctxt):
    volume_id = make_volume()
    made = attachments.reserve(ctxt, volume_id)
    attachments.begin_detach(ctxt, made.id)
    with pytest.raises(exceptions.InvalidState, match='its status is detaching'):
        attachments.complete(ctxt, made.id)


def test_a_migrating_volume_is_not_reserved_and_the_migration_is_named(make_volume, ctxt):
    volume_id = make_volume()
    record = volume_migrations.start(ctxt, volume_id, {'operation': 'migrate'}, None)
    with pytest.raises(exceptions.MigrationActive, match=record.id):
        attachments.reserve(ctxt, volume_id, 'server')
    assert _volume(ctxt, volume_id)[0] == 'available'


def test_an_attachment_that_goes_leaves_a_retyping_volume_retyping(make_volume, ctxt):
    volume_id = make_volume()
    made = _attached(ctxt, volume_id)
    volume_migrations.start(ctxt, volume_id, {'operation': 'retype'}, 'retype-attached')
    attachments.detached(ctxt, made)
    assert _volume(ctxt, volume_id) == ('retyping', 'detached')


def test_of_twenty_reservations_one_wins(make_volume, ctxt):
    volume_id = make_volume()

    def reserve(number):
        try:
            return attachments.reserve(contexts.RequestContext(overwrite=False), volume_id,
                                       f'server-{number}').id
        except exceptions.InvalidState:
            return None

    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        results = list(threads.map(reserve, range(20)))
    assert len([each for each in results if each]) == 1
    assert len(attachments.of_volume(ctxt, volume_id)) == 1


def test_twenty_detach_at_once_and_the_volume_is_free(make_volume, ctxt):
    volume_id = make_volume(multiattach=True)
    made = [_attached(ctxt, volume_id, f's{number}') for number in range(20)]
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda each: attachments.detached(
            contexts.RequestContext(overwrite=False), each), made))
    assert _volume(ctxt, volume_id) == ('available', 'detached')


def test_attachments_of_several_volumes_come_in_one_answer(make_volume, ctxt):
    one, two = make_volume(), make_volume()
    made = attachments.reserve(ctxt, one)
    found = attachments.of_volumes(ctxt, [one, two])
    assert [each.id for each in found[one]] == [made.id]
    assert found[two] == []


def test_a_server_that_moves_is_on_two_hosts_and_either_end_may_let_go_first(make_volume, ctxt):
    for order in ((0, 1), (1, 0)):
        volume_id = make_volume()
        both = [_attached(ctxt, volume_id), _attached(ctxt, volume_id, connector=OTHER)]
        assert _volume(ctxt, volume_id) == ('in-use', 'attached')
        for number, left in zip(order, ('in-use', 'available'), strict=True):
            for _ in range(2):
                attachments.detached(ctxt, both[number])
            assert _volume(ctxt, volume_id)[0] == left


def test_an_administrator_s_word_removes_all(make_volume, ctxt):
    volume_id = make_volume(multiattach=True)
    for server in ('one', 'two'):
        _attached(ctxt, volume_id, server)
    volume_requests.reset_status(ctxt, volume_id, 'error', {'attach_status': 'detached'})
    assert attachments.of_volume(ctxt, volume_id) == []
    assert _volume(ctxt, volume_id) == ('error', 'detached')
    with pytest.raises(exceptions.InvalidInput):
        volume_requests.reset_status(ctxt, volume_id, 'in-use')


def test_the_mode_of_the_creation_goes_before_the_connector_s(make_volume, ctxt):
    made = attachments.reserve(ctxt, make_volume(), None, 'ro')
    assert attachments.connect(ctxt, made.id, {'host': 'one', 'mode': 'rw'}).attach_mode == 'ro'
    made = attachments.reserve(ctxt, make_volume())
    assert attachments.connect(ctxt, made.id, {'host': 'one', 'mode': 'ro'}).attach_mode == 'ro'


def test_what_nobody_stands_behind_is_found_by_every_engine(make_volume, ctxt):
    used, idle, noted = make_volume(), make_volume(status='in-use'), make_volume()
    made = attachments.reserve(ctxt, used, 'server')
    connections.note(ctxt, noted, 'one%_')
    record = volume_migrations.start(ctxt, make_volume(), {'operation': 'migrate'}, None)
    transition.move(ctxt, migration_states.MACHINE, record.id, 'schedule')
    for host in (None, 'node@alpha'):
        found, = reconciliation.candidates(ctxt, host)
        assert found.id == made.id
        assert [volume.id for volume, _ in reconciliation.differing(ctxt, host)] == [idle]
        assert reconciliation.noted_hosts(ctxt, host) == {noted: ['one%_']}
    assert reconciliation.candidates(ctxt, 'node@alph') == []
    names = [used, idle, noted, record.source_name_id, record.destination_name_id, 'nothing']
    assert reconciliation.unused_names(ctxt, names) == {idle, 'nothing'}
    done = []
    assert reconciliation.while_unused(ctxt, idle, lambda: done.append(idle))
    assert not reconciliation.while_unused(ctxt, used, lambda: done.append(used))
    assert done == [idle]
    assert reconciliation.settle(ctxt, idle)
    assert reconciliation.let_go(ctxt, found)
    connections.forget(ctxt, noted, 'one%_')
    assert [reconciliation.let_go(ctxt, found), reconciliation.settle(ctxt, idle),
            reconciliation.noted_hosts(ctxt)] == [False, False, {}]
