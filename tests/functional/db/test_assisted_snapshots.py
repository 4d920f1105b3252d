"""The records of assisted snapshots: of several that come at once one counts, and ends are whole."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import datetime
import threading

import pytest
from oslo_utils import timeutils

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    assisted_reports,
    assisted_snapshots,
    attachments,
    models,
    purge,
    session,
    snapshots,
    volume_requests,
)

INFO = {'driver_volume_type': 'nfs', 'name': 'layers/a'}


def _race(*functions):
    """What each function returned; all start together, each in a thread."""
    barrier = threading.Barrier(len(functions))

    def run(function):
        barrier.wait()
        return function(contexts.admin_context())

    with concurrent.futures.ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(run, functions))


@pytest.fixture
def volume_id(make_volume):
    return make_volume()


@pytest.fixture
def attachment_id(volume_id, ctxt):
    made = attachments.reserve(ctxt, volume_id, volume_id)
    attachments.connect(ctxt, made.id, {'host': 'one'})
    attachments.store_connection(ctxt, made.id, INFO)
    attachments.complete(ctxt, made.id)
    return made.id


@pytest.fixture
def snapshot_ids(volume_id, attachment_id, ctxt):
    """Two that are to be made, the older first."""
    return [snapshots.create(ctxt, {'volume_id': volume_id}, force=True).id for _ in range(2)]


@pytest.fixture
def operation(snapshot_ids, ctxt):
    """Of the older one; the compute service is being asked."""
    found = assisted_snapshots.claim(ctxt, snapshot_ids[0], 'creating', 600)
    return assisted_snapshots.asking(ctxt, found, 600)


def test_workers_that_claim_at_once_get_one_operation(snapshot_ids, ctxt):
    found = _race(*[lambda context, each=each: assisted_snapshots.claim(
        context, each, 'creating', 600) for each in snapshot_ids * 4])
    begun = {each.number for each in found if each != assisted_snapshots.LATER}
    assert len(begun) == 1
    assert found.count(assisted_snapshots.LATER) == 4
    assert assisted_snapshots.waiting(ctxt, assisted_snapshots.volume_of(ctxt, snapshot_ids[0])) == [
        (snapshot_ids[1], 'creating')]


def test_compute_service_is_asked_by_one_of_several(snapshot_ids, ctxt):
    found = assisted_snapshots.claim(ctxt, snapshot_ids[0], 'creating', 600)
    asking = [lambda context: assisted_snapshots.asking(context, found, 600)] * 6
    assert sum(each is not None for each in _race(*asking)) == 1


def test_what_is_decided_first_counts(operation, ctxt):
    reports = [lambda context, status=status: assisted_reports.take(
        context, operation.snapshot_id, status, '90%') for status in ('creating', 'error')]
    expiries = [lambda context: assisted_snapshots.decide(context, operation, 'expired')] * 3
    results = _race(*reports, *expiries)
    decided = assisted_snapshots.find(ctxt, operation.snapshot_id).outcome
    assert decided in ('done', 'failed', 'expired')
    assert {each.outcome for each in results[2:]} == {decided}


def test_end_is_told_once_and_is_whole(operation, attachment_id, ctxt):
    new = {**INFO, 'name': 'layers/b'}
    how = assisted_snapshots.End('created', {'provider_location': 'x', 'progress': '100%'},
                                 {'kept': 'yes'}, {attachment_id: new})
    ends = [lambda context: assisted_snapshots.end(context, operation, how)] * 5
    assert sorted(_race(*ends)) == [False] * 4 + [True]
    row = snapshots.get(ctxt, operation.snapshot_id)
    assert (row.status, row.provider_location, row.progress) == ('available', 'x', '100%')
    assert assisted_snapshots.noted(ctxt, row.id) == {'kept': 'yes'}
    assert attachments.get(ctxt, attachment_id).connection_info == new


@session.writer
def _ended_and_killed(context, operation, how):
    assert assisted_snapshots.end(context, operation, how)
    raise ZeroDivisionError


def test_end_that_is_not_committed_has_not_happened(operation, attachment_id, ctxt):
    how = assisted_snapshots.End('created', {'progress': '100%'}, {},
                                 {attachment_id: {**INFO, 'name': 'layers/b'}})
    with pytest.raises(ZeroDivisionError):
        _ended_and_killed(ctxt, operation, how)
    assert snapshots.get(ctxt, operation.snapshot_id).status == 'creating'
    assert attachments.get(ctxt, attachment_id).connection_info == INFO
    assert assisted_snapshots.find(ctxt, operation.snapshot_id).number == operation.number


def test_connection_of_an_attachment_that_is_gone_is_not_stored(operation, attachment_id, ctxt):
    attachments.detached(ctxt, attachment_id)
    how = assisted_snapshots.End('created', connections={attachment_id: {'name': 'layers/b'}})
    assert assisted_snapshots.end(ctxt, operation, how)
    assert not assisted_snapshots.is_used(ctxt, operation.volume_id)


def test_late_answer_about_an_operation_does_not_touch_the_next_one(operation, ctxt):
    assisted_snapshots.end(ctxt, operation, assisted_snapshots.End('created'))
    snapshots.begin_delete(ctxt, operation.snapshot_id)
    later = assisted_snapshots.claim(ctxt, operation.snapshot_id, 'deleting', 600)
    assert assisted_snapshots.decide(ctxt, operation, 'refused') is None
    assisted_snapshots.asked(ctxt, operation)
    assert not assisted_snapshots.end(ctxt, operation, assisted_snapshots.End('created'))
    assert assisted_snapshots.find(ctxt, operation.snapshot_id) == later


def test_report_before_the_question_is_about_something_else(snapshot_ids, ctxt):
    assisted_snapshots.claim(ctxt, snapshot_ids[0], 'creating', 600)
    assert not assisted_reports.take(ctxt, snapshot_ids[0], 'creating', '90%')
    assert assisted_snapshots.find(ctxt, snapshot_ids[0]).outcome is None


def test_wrong_outcome_is_replaced_once(operation, ctxt):
    assisted_snapshots.decide(ctxt, operation, 'done')
    found = assisted_snapshots.decide(ctxt, operation, 'failed', instead_of='done')
    assert found.outcome == 'failed'
    assert assisted_snapshots.decide(ctxt, operation, 'expired',
                                     instead_of='done').outcome == 'failed'


def test_only_what_was_not_asked_is_dropped(snapshot_ids, ctxt):
    found = assisted_snapshots.claim(ctxt, snapshot_ids[0], 'creating', 600)
    found = assisted_snapshots.prepared(ctxt, found, {'overlay': 'x'}, {})
    assert found.noted == {'overlay': 'x'}
    assert assisted_snapshots.drop(ctxt, found)
    assert assisted_snapshots.noted(ctxt, snapshot_ids[0]) == {}
    again = assisted_snapshots.claim(ctxt, snapshot_ids[0], 'creating', 600)
    assert assisted_snapshots.asking(ctxt, again, 600)
    assert not assisted_snapshots.drop(ctxt, again)


def test_deadline_passes(snapshot_ids, ctxt):
    assert assisted_snapshots.claim(ctxt, snapshot_ids[0], 'creating', 0).is_overdue
    found = assisted_snapshots.asking(
        ctxt, assisted_snapshots.find(ctxt, snapshot_ids[0]), 600)
    assert not found.is_overdue
    assert found.deadline - timeutils.utcnow() > datetime.timedelta(seconds=500)


def test_unfinished_are_those_of_one_backend(operation, ctxt):
    expected = [(operation.snapshot_id, operation.volume_id)]
    assert assisted_snapshots.unfinished(ctxt, 'node@alpha') == expected
    assert assisted_snapshots.unfinished(ctxt, 'node@ALPHA') == []
    assert assisted_snapshots.unfinished(ctxt, 'node@alph') == []
    how = assisted_snapshots.End('create-failed', noted={'chain': 'uncertain'}, is_unsettled=True,
                                 message=('009', '952'))
    assert assisted_snapshots.end(ctxt, operation, how)
    assert assisted_snapshots.unfinished(ctxt, 'node@alpha') == expected
    assert assisted_snapshots.unsettled(ctxt, operation.volume_id) == {
        operation.snapshot_id: assisted_snapshots.Unsettled(
            'create', False, {'chain': 'uncertain'})}
    with pytest.raises(exceptions.InvalidState, match=operation.snapshot_id):
        volume_requests.begin_extend(ctxt, operation.volume_id, 'extend-attached', 2)
    assisted_snapshots.settle(ctxt, operation.snapshot_id, operation.volume_id, {})
    assert assisted_snapshots.unfinished(ctxt, 'node@alpha') == []


def test_metadata_goes_with_the_snapshot(operation, ctxt):
    assisted_snapshots.end(ctxt, operation, assisted_snapshots.End('deleted'))
    assert assisted_snapshots.noted(ctxt, operation.snapshot_id) == {}


def test_metadata_of_a_purged_snapshot_is_purged(operation, ctxt):
    @session.writer
    def forget(context):
        row = context.session.get(models.Snapshot, operation.snapshot_id)
        row.deleted_at = timeutils.utcnow() - datetime.timedelta(days=3)

    forget(ctxt)
    assert purge.purge(ctxt, 2) == {'snapshots': 1}
    assert assisted_snapshots.noted(ctxt, operation.snapshot_id) == {}
