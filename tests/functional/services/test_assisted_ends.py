"""What comes of an assisted snapshot when the compute service refuses, fails, is silent or late."""
# SPDX-License-Identifier: Apache-2.0

import threading

import pytest

from cinder_ext import exceptions
from cinder_ext.db import snapshots, volume_requests
from cinder_ext.states import messages


def _status(work, snapshot_id):
    return snapshots.get(work.context, snapshot_id).status


def _silent(work):
    """The compute service takes a request and answers nothing."""
    work.nova.answer = lambda method, path, document: None


def _sweeping(work, claim):
    """Sweep until a claim is true."""
    def look():
        work.sweep()
        return claim()
    return work.cloud.until(look)


@pytest.mark.parametrize('status', [400, 403, 404, 409])
def test_create_that_is_refused_leaves_everything_as_it_was(assisted, status):
    volume_id = assisted.attached()
    before, names = assisted.files(volume_id), assisted.names()
    assisted.nova.answer = lambda method, path, document: status
    snapshot_id = assisted.ask_create(volume_id)
    assisted.becomes(snapshot_id, 'error')
    assert (assisted.files(volume_id), assisted.names()) == (before, names)
    assert assisted.noted(snapshot_id) == {}
    assert assisted.cloud.told(snapshot_id) == [
        (messages.SNAPSHOT_CREATE, messages.COMPUTE_REFUSED_SNAPSHOT, None)]
    assisted.ask_delete(snapshot_id)
    assisted.is_gone(snapshot_id)
    assert len(assisted.nova.asked) == 1


def test_delete_that_is_refused_may_be_tried_again(assisted):
    volume_id = assisted.attached()
    snapshot_id = assisted.snapshot(volume_id)
    before, names = assisted.files(volume_id), assisted.names()
    assisted.nova.answer = lambda method, path, document: 409
    assisted.ask_delete(snapshot_id)
    assisted.becomes(snapshot_id, 'error_deleting')
    assert (assisted.files(volume_id), assisted.names()) == (before, names)
    assert assisted.cloud.told(snapshot_id) == [
        (messages.SNAPSHOT_DELETE, messages.COMPUTE_REFUSED_SNAPSHOT, None)]
    assisted.nova.answer = lambda method, path, document: 204
    assisted.ask_delete(snapshot_id)
    assisted.is_asked(snapshot_id)
    assisted.merge(assisted.nova.asked[-1][2])
    assisted.report(snapshot_id, 'deleting', '90%')
    assisted.is_gone(snapshot_id)


def test_create_of_which_nothing_is_heard_expires_and_a_late_report_settles_it(assisted):
    work = assisted
    work.expire_after(3)
    volume_id = work.attached()
    old, = work.files(volume_id)
    _silent(work)
    snapshot_id = work.ask_create(volume_id)
    work.cloud.until(lambda: work.nova.asked)
    new = work.nova.asked[0][2]['snapshot']['create_info']['new_file']
    work.write(new, 0, 7)
    work.sweep()
    assert (_status(work, snapshot_id), work.files(volume_id)) == ('creating', {old})
    _sweeping(work, lambda: _status(work, snapshot_id) == 'error')
    assert work.files(volume_id) == {f'layers/{new}'}
    assert {old.removeprefix('layers/'), new} <= work.names()
    assert work.noted(snapshot_id)['cinder_ext:unsettled'] == 'create'
    assert work.cloud.told(snapshot_id) == [
        (messages.SNAPSHOT_CREATE, messages.COMPUTE_SILENT_ON_SNAPSHOT, None)]
    assert not work.report(snapshot_id, 'error')
    assert work.noted(snapshot_id)['cinder_ext:unsettled'] == 'create'
    assert work.report(snapshot_id, 'creating', '90%')
    work.cloud.until(lambda: work.noted(snapshot_id) == {})
    assert (_status(work, snapshot_id), work.files(volume_id)) == ('error', {f'layers/{new}'})
    assert len(work.nova.asked) == 1


def test_expired_create_is_settled_when_the_volume_is_detached(assisted):
    work = assisted
    work.expire_after(1)
    volume_id = work.attached()
    snapshot_id = work.ask_create(volume_id)
    _sweeping(work, lambda: _status(work, snapshot_id) == 'error')
    new, = work.files(volume_id)
    work.detach(volume_id)
    _sweeping(work, lambda: work.noted(snapshot_id) == {})
    work.attached(volume_id=volume_id)
    assert work.files(volume_id) == {new}


def test_expired_create_is_settled_by_the_next_consumer(assisted):
    work = assisted
    work.expire_after(1)
    volume_id = work.attached()
    snapshot_id = work.ask_create(volume_id)
    _sweeping(work, lambda: _status(work, snapshot_id) == 'error')
    work.detach(volume_id)
    work.attached(volume_id=volume_id)
    assert work.noted(snapshot_id) == {}


def test_create_that_failed_makes_the_new_file_the_volume(assisted):
    """The compute service may have failed after the server had gone over to it."""
    volume_id = assisted.attached()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    new = assisted.nova.asked[0][2]['snapshot']['create_info']['new_file']
    assert assisted.report(snapshot_id, 'error')
    assisted.becomes(snapshot_id, 'error')
    assert assisted.files(volume_id) == {f'layers/{new}'}
    assert assisted.cloud.told(snapshot_id) == [
        (messages.SNAPSHOT_CREATE, messages.COMPUTE_FAILED_SNAPSHOT, None)]


def test_delete_expires_and_is_done_when_it_is_asked_for_again(assisted):
    """The merge was done and its report was lost."""
    work = assisted
    work.expire_after(2)
    volume_id = work.attached()
    snapshot_id = work.snapshot(volume_id)
    work.ask_delete(snapshot_id)
    work.is_asked(snapshot_id)
    work.merge(work.nova.asked[-1][2])
    names = work.names()
    _sweeping(work, lambda: _status(work, snapshot_id) == 'error_deleting')
    assert work.names() == names
    assert work.noted(snapshot_id) == {'cinder_ext:unsettled': 'delete'}
    asked = len(work.nova.asked)
    work.ask_delete(snapshot_id)
    work.is_gone(snapshot_id)
    assert len(work.nova.asked) == asked
    assert len(work.names()) == 1


def test_late_report_on_a_delete_is_accepted_and_the_status_stays(assisted):
    work = assisted
    work.expire_after(1)
    snapshot_id = work.snapshot(work.attached())
    work.ask_delete(snapshot_id)
    work.is_asked(snapshot_id)
    _sweeping(work, lambda: _status(work, snapshot_id) == 'error_deleting')
    assert work.report(snapshot_id, 'deleting', '90%')
    work.cloud.until(lambda: work.noted(snapshot_id) == {})
    assert _status(work, snapshot_id) == 'error_deleting'
    with pytest.raises(exceptions.InvalidState):
        work.report(snapshot_id, 'deleting', '90%')


def test_delete_that_is_reported_and_was_not_done_is_no_delete(assisted):
    volume_id = assisted.attached()
    snapshot_id = assisted.snapshot(volume_id)
    names = assisted.names()
    assisted.ask_delete(snapshot_id)
    assisted.is_asked(snapshot_id)
    assisted.report(snapshot_id, 'deleting', None, 'deleting_compute_complete')
    assisted.becomes(snapshot_id, 'error_deleting')
    assert assisted.names() == names
    assert assisted.noted(snapshot_id) == {}


def test_reports_that_come_twice_or_cannot_be_made(assisted):
    volume_id = assisted.attached()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    assert not assisted.report(snapshot_id, 'creating', '50%')
    for status, token in [('deleting', None), ('creating', 'deleting_compute_complete'),
                          ('error_deleting', None)]:
        with pytest.raises(exceptions.InvalidState):
            assisted.report(snapshot_id, status, '90%', token)
    assert _status(assisted, snapshot_id) == 'creating'
    with assisted.cloud.backends._services[0]._backend.running.turn(volume_id):
        for status in ('creating', 'creating', 'error'):
            assert assisted.report(snapshot_id, status, '90%')
    assisted.becomes(snapshot_id, 'available')
    with pytest.raises(exceptions.InvalidState):
        assisted.report(snapshot_id, 'creating', '90%')
    assert _status(assisted, snapshot_id) == 'available'


def test_report_overtakes_the_answer(assisted):
    """The compute service reports before it has answered the request."""
    volume_id, answered = assisted.attached(), threading.Event()

    def answer(method, path, document):
        assisted.report(document['snapshot']['create_info']['snapshot_id'], 'creating', '90%')
        answered.wait(5)
        return 200

    assisted.nova.answer = answer
    snapshot_id = assisted.ask_create(volume_id)
    assisted.becomes(snapshot_id, 'available')
    answered.set()
    second_id = assisted.ask_create(volume_id)
    assisted.becomes(second_id, 'available')
    assert assisted.noted(snapshot_id) == {}


def test_volume_that_is_detached_meanwhile_ends_with_the_report(assisted):
    volume_id = assisted.attached()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    assisted.detach(volume_id)
    assisted.report(snapshot_id, 'creating', '90%')
    assisted.becomes(snapshot_id, 'available')


def test_volume_that_is_detached_meanwhile_ends_with_the_deadline_and_is_certain(assisted):
    work = assisted
    work.expire_after(1)
    volume_id = work.attached()
    snapshot_id = work.ask_create(volume_id)
    work.is_asked(snapshot_id)
    work.detach(volume_id)
    _sweeping(work, lambda: _status(work, snapshot_id) == 'error')
    assert work.noted(snapshot_id) == {}


def test_next_consumer_never_opens_the_old_file(assisted):
    """The first one may have gone over to the new file, with its report still on the way."""
    volume_id = assisted.attached()
    old, = assisted.files(volume_id)
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    assisted.attach(volume_id, 'compute-2', complete=False)
    new = assisted.nova.asked[0][2]['snapshot']['create_info']['new_file']
    assert assisted.files(volume_id) == {f'layers/{new}'}
    assert _status(assisted, snapshot_id) == 'error'
    assert assisted.report(snapshot_id, 'creating', '90%')
    assisted.cloud.until(lambda: assisted.noted(snapshot_id) == {})
    assert old != f'layers/{new}'


def test_force_delete_waits_for_the_end_and_takes_nothing_from_the_server(assisted):
    volume_id = assisted.attached()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    names = assisted.names()
    assisted.ask_delete(snapshot_id, force=True)
    assisted.sweep()
    assert (assisted.names(), _status(assisted, snapshot_id)) == (names, 'deleting')
    assert assisted.report(snapshot_id, 'creating', '90%')
    assisted.cloud.until(lambda: assisted.stage(snapshot_id) == 'asked'
                         and assisted.nova.asked[-1][0] == 'DELETE')
    assisted.merge(assisted.nova.asked[-1][2])
    assisted.report(snapshot_id, 'deleting', '90%')
    assisted.is_gone(snapshot_id)
    assert {f'layers/{name}' for name in assisted.names()} == assisted.files(volume_id)


def test_status_that_is_reset_does_not_keep_an_operation_from_its_end(assisted):
    volume_id = assisted.attached()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    new = assisted.nova.asked[0][2]['snapshot']['create_info']['new_file']
    volume_requests.reset_snapshot_status(assisted.context, snapshot_id, 'error')
    assert assisted.report(snapshot_id, 'creating', '90%')
    assisted.cloud.until(lambda: assisted.noted(snapshot_id) == {})
    assert (_status(assisted, snapshot_id), assisted.files(volume_id)) == (
        'error', {f'layers/{new}'})
