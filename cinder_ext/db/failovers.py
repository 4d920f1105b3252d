"""What a failover or failback does to the rows of volumes, snapshots, replications and services.

A volume is taken by compare-and-swap: its ``replication_status`` becomes ``failing-over``, and who
would change it otherwise is refused until the operation lets go of it.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    backend_failovers,
    models,
    operation_members,
    replication_models,
    services,
    session,
    transition,
    volumes,
)
from cinder_ext.states import replication as states
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as volume_states

_Attachment = models.Attachment
_Replication = replication_models.Replication
_Service = models.Service
_Snapshot = models.Snapshot
_Volume = models.Volume

_MOVABLE = (volume_states.AVAILABLE, volume_states.IN_USE, volume_states.RESERVED,
            volume_states.ERROR, volume_states.ERROR_EXTENDING, volume_states.AWAITING_TRANSFER)
"""Statuses of a volume that nobody is changing."""
_STILL = (snapshot_states.AVAILABLE, snapshot_states.ERROR, snapshot_states.ERROR_DELETING)
"""Statuses of a snapshot that nobody is changing."""
_BACK = {'enabled': 'failed-back', 'failed-over': 'failed-over', 'failover-error': 'failover-failed',
         'error': 'broken'}
"""The event by which a volume that was taken has its former replication_status again."""
_REPLICATION_BACK = {states.ENABLED: 'failed-back', states.PAUSED: 'failed-back',
                     states.FAILED_OVER: 'failed-over', states.FAILOVER_ERROR: 'failover-failed',
                     states.ERROR: 'break'}


@session.reader
def refusals(context, volume_ids, allow_attached, force):
    """Which volumes cannot be taken now: volume id -> MemberRefused.

    :param allow_attached: also volumes that have attachments
    :param force: also when a snapshot is being made or removed: its service may be dead
    """
    return _refusals(context, _locked(context, volume_ids, False), allow_attached, force)


def _locked(context, volume_ids, is_locked=True):
    query = (sa.select(_Volume).where(_Volume.id.in_(volume_ids)).order_by(_Volume.id)
             .execution_options(populate_existing=True))
    rows = context.session.execute(query.with_for_update() if is_locked else query).scalars()
    return {each: None for each in volume_ids} | {row.id: row for row in rows}


def _refusals(context, rows, allow_attached, force):
    attached = dict(context.session.execute(
        sa.select(_Attachment.volume_id, sa.func.count())
        .where(_Attachment.volume_id.in_(rows), _Attachment.deleted_at.is_(None))
        .group_by(_Attachment.volume_id)).all())
    in_work = {} if force else dict(context.session.execute(
        sa.select(_Snapshot.volume_id, _Snapshot.id)
        .where(_Snapshot.volume_id.in_(rows), _Snapshot.deleted_at.is_(None),
               _Snapshot.status.not_in(_STILL))).all())
    found = {}
    for volume_id, row in rows.items():
        reason = _reason(row, in_work.get(volume_id))
        if reason:
            found[volume_id] = exceptions.MemberRefused(id=volume_id, reason=reason)
        elif attached.get(volume_id) and not allow_attached:
            found[volume_id] = exceptions.MemberAttached(id=volume_id, count=attached[volume_id])
    return found


def _reason(row, snapshot_id):
    """Why a volume cannot be taken, whoever uses it; None when it can."""
    if row is None or row.deleted_at is not None:
        return 'it does not exist any more'
    if row.replication_status == 'failing-over':
        return 'another operation is failing it over or back'
    found = {
        f'its replication_status is {row.replication_status}':
            row.replication_status not in states.VOLUME.row('fail-over').sources,
        'it is being migrated': row.migration_status in volumes.MIGRATING,
        f'its status is {row.status}': row.status not in _MOVABLE,
        f'its snapshot {snapshot_id} is being made or removed': snapshot_id is not None,
    }
    return next((reason for reason, holds in found.items() if holds), None)


@session.writer
def take(context, operation, units, steps):
    """Take the volumes of units: ``failing-over``, members and replications with them.

    All in one transaction, with the rows of the volumes locked.

    :param operation: row of the operation
    :param units: a list of (replication row, list of member rows, whether all or none)
    :param steps: member id -> columns to store for a member that is taken
    :returns: volume id -> why it was not taken (MemberRefused)
    """
    volume_ids = [member.volume_id for _, members, _ in units for member in members]
    rows = _locked(context, volume_ids)
    refused = _refusals(context, rows, operation.allow_attached, operation.force)
    former = {}
    for replication, members, is_strict in units:
        left_out = [each for each in members if each.volume_id in refused]
        taken = [] if is_strict and left_out else [
            each for each in members if each.volume_id not in refused]
        for each in members:
            if each not in taken and each not in left_out:
                refused[each.volume_id] = exceptions.MemberRefused(
                    id=each.volume_id, reason=('all of its replication or none are moved, and '
                                               f'{refused[left_out[0].volume_id].message}'))
        if taken:
            former[replication.id] = _take_replication(context, replication)
        for each in taken:
            _take_volume(context, each, rows[each.volume_id], steps[each.id])
    known = (operation_members.operation(context, operation.id).facts or {}).get('former', {})
    operation_members.note_facts(context, operation.id, former={**former, **known})
    return refused


def _take_replication(context, replication):
    state = context.session.execute(
        sa.select(_Replication.state).where(_Replication.id == replication.id)
        .with_for_update()).scalar_one()
    if state != states.FAILING_OVER:
        transition.move(context, states.MACHINE, replication.id, 'fail-over')
    return state


def _take_volume(context, member, volume, columns):
    operation_members.note(context, {member.id: {
        **columns, 'former_status': volume.status,
        'former_replication_status': volume.replication_status}})
    transition.move(context, states.VOLUME, volume.id, 'fail-over')


@session.writer
def give_back(context, members, has_failed=()):
    """Volumes that were taken have their former replication_status again.  Idempotent.

    :param members: rows of members
    :param has_failed: ids of those of them whose undoing has failed: ``failover-error``
    """
    for member in members:
        event = ('failover-failed' if member.id in has_failed
                 else _BACK.get(member.former_replication_status, 'failover-failed'))
        transition.try_move(context, states.VOLUME, member.volume_id, event)


@session.writer
def end_replication(context, replication_id, event, values=None):
    """A replication that was being failed over is not any more.  Idempotent."""
    transition.try_move(context, states.MACHINE, replication_id, event,
                        {'error': None, 'error_code': None, 'remedy': None, **(values or {})})


@session.writer
def give_back_replication(context, replication_id, former):
    """A replication none of whose volumes was moved has its former state again.  Idempotent."""
    if transition.try_move(context, states.MACHINE, replication_id,
                           _REPLICATION_BACK.get(former, 'failover-failed')):
        if former == states.PAUSED:
            transition.move(context, states.MACHINE, replication_id, 'pause')


@session.writer
def place(context, placed, noted):
    """Store where volumes and snapshots are used from now on, and what the members have come to.

    :param placed: volume id -> (location, {snapshot id: location})
    :param noted: member id -> columns that are no status
    """
    for volume_id, (location, of_snapshots) in placed.items():
        context.session.execute(
            sa.update(_Volume).where(_Volume.id == volume_id)
            .values(provider_location=location, updated_at=timeutils.utcnow())
            .execution_options(synchronize_session=False))
        for snapshot_id, place_of in of_snapshots.items():
            context.session.execute(
                sa.update(_Snapshot).where(_Snapshot.id == snapshot_id)
                .values(provider_location=place_of, updated_at=timeutils.utcnow())
                .execution_options(synchronize_session=False))
    operation_members.note(context, noted)


@session.writer
def arrive(context, members, event):
    """Volumes are where the operation brought them.

    :param members: rows of members
    :param event: of states.VOLUME: ``failed-over`` or ``failed-back``
    """
    for member in members:
        transition.try_move(context, states.VOLUME, member.volume_id, event)
        transition.try_move(context, states.MEMBER, member.id, 'member-done',
                            {'finished_at': timeutils.utcnow()})


@session.writer
def stop_shipping(context, volume_ids, but):
    """Other replications of volumes that were moved away from their source ship no more.

    :param but: ids of the replications by which they were moved
    """
    protected = replication_models.ReplicationMember
    others = (sa.select(protected.replication_id)
              .where(protected.volume_id.in_(volume_ids), protected.replication_id.not_in(but)))
    context.session.execute(
        sa.update(_Replication).where(_Replication.id.in_(others)).values(is_shipping=False)
        .execution_options(synchronize_session=False))


@session.writer
def begin_backend(context, host):
    """A whole backend is being failed over or back.  Idempotent."""
    transition.try_move(context, states.SERVICE, _service(context, host).id, 'fail-over')


@session.writer
def end_backend(context, host, event, target=None):
    """A whole backend was failed over or back, or not.

    What is not replicated is at home: on a failover its volumes are in error, and their former
    statuses are kept; on a failback they have them again.  Idempotent.

    :param event: of states.SERVICE
    :param target: the backend_id; None: home.  Not looked at when it failed
    """
    service = _service(context, host)
    values = backend_failovers.columns(service, event)
    if event == 'failover-failed':
        transition.try_move(context, states.SERVICE, service.id, event, values)
        return
    transition.try_move(context, states.SERVICE, service.id, event, {
        **values, 'active_backend_id': target})
    if target is None:
        _regain(context, host)
    else:
        _leave_behind(context, host)


def _service(context, host):
    return services.get(context, services.VOLUME_BINARY, host)


def _leave_behind(context, host):
    for volume in _unprotected(context, host, _Volume.status.in_(
            volume_states.MACHINE.row('leave-behind').sources)):
        transition.try_move(context, volume_states.MACHINE, volume.id, 'leave-behind',
                            {'previous_status': volume.status})


def _regain(context, host):
    for volume in _unprotected(context, host, _Volume.status == volume_states.ERROR,
                               _Volume.previous_status.is_not(None)):
        event = 'regain-attached' if volume.previous_status == volume_states.IN_USE else 'regain'
        transition.try_move(context, volume_states.MACHINE, volume.id, event,
                            {'previous_status': None})


def _unprotected(context, host, *conditions):
    word = _Volume.replication_status
    return context.session.execute(
        sa.select(_Volume.id, _Volume.status, _Volume.previous_status)
        .where(operation_members.at_backend(host), _Volume.deleted_at.is_(None),
               sa.or_(word.is_(None), word.in_([each for each in states.NOT_REPLICATED if each])),
               *conditions).order_by(_Volume.id)).all()


@session.writer
def keep_connection(context, attachment_id, connection_info):
    """The consumer of an attachment is to use the volume where it is now."""
    context.session.execute(
        sa.update(_Attachment)
        .where(_Attachment.id == attachment_id, _Attachment.deleted_at.is_(None))
        .values(connection_info=connection_info, updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False))


@session.reader
def attachments(context, volume_ids):
    """The attachments of volumes that hold them: volume id -> list of models.Attachment."""
    found = {}
    for row in context.session.execute(
            sa.select(_Attachment)
            .where(_Attachment.volume_id.in_(volume_ids), _Attachment.deleted_at.is_(None))
            .order_by(_Attachment.created_at, _Attachment.id)).scalars():
        found.setdefault(row.volume_id, []).append(row)
    return found


@session.writer
def mend_volumes(context, volume_ids, is_away):
    """Volumes whose sides are of one mind again.

    :param is_away: they are used at their target
    """
    for volume_id in sorted(volume_ids):
        word = context.session.execute(
            sa.select(_Volume.replication_status).where(_Volume.id == volume_id)).scalar()
        if is_away and word != 'failed-over':
            events = ('failed-over',) if word in ('error', 'failing-over') else (
                'fail-over', 'failed-over')
        elif not is_away and word != 'enabled':
            events = ('fail-over', 'failed-back') if word == 'failed-over' else ('replicated',)
        else:
            events = ()
        for event in events:
            transition.move(context, states.VOLUME, volume_id, event)


@session.writer
def mend_replication(context, replication_id, is_away, values):
    """A replication whose sides are of one mind again.

    :param is_away: its source is its target
    """
    state = context.session.execute(
        sa.select(_Replication.state).where(_Replication.id == replication_id)
        .with_for_update()).scalar_one()
    context.session.execute(
        sa.update(_Replication).where(_Replication.id == replication_id).values(**values)
        .execution_options(synchronize_session=False))
    if is_away and state != states.FAILED_OVER:
        events = ('fail-over', 'failed-over') if state in (
            states.ENABLED, states.PAUSED) else ('mend-failed-over',)
    elif not is_away and state not in (states.ENABLED, states.PAUSED):
        events = ('fail-over', 'failed-back') if state == states.FAILED_OVER else ('mend',)
    else:
        events = ()
    for event in events:
        transition.move(context, states.MACHINE, replication_id, event)
