"""Assisted snapshots wait for one another as rows, also over a restart, and groups for the last."""
# SPDX-License-Identifier: Apache-2.0

import functools
import os
import sys
import threading
import traceback
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    assisted_snapshots,
    attachments,
    group_snapshots,
    reverts,
    snapshots,
    volume_migrations,
    volume_requests,
    volumes,
)
from cinder_ext.states import messages
from cinder_ext.volume import backend

STEPS = ['none', 'begun', 'prepared', 'asking', 'asked']


def _asked_ids(work):
    return [document['snapshot']['create_info']['snapshot_id'] if method == 'POST'
            else path.rpartition('/')[2] for method, path, document in work.nova.asked]


def _asked_of(work, snapshot_ids):
    return {each for each in snapshot_ids if work.stage(each) == 'asked'}


def _report_all(work, snapshot_ids):
    """Report each create when it is asked for; returns the order."""
    left = set(snapshot_ids)
    while left:
        now = work.cloud.until(functools.partial(_asked_of, work, frozenset(left)))
        assert len(now) == 1
        work.report(*now, 'creating', '90%')
        left -= now
    for each in snapshot_ids:
        work.becomes(each, 'available')
    return [each for each in _asked_ids(work) if each in snapshot_ids]


def test_snapshots_of_one_volume_are_taken_one_after_another_in_order(assisted):
    volume_id = assisted.attached()
    wanted = [assisted.ask_create(volume_id) for _ in range(4)]
    assert _report_all(assisted, wanted) == wanted
    assert assisted.cloud.row(volume_id).status == 'in-use'
    assert len(assisted.names()) == 5


def test_deletes_and_creates_of_one_volume_wait_for_one_another(assisted):
    volume_id = assisted.attached()
    first_id, second_id = (assisted.snapshot(volume_id) for _ in range(2))
    assisted.ask_delete(first_id)
    assisted.is_asked(first_id)
    assisted.ask_delete(second_id)
    third_id = assisted.ask_create(volume_id)
    assert (assisted.stage(second_id), assisted.stage(third_id)) == (None, None)
    for each in (first_id, second_id):
        assisted.is_asked(each)
        assisted.merge(assisted.nova.asked[-1][2])
        assisted.report(each, 'deleting', '90%')
        assisted.is_gone(each)
    assert _report_all(assisted, [third_id]) == [third_id]
    assert len(assisted.names()) == 2


def _busy():
    """Names of the threads that are in the middle of something of the volume service's journeys."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    journeys = os.path.join('cinder_ext', 'volume', 'snapshots')
    return {names.get(ident) for ident, frame in sys._current_frames().items()
            if any(journeys in each.filename for each in traceback.extract_stack(frame))}


def test_no_thread_waits_for_the_compute_service(assisted):
    volume_ids = [assisted.attached() for _ in range(4)]
    first = [assisted.ask_create(volume_id) for volume_id in volume_ids]
    later = [assisted.ask_create(volume_id) for volume_id in volume_ids for _ in range(5)]
    for each in first:
        assisted.is_asked(each)
    assisted.cloud.until(lambda: not _busy())
    assert {assisted.stage(each) for each in later} == {None}
    for each in first:
        assisted.report(each, 'creating', '90%')
    for each in later[::5]:
        assisted.is_asked(each)


@pytest.mark.parametrize('stage', STEPS)
def test_killed_create_is_gone_on_with(assisted, stage):
    """What a killed service left in the rows is found at the next start."""
    volume_id = assisted.attached()
    old, = assisted.files(volume_id)
    assisted.cloud.stop()
    snapshot_id = snapshots.create(assisted.context, {'volume_id': volume_id}, force=True).id
    reached = STEPS.index(stage)
    if reached >= 1:
        operation = assisted_snapshots.claim(assisted.context, snapshot_id, 'creating', 600)
    if reached >= 2:
        assisted_snapshots.prepared(assisted.context, operation, {'overlay': 'x'}, {})
    if reached >= 3:
        assert assisted_snapshots.asking(assisted.context, operation, 600)
        assert assisted_snapshots.asking(assisted.context, operation, 600) is None
    if reached >= 4:
        assisted_snapshots.asked(assisted.context, operation)
    assisted.cloud.start()
    if reached < 3:
        assisted.is_asked(snapshot_id)
        assert _asked_ids(assisted) == [snapshot_id]
        assisted.report(snapshot_id, 'creating', '90%')
        assisted.becomes(snapshot_id, 'available')
        assert assisted.files(volume_id) != {old}
        return
    assert assisted.nova.asked == []
    assert assisted.stage(snapshot_id) == ('asking' if stage == 'asking' else 'asked')


def test_report_whose_message_is_lost_is_found_by_the_sweep(assisted):
    volume_id = assisted.attached()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    assisted.cloud.stop()
    assisted.report_alone(snapshot_id, 'creating', '90%')
    assisted.cloud.start()
    assisted.becomes(snapshot_id, 'available')
    assert len(assisted.nova.asked) == 1


def test_volume_that_is_detached_before_the_question_is_left_to_the_driver(assisted):
    volume_id = assisted.attached()
    assisted.cloud.stop()
    snapshot_id = snapshots.create(assisted.context, {'volume_id': volume_id}, force=True).id
    assisted_snapshots.claim(assisted.context, snapshot_id, 'creating', 600)
    for each in attachments.of_volume(assisted.context, volume_id):
        attachments.detached(assisted.context, each.id)
    assisted.cloud.start()
    assisted.becomes(snapshot_id, 'available')
    assert assisted.nova.asked == []
    assert assisted.noted(snapshot_id) == {}


def test_snapshot_waits_while_a_server_moves(assisted):
    """The destination was told which file to open; it must not change until it has done so."""
    volume_id = assisted.attached()
    snapshot_id = snapshots.create(assisted.context, {'volume_id': volume_id}, force=True).id
    second_id = assisted.attach(volume_id, 'compute-2', complete=False)
    assisted.cloud.volume_api.create_snapshot(
        assisted.context, assisted.cloud.row(volume_id).host, snapshot_id)
    # A message that is waited for comes after it.
    assisted.cloud.volume_api.connect_attachment(
        assisted.context, assisted.cloud.row(volume_id).host, second_id)
    assert assisted.stage(snapshot_id) is None
    attachments.complete(assisted.context, second_id)
    assisted.cloud.until(lambda: assisted.sweep() or assisted.stage(snapshot_id) == 'asked')


@pytest.fixture
def nobody_asks(assisted):
    """An Event; until it is set the questions to the compute service wait."""
    go_on = threading.Event()
    pool = assisted.cloud.backends._services[0]._backend.asking
    for _ in range(backend.ASKED_AT_ONCE):
        pool.submit(go_on.wait, 30)
    yield go_on
    go_on.set()


def test_what_was_not_asked_for_is_taken_back_when_a_server_moves(assisted, nobody_asks):
    volume_id = assisted.attached()
    before, names = assisted.files(volume_id), assisted.names()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.cloud.until(lambda: assisted.names() != names)
    second_id = assisted.attach(volume_id, 'compute-2', complete=False)
    assert (assisted.stage(snapshot_id), assisted.noted(snapshot_id)) == (None, {})
    assert (assisted.files(volume_id), assisted.names()) == (before, names)
    nobody_asks.set()
    attachments.complete(assisted.context, second_id)
    assisted.cloud.until(lambda: assisted.sweep() or assisted.stage(snapshot_id) == 'asked')
    assert _asked_ids(assisted) == [snapshot_id]


def test_question_is_not_asked_twice_however_often_it_is_swept(assisted, nobody_asks):
    volume_id = assisted.attached()
    names = assisted.names()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.cloud.until(lambda: assisted.names() != names)
    for _ in range(3):
        assisted.cloud.volume_api.complete_snapshot(
            assisted.context, assisted.cloud.row(volume_id).host, snapshot_id)
    nobody_asks.set()
    assisted.is_asked(snapshot_id)
    assisted.report(snapshot_id, 'creating', '90%')
    assisted.becomes(snapshot_id, 'available')
    assert _asked_ids(assisted) == [snapshot_id]


@pytest.fixture
def open_operation(assisted):
    volume_id = assisted.attached()
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    return volume_id, snapshot_id


@pytest.mark.parametrize('begin', [
    lambda context, volume_id: volume_requests.begin_extend(
        context, volume_id, 'extend-attached', 2),
    lambda context, volume_id: volume_migrations.start(
        context, volume_id, {'operation': 'migrate', 'include_snapshots': True}, None),
    lambda context, volume_id: volume_requests.create_from_volume(
        context, volumes.get(context, volume_id),
        {'project_id': 'project', 'user_id': 'user', 'size': 1})], ids=['extend', 'migrate', 'clone'])
def test_what_would_change_the_volume_is_refused_meanwhile(assisted, open_operation, begin):
    volume_id, snapshot_id = open_operation
    with pytest.raises(exceptions.InvalidState) as caught:
        begin(assisted.context, volume_id)
    assert snapshot_id in caught.value.message
    assisted.report(snapshot_id, 'creating', '90%')
    assisted.becomes(snapshot_id, 'available')


def test_detached_volume_is_not_reverted_or_deleted_meanwhile(assisted, open_operation):
    volume_id, snapshot_id = open_operation
    assisted.detach(volume_id)
    with pytest.raises(exceptions.Conflict):
        reverts.begin(assisted.context, volume_id, snapshot_id)
    with pytest.raises(exceptions.InvalidState):
        volume_requests.begin_delete(assisted.context, volume_id, cascade=True)
    assert assisted.cloud.row(volume_id).status == 'available'


def test_volume_is_force_deleted_with_an_open_operation_when_it_is_detached(
        assisted, open_operation):
    volume_id, _snapshot_id = open_operation
    assisted.detach(volume_id)
    volume_requests.begin_delete(assisted.context, volume_id, force=True, cascade=True)
    assisted.cloud.volume_api.delete_volume(
        assisted.context, assisted.cloud.row(volume_id).host, volume_id)
    assisted.cloud.until(lambda: assisted.cloud_is_without(volume_id))
    assert assisted.names() == set()


def _two(groups, specs=None):
    group_id = groups.group(group_type_id=groups.group_type(specs, str(uuid.uuid4())))
    return group_id, [groups.member(group_id) for _ in range(2)]


def test_group_snapshot_has_its_end_with_the_last_member(assisted, assisted_groups):
    group_id, members = _two(assisted_groups)
    assisted.attached(volume_id=members[0])
    assisted.attached('compute-2', volume_id=members[1])
    whole_id = assisted_groups.record_snapshot(group_id)
    assisted.cloud.volume_api.create_group_snapshot(
        assisted.context, assisted_groups.host(group_id), whole_id)
    taken = assisted_groups.members(whole_id)
    for each in taken.values():
        assisted.is_asked(each)
    assisted.report(taken[members[0]], 'creating', '90%')
    assisted.becomes(taken[members[0]], 'available')
    assisted_groups.snapshot_becomes(whole_id, 'creating')
    assisted.report(taken[members[1]], 'creating', '90%')
    assisted_groups.snapshot_becomes(whole_id, 'available')


def test_group_snapshot_fails_when_all_members_have_ended(assisted, assisted_groups):
    group_id, members = _two(assisted_groups)
    assisted.attached(volume_id=members[0])
    assisted.attached('compute-2', volume_id=members[1])
    whole_id = assisted_groups.record_snapshot(group_id)
    assisted.cloud.volume_api.create_group_snapshot(
        assisted.context, assisted_groups.host(group_id), whole_id)
    taken = assisted_groups.members(whole_id)
    for each in taken.values():
        assisted.is_asked(each)
    assisted.report(taken[members[0]], 'error')
    assisted.becomes(taken[members[0]], 'error')
    assert snapshots.get(assisted.context, taken[members[1]]).status == 'creating'
    assisted.report(taken[members[1]], 'creating', '90%')
    assisted_groups.snapshot_becomes(whole_id, 'error')
    assert snapshots.get(assisted.context, taken[members[1]]).status == 'available'


def test_group_snapshot_is_deleted_with_the_last_member(assisted, assisted_groups):
    group_id, members = _two(assisted_groups)
    assisted.attached(volume_id=members[0])
    whole_id = assisted_groups.record_snapshot(group_id)
    host = assisted_groups.host(group_id)
    assisted.cloud.volume_api.create_group_snapshot(assisted.context, host, whole_id)
    taken = assisted_groups.members(whole_id)
    assisted.is_asked(taken[members[0]])
    assisted.report(taken[members[0]], 'creating', '90%')
    assisted_groups.snapshot_becomes(whole_id, 'available')
    group_snapshots.begin_delete(assisted.context, whole_id)
    assisted.cloud.volume_api.delete_group_snapshot(assisted.context, host, whole_id)
    assisted.is_asked(taken[members[0]])
    assisted.is_gone(taken[members[1]])
    assert group_snapshots.get(assisted.context, whole_id).status == 'deleting'
    name, = assisted.files(members[0])
    assisted.merge(assisted.nova.asked[-1][2], name.removeprefix('layers/'))
    assisted.report(taken[members[0]], 'deleting', '90%')
    assisted.cloud.until(lambda: assisted_groups.is_gone(group_snapshots.get, whole_id))


def test_group_snapshot_of_one_moment_is_refused_while_a_member_is_used(assisted, assisted_groups):
    group_id, members = _two(assisted_groups, assisted_groups.CONSISTENT)
    assisted.attached(volume_id=members[1])
    names = assisted.names()
    whole_id = assisted_groups.record_snapshot(group_id)
    assisted.cloud.volume_api.create_group_snapshot(
        assisted.context, assisted_groups.host(group_id), whole_id)
    assisted_groups.snapshot_becomes(whole_id, 'error')
    assert assisted.names() == names
    assert assisted.nova.asked == []
    assert assisted.cloud.told(whole_id) == [
        (messages.CREATE_GROUP_SNAPSHOT, messages.GROUP_NOT_STILL, None)]
