"""What a compute service reports of snapshots.

A report is a row before it is a message: what is to be done about it is found by a sweep too.
"""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import assisted_snapshots, session, snapshots, volumes
from cinder_ext.states import assisted as words

LOG = log.getLogger(__name__)

@session.writer
def take(context, snapshot_id, status, progress=None, token=None):
    """Take a compute service's report.

    :param token: its ``compute_snapshot_status``, or None
    :returns: whether there is something to be done now by the volume service
    :raises InvalidState: no such report can be made of the snapshot
    :raises SnapshotNotFound: there is none
    """
    row = snapshots.get(context, snapshot_id)
    volumes.lock(context, row.volume_id)
    facts = assisted_snapshots.noted(context, snapshot_id)
    kind = facts.get(words.KIND) or facts.get(words.UNSETTLED)
    if kind is None:
        _report_alone(context, row, status, progress, token)
        return False
    outcome = _outcome(row, kind, status, progress, token)
    if progress is not None:
        snapshots.update(context, snapshot_id, {'progress': progress})
    if outcome is None:
        return False
    said = {words.REPORT: token or words.token_of(kind, outcome)}
    LOG.info('snapshot %s: the compute service reports %s', snapshot_id, said[words.REPORT])
    if words.STAGE not in facts:
        if outcome == words.DONE:
            assisted_snapshots.note(context, snapshot_id, {**said, words.LATE: outcome})
        return outcome == words.DONE
    if facts[words.STAGE] == words.BEGUN:
        # It was not asked yet: that is about an earlier operation.
        return False
    if words.OUTCOME not in facts:
        assisted_snapshots.note(context, snapshot_id, {**said, words.OUTCOME: outcome})
    return True


def _outcome(row, kind, status, progress, token):
    try:
        return words.outcome_of(kind, status, progress, token)
    except ValueError as fault:
        raise _impossible(row.status, status) from fault


def _report_alone(context, row, status, progress, token):
    """Of a snapshot in which this service did not ask a compute service to take part."""
    kind = words.KINDS.get(row.status)
    if token is not None:
        if kind is None:
            raise _impossible(row.status, status)
        _outcome(row, kind, status, progress, token)
        assisted_snapshots.note(context, row.id, {words.REPORT: token})
    snapshots.report(context, row.id, status, progress)


def _impossible(current, status):
    return exceptions.InvalidState(
        kind='snapshot',
        reason=f'a snapshot that is {current} cannot be reported to be {status[:255]}.')
