"""Failovers of many volumes at once: what replication_failover.py does, in few transactions.

Also what it does not: volumes that cannot be taken though their rows allow it, the service of a
whole backend, and what a resync mends.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    backend_failovers,
    models,
    replication_failover,
    replication_models,
    replication_operations,
    replications,
    services,
    session,
    transition,
    volumes,
)
from cinder_ext.states import replication as states
from cinder_ext.states import snapshot as snapshot_states

_Attachment = models.Attachment
_Replication = replication_models.Replication
_Snapshot = models.Snapshot
_Volume = models.Volume

_STILL = (snapshot_states.AVAILABLE, snapshot_states.ERROR, snapshot_states.ERROR_DELETING)
"""Statuses of a snapshot that nobody is changing."""


@session.reader
def refusals(context, volume_ids, allow_attached, force):
    """Which volumes could not be taken now: volume id -> MemberRefused.

    :param allow_attached: also volumes that have attachments
    :param force: the home may be dead: what it was doing does not count
    """
    rows = {row.id: row for row in context.session.execute(
        sa.select(_Volume).where(_Volume.id.in_(volume_ids), _Volume.deleted_at.is_(None))
        .execution_options(populate_existing=True)).scalars()}
    used = attachments(context, volume_ids)
    found = {}
    for volume_id in volume_ids:
        reason = _reason(rows.get(volume_id), force)
        if reason:
            found[volume_id] = exceptions.MemberRefused(id=volume_id, reason=reason)
        elif used.get(volume_id) and not allow_attached:
            found[volume_id] = exceptions.MemberAttached(id=volume_id, count=len(used[volume_id]))
    return found if force else {**unsettled(context, volume_ids), **found}


def _reason(row, force):
    """Why a volume cannot be taken, whoever uses it; None when it can."""
    if row is None:
        return 'it does not exist any more'
    allowed = replication_failover.FORCED if force else replication_failover.TAKEN
    reasons = {
        'another operation is failing it over or back':
            row.replication_status == states.FAILING_OVER,
        f'its replication_status is {row.replication_status}':
            row.replication_status not in states.VOLUME.row('fail-over').sources,
        'it is being migrated': row.migration_status in volumes.MIGRATING,
        f'its status is {row.status}': row.status not in allowed,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


@session.reader
def unsettled(context, volume_ids):
    """Which volumes have snapshots that are being made or removed: volume id -> MemberRefused."""
    return {volume_id: exceptions.MemberRefused(
        id=volume_id, reason=f'its snapshot {snapshot_id} is being made or removed')
        for volume_id, snapshot_id in context.session.execute(
            sa.select(_Snapshot.volume_id, _Snapshot.id)
            .where(_Snapshot.volume_id.in_(volume_ids), _Snapshot.deleted_at.is_(None),
                   _Snapshot.status.not_in(_STILL)))}


@session.reader
def attachments(context, volume_ids):
    """The attachments of volumes that have some: volume id -> list of models.Attachment."""
    found = {}
    for row in context.session.execute(
            sa.select(_Attachment)
            .where(_Attachment.volume_id.in_(volume_ids), _Attachment.deleted_at.is_(None))
            .order_by(_Attachment.created_at, _Attachment.id)).scalars():
        found.setdefault(row.volume_id, []).append(row)
    return found


@session.writer
def keep_connection(context, attachment_id, connection_info):
    """The consumer of an attachment is to use the volume where it is now."""
    context.session.execute(
        sa.update(_Attachment)
        .where(_Attachment.id == attachment_id, _Attachment.deleted_at.is_(None))
        .values(connection_info=connection_info, updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False))


@session.writer
def place(context, operation_id, placed):
    """Store where volumes are used from now on: a list of what store_location takes.

    :param placed: a list of (volume id, location, {snapshot's name_id: location}, columns)
    """
    for volume_id, location, of_snapshots, values in placed:
        with _of_this_member(context, operation_id, volume_id):
            replication_failover.store_location(context, operation_id, volume_id, location,
                                                of_snapshots, values)


@contextlib.contextmanager
def _of_this_member(context, operation_id, volume_id):
    """A volume that somebody has taken out of an operation's hands by force is that member's fault."""
    try:
        yield
    except exceptions.TransitionRefused as refusal:
        replication_operations.member_failed(context, operation_id, volume_id, refusal)


@session.writer
def arrive(context, operation_id, volume_ids, is_home):
    """Volumes are used where the operation brought them; their members are done."""
    end = replication_failover.failed_back if is_home else replication_failover.failed_over
    for volume_id in volume_ids:
        with _of_this_member(context, operation_id, volume_id):
            end(context, operation_id, volume_id)


@session.writer
def fail(context, operation_id, failed):
    """Members were not moved, and may have to be moved again: ``failover-error``.

    :param failed: a list of (volume id, exceptions.CinderExtError)
    """
    for volume_id, fault in failed:
        replication_failover.failed(context, operation_id, volume_id, fault)


@session.writer
def give_back(context, operation_id, failed):
    """Nothing was changed at the arrays: volumes are what they were.

    :param failed: as for fail
    """
    for volume_id, fault in failed:
        replication_failover.give_back(context, operation_id, volume_id, fault)


@session.writer
def settle(context, operation_id, is_home, settled):
    """Say where replications stand after their members, and why one is not where it should be.

    :param settled: a list of (replication id, columns where all are done, row of the first member
        that failed or None)
    """
    for replication_id, values, failed in settled:
        row = replication_failover.settle(context, operation_id, replication_id, is_home, values)
        if row is None:
            continue
        said = failed if row.state == states.FAILOVER_ERROR else None
        replications.update(context, replication_id, {
            'error': said and said.error, 'error_code': said and said.error_code,
            'remedy': said and 'See the members of the operation; then ask for it again.'})


@session.writer
def tell_others(context, moved, is_home):
    """Replications of moved volumes to further targets ship no more, and again when they are home.

    Those targets have not seen the promotion: they are shipped to anew, with its epoch.

    :param moved: rows of members
    """
    protected = replication_models.ReplicationMember
    epochs = {}
    for replication_id, volume_id in context.session.execute(
            sa.select(protected.replication_id, protected.volume_id)
            .where(protected.volume_id.in_([each.volume_id for each in moved]),
                   protected.replication_id.not_in({each.replication_id for each in moved}))):
        epoch = next(each.epoch for each in moved if each.volume_id == volume_id)
        epochs[replication_id] = max(epoch, epochs.get(replication_id, 0))
    for replication_id, epoch in epochs.items():
        values = {'is_shipping': True, 'epoch': epoch} if is_home else {'is_shipping': False}
        replications.update(context, replication_id, values)


@session.writer
def begin_backend(context, host):
    """A whole backend is being failed over or back; what its service was before is returned.

    Idempotent.
    """
    service = services.get(context, services.VOLUME_BINARY, host)
    before = service.replication_status
    transition.move(context, states.SERVICE, service.id, 'fail-over')
    return before


@session.writer
def end_backend(context, host, event, target=None):
    """A whole backend was failed over or back, or was not.  Idempotent.

    What is not replicated is at home: on a failover its volumes are in error, and their former
    statuses are kept; on a failback they have them again.

    :param event: of states.SERVICE
    :param target: the backend_id; None: home.  Not looked at when it failed
    """
    service = services.get(context, services.VOLUME_BINARY, host)
    values = {} if event == 'failover-failed' else {'active_backend_id': target}
    if not transition.try_move(context, states.SERVICE, service.id, event, {
            **values, **backend_failovers.columns(service, event)}) or not values:
        return
    if target is None:
        replication_failover.restore(context, host)
    else:
        replication_failover.strand(context, replication_failover.unreplicated(context, host))


@session.writer
def mend(context, operation_id, volume_ids, is_away):
    """Volumes whose sides are of one mind again; their members are done.

    :param is_away: they are used at their target
    """
    for volume_id in sorted(volume_ids):
        word = context.session.execute(
            sa.select(_Volume.replication_status).where(_Volume.id == volume_id)).scalar()
        for event in _MEND_VOLUME[is_away].get(word, ()):
            transition.move(context, states.VOLUME, volume_id, event)
        replication_operations.member_done(context, operation_id, volume_id)


_MEND_VOLUME = {
    True: {'error': ('failed-over',), 'failing-over': ('failed-over',),
           'enabled': ('fail-over', 'failed-over'), 'failover-error': ('fail-over', 'failed-over')},
    False: {'error': ('replicated',), 'failover-error': ('replicated',),
            'failing-over': ('failed-back',), 'failed-over': ('fail-over', 'failed-back')},
}
"""Whether it is used at the target -> the word before -> events that lead to the right one."""
_MEND = {
    True: {states.ERROR: ('mend-failed-over',), states.FAILOVER_ERROR: ('mend-failed-over',),
           states.ENABLED: ('fail-over', 'failed-over'), states.PAUSED: ('fail-over', 'failed-over'),
           states.FAILING_OVER: ('failed-over',)},
    False: {states.ERROR: ('mend',), states.FAILOVER_ERROR: ('mend',),
            states.FAILED_OVER: ('fail-over', 'failed-back'), states.FAILING_OVER: ('failed-back',)},
}


@session.writer
def mend_replication(context, replication_id, is_away, values):
    """A replication whose sides are of one mind again.

    :param is_away: its source is its target
    :param values: other columns
    """
    state = context.session.execute(
        sa.select(_Replication.state).where(_Replication.id == replication_id)
        .with_for_update()).scalar_one()
    context.session.execute(
        sa.update(_Replication).where(_Replication.id == replication_id).values(**values)
        .execution_options(synchronize_session=False))
    for event in _MEND[is_away].get(state, ()):
        transition.move(context, states.MACHINE, replication_id, event)
