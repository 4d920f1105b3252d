"""A swap of an attached volume ends once: forward, or back; whoever says so first."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    attached_migrations,
    attachments,
    shadow_volumes,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.states import migration as states

SERVER = '5e7e4e7e-0000-4000-8000-000000000001'
WHY = ('it failed', 'code', 'remedy')


class Swap:
    """A volume whose server has been asked to swap it."""

    def __init__(self, ctxt, volume_id, lock):
        self.context, self.volume_id = ctxt, volume_id
        self.old = self.attach(volume_id, 'old')
        record = volume_migrations.start(ctxt, volume_id, {
            'operation': 'retype' if lock else 'migrate', 'server_id': SERVER,
            'compute': {'attachment_id': self.old}}, lock)
        self.id = record.id
        for event, values in (('schedule', {'destination_host': 'node@beta#beta'}), ('copy', {})):
            transition.move(ctxt, states.MACHINE, self.id, event, values)
        self.shadow_id = attached_migrations.begin_swap(ctxt, self.id, 0).shadow_volume_id

    def reserve(self, volume_id=None, context=None, server_id=SERVER):
        return attachments.reserve(context or self.context, volume_id or self.shadow_id, server_id).id

    def attach(self, volume_id, host):
        made = self.reserve(volume_id)
        self.connect(made, host)
        attachments.complete(self.context, made)
        return made

    def connect(self, attachment_id, host='new'):
        attachments.connect(self.context, attachment_id, {'host': host})
        attachments.store_connection(self.context, attachment_id, {'path': host})

    def arrive(self):
        """The compute service has moved the guest, and lets the old place go."""
        made = self.attach(self.shadow_id, 'new')
        attachments.detached(self.context, self.old)
        return made

    def back(self, **how):
        return attached_migrations.go_back(self.context, self.id, *WHY, **how)

    @property
    def phase(self):
        return volume_migrations.get(self.context, self.id).phase

    def seen(self):
        volume = volumes.get(self.context, self.volume_id)
        return (volume.status, volume.attach_status, volume.host,
                [each.id for each in attachments.of_volume(self.context, self.volume_id)])


@pytest.fixture(params=['retype-attached', None], ids=['locked', 'unlocked'])
def swap(request, make_volume):
    context = contexts.RequestContext(user_id='admin', is_admin=True, overwrite=False)
    return Swap(context, make_volume(), request.param)


def test_shadow_is_attached_once_by_the_one_server(swap):
    with pytest.raises(exceptions.Conflict):
        swap.reserve(server_id='5e7e4e7e-0000-4000-8000-000000000002')
    made = swap.reserve()
    with pytest.raises(exceptions.Conflict):
        swap.reserve()
    attachments.detached(swap.context, made)
    with pytest.raises(exceptions.Conflict):
        swap.reserve()


def test_shadow_is_attached_by_an_administrator_only(swap, ctxt):
    member = contexts.RequestContext(user_id='user', overwrite=False)
    with pytest.raises(exceptions.MigrationActive):
        swap.reserve(context=member)
    made = swap.reserve()
    with pytest.raises(exceptions.MigrationActive):
        attachments.complete(member, made)


def test_how_far_a_server_is(swap):
    def progress():
        return shadow_volumes.progress(swap.context, swap.shadow_id)
    assert progress() == shadow_volumes.NONE
    made = swap.reserve()
    assert progress() == shadow_volumes.RESERVED
    swap.connect(made)
    assert progress() == shadow_volumes.CONNECTED
    attachments.complete(swap.context, made)
    assert progress() == shadow_volumes.ATTACHED
    attachments.detached(swap.context, made)
    assert progress() == shadow_volumes.ATTACHED


def test_volume_stays_in_use_while_its_server_changes_places(swap):
    before = swap.seen()
    swap.arrive()
    assert swap.seen()[:3] == before[:3]


def test_commit_gives_the_new_attachment_to_the_volume(swap):
    new = swap.arrive()
    for _ in range(2):
        assert attached_migrations.commit(swap.context, swap.id).phase == states.COMMITTED
        assert swap.seen() == ('in-use', 'attached', 'node@beta#beta', [new])
    assert swap.back() is False
    shadow_volumes.discard(swap.context, volume_migrations.get(swap.context, swap.id))
    assert swap.seen()[3] == [new]
    with pytest.raises(exceptions.VolumeNotFound):
        volumes.get(swap.context, swap.shadow_id)


def test_old_attachment_that_is_still_there_goes_to_the_old_place(swap):
    new = swap.attach(swap.shadow_id, 'new')
    attached_migrations.commit(swap.context, swap.id)
    assert swap.seen()[3] == [new]
    old = attachments.get(swap.context, swap.old)
    source = volumes.get(swap.context, old.volume_id)
    assert (source.id, source.host, source.name_id) == (
        swap.shadow_id, 'node@alpha#alpha', swap.volume_id)


def test_attachment_that_was_taken_back_too_late_leaves_the_old_one_with_the_new_way(swap):
    new = swap.attach(swap.shadow_id, 'new')
    attachments.detached(swap.context, new)
    assert swap.back(even_connected=True) is False
    attached_migrations.commit(swap.context, swap.id)
    assert swap.seen() == ('in-use', 'attached', 'node@beta#beta', [swap.old])
    assert attachments.get(swap.context, swap.old).connection_info == {
        'path': 'new', 'attachment_id': swap.old}


def test_nothing_is_committed_before_the_guest_is_there(swap):
    for step in (lambda: None, swap.reserve, lambda: swap.connect(_only(swap))):
        step()
        with pytest.raises(exceptions.InvalidState):
            attached_migrations.commit(swap.context, swap.id)
    assert swap.phase == states.SWAPPING


def _only(swap):
    found, = attachments.of_volume(swap.context, swap.shadow_id)
    return found.id


def test_it_goes_back_only_while_no_guest_can_be_there(swap):
    made = swap.reserve()
    swap.connect(made)
    assert swap.back() is False
    assert swap.back(even_connected=True) is True
    assert swap.back() is True
    assert swap.phase == states.REVERTING
    with pytest.raises(exceptions.InvalidState):
        attached_migrations.commit(swap.context, swap.id)
    volume_migrations.fail(swap.context, swap.id, 'fail', *WHY)
    assert swap.seen() == ('in-use', 'attached', 'node@alpha#alpha', [swap.old])
    with pytest.raises(exceptions.AttachmentNotFound):
        attachments.get(swap.context, made)


def test_a_late_request_finds_nothing_to_attach(swap):
    assert swap.back() is True
    with pytest.raises(exceptions.Conflict):
        swap.reserve()


def test_volume_of_a_server_that_is_gone_is_detached_when_it_went_back(swap):
    attachments.detached(swap.context, swap.old)
    assert swap.seen()[:2] == (('retyping', 'attached') if swap.seen()[0] == 'retyping'
                               else ('in-use', 'attached'))
    swap.back()
    volume_migrations.fail(swap.context, swap.id, 'fail', *WHY)
    assert swap.seen() == ('available', 'detached', 'node@alpha#alpha', [])


def test_begin_is_refused_to_a_former_attempt_and_of_a_volume_with_another_attachment(make_volume):
    context = contexts.RequestContext(user_id='admin', is_admin=True, overwrite=False)
    swap = Swap(context, make_volume(), None)
    assert attached_migrations.begin_swap(context, swap.id, 0).shadow_volume_id == swap.shadow_id
    volume_migrations.update(context, swap.id, {'attempt': 1})
    with pytest.raises(exceptions.TransitionRefused):
        attached_migrations.begin_swap(context, swap.id, 0)


def test_request_is_noted_by_the_present_attempt_while_it_is_swapped(swap):
    attached_migrations.note_request(swap.context, swap.id, 0, {'requests': 1})
    assert volume_migrations.get(swap.context, swap.id).compute == {'requests': 1}
    with pytest.raises(exceptions.RecordLost):
        attached_migrations.note_request(swap.context, swap.id, 1, {'requests': 2})
    swap.back()
    with pytest.raises(exceptions.RecordLost):
        attached_migrations.note_request(swap.context, swap.id, 0, {'requests': 2})


@pytest.mark.parametrize('round_', range(5))
def test_of_complete_and_going_back_one_wins(swap, round_):
    """The guest arrives while somebody gives it up."""
    made = swap.reserve()
    swap.connect(made)
    barrier = threading.Barrier(2)

    def run(function):
        barrier.wait()
        context = contexts.RequestContext(user_id='admin', is_admin=True, overwrite=False)
        try:
            return function(context)
        except (exceptions.Conflict, exceptions.BadRequest, exceptions.NotFound) as refusal:
            return refusal

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        arrived, left = threads.map(run, (
            lambda context: attachments.complete(context, made),
            lambda context: attached_migrations.go_back(context, swap.id, *WHY,
                                                        even_connected=True)))
    has_arrived = shadow_volumes.progress(swap.context, swap.shadow_id) == shadow_volumes.ATTACHED
    assert left is not has_arrived
    assert isinstance(arrived, exceptions.CinderExtError) is not has_arrived
    assert swap.phase == (states.SWAPPING if has_arrived else states.REVERTING)
