"""What a failover does to volumes: takes them, says where they are now, gives them back.

A failover has a volume from the moment its ``replication_status`` is ``failing-over``: of it and
anything else that would change the volume, one wins, and no lock is held (db/transition.py).
Every function is one transaction and may be repeated after a kill.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    models,
    replication_claims,
    replication_models,
    replication_operations,
    session,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.states import replication as states
from cinder_ext.states import volume as volume_states

_Volume = models.Volume
_Snapshot = models.Snapshot
_Replication = replication_models.Replication
_Member = replication_models.ReplicationOperationMember

ATTACHED = (volume_states.RESERVED, volume_states.ATTACHING, volume_states.DETACHING,
            volume_states.IN_USE)
"""Statuses of a volume that somebody uses."""
TAKEN = (volume_states.AVAILABLE, *ATTACHED, volume_states.AWAITING_TRANSFER, volume_states.ERROR,
         volume_states.ERROR_DELETING, volume_states.ERROR_EXTENDING)
"""Statuses of a volume that may be failed over."""
FORCED = (*TAKEN, volume_states.EXTENDING, volume_states.REVERTING)
"""Those of one whose home has died in the middle of something, too."""
BUSY = ('creating', 'deleting', 'restoring', 'unmanaging')
"""Statuses of a snapshot at which the home is at work: a planned failover waits for it."""

_BACK = {'enabled': 'failed-back', 'failed-over': 'failed-over',
         'failover-error': 'failover-failed', 'error': 'broken'}
"""A former replication_status -> the event that restores it."""


@session.writer
def take_members(context, operation_id):
    """Take every member of a failover or failback that has no result; the others are refused.

    A taken volume is ``failing-over``, and its member has its former statuses and the step
    ``taken``.  One that may not be taken (status, attached without allow_attached, migrating,
    another operation, no point yet) has the result ``failed`` and says why.

    :returns: ids of the volumes that this operation has now, also from before, sorted
    """
    operation = replication_operations.lock(context, operation_id)
    taken = []
    for member in replication_operations.members(context, operation_id, 'pending'):
        if member.former_replication_status is not None:
            taken.append(member.volume_id)
            continue
        try:
            _take(context, operation, member.volume_id)
        except exceptions.CinderExtError as refusal:
            replication_operations.member_failed(context, operation_id, member.volume_id, refusal)
        else:
            taken.append(member.volume_id)
    return taken


def _take(context, operation, volume_id):
    volumes.lock(context, volume_id)
    row = context.session.execute(
        sa.select(_Volume.status, _Volume.replication_status, _Volume.migration_status)
        .where(_Volume.id == volume_id, _Volume.deleted_at.is_(None))).first()
    if row is None:
        raise exceptions.VolumeNotFound(id=volume_id)
    action = 'be failed over or back'
    if row.replication_status == states.FAILING_OVER:
        transition.refuse_failing_over(context, volume_id, action)
    _refuse_status(operation, volume_id, row)
    if not operation.force:
        _refuse_busy(context, volume_id)
    try:
        transition.move(context, states.VOLUME, volume_id, 'fail-over')
    except exceptions.TransitionRefused as refusal:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot {action}: its replication_status is '
                                  f"{row.replication_status or 'not set'}, expected one of "
                                  f"{refusal.facts['expected']}.") from refusal
    replication_operations.update_member(context, operation.id, volume_id, {
        'step': 'taken', 'former_status': row.status,
        'former_replication_status': row.replication_status})


def _refuse_status(operation, volume_id, row):
    reason = None
    if row.migration_status in volumes.MIGRATING:
        reason = 'it is being migrated'
    elif row.status not in (FORCED if operation.force else TAKEN):
        reason = f'its status is {row.status}'
    elif row.status in ATTACHED and not operation.allow_attached:
        reason = f'it is {row.status}, and allow_attached was not asked for'
    if reason is not None:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot be failed over or back: {reason}.')


def _refuse_busy(context, volume_id):
    """Whoever records a snapshot or a clone locks the volume's row first: none is missed."""
    busy = context.session.execute(
        sa.select(_Snapshot.id, _Snapshot.status)
        .where(_Snapshot.volume_id == volume_id, _Snapshot.deleted_at.is_(None),
               _Snapshot.status.in_(BUSY)).limit(1)).first()
    if busy is not None:
        raise exceptions.InvalidState(
            kind='snapshot', reason=f'snapshot {busy.id} of volume {volume_id} is {busy.status}.')
    clones = volume_migrations.being_cloned(context, volume_id)
    if clones:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {clones[0]} is being created from volume {volume_id}.')


@session.writer
def store_location(context, operation_id, volume_id, location, snapshots=None, values=None):
    """A volume that this operation has is on another side now; step ``promoted``.

    :param location: as the driver's promote or unfence returns it; None: home
    :param snapshots: name_id -> location of those that are there; None leaves all as they are
    :param values: further columns of the member: epoch, point_id, last_consistent_at, loss_seconds
    :returns: ids of the volume's snapshots that are not there
    :raises TransitionRefused: the operation does not have the volume
    """
    if not _hold_taken(context, operation_id, volume_id, {'provider_location': location}):
        raise _not_taken(context, operation_id, volume_id)
    missing = _locate_snapshots(context, volume_id, snapshots) if snapshots is not None else []
    replication_operations.update_member(context, operation_id, volume_id, {
        'step': 'promoted', 'location': location, **(values or {})})
    return missing


def _hold_taken(context, operation_id, volume_id, values):
    """Set columns of a volume that the operation has; False when it does not have it."""
    ours = sa.exists().where(
        _Member.operation_id == operation_id, _Member.volume_id == volume_id,
        _Member.former_replication_status.is_not(None), _Member.result == 'pending')
    is_held = bool(context.session.execute(
        sa.update(_Volume)
        .where(_Volume.id == volume_id, _Volume.replication_status == states.FAILING_OVER, ours)
        .values({**values, 'updated_at': timeutils.utcnow()})
        .execution_options(synchronize_session=False)).rowcount)
    _expire(context, _Volume, volume_id)
    return is_held


def _expire(context, model, row_id):
    loaded = context.session.identity_map.get(context.session.identity_key(model, (row_id,)))
    if loaded is not None:
        context.session.expire(loaded)


def _not_taken(context, operation_id, volume_id):
    word = context.session.execute(
        sa.select(_Volume.replication_status).where(_Volume.id == volume_id)).scalar()
    return exceptions.TransitionRefused(
        kind='volume', id=volume_id, event=f'be moved by operation {operation_id}',
        column='replication_status', current=word, expected=states.FAILING_OVER)


def _locate_snapshots(context, volume_id, snapshots):
    missing = []
    for row in context.session.execute(
            sa.select(_Snapshot.id, _Snapshot.name_id)
            .where(_Snapshot.volume_id == volume_id, _Snapshot.deleted_at.is_(None))
            .order_by(_Snapshot.created_at, _Snapshot.id)).all():
        name = row.name_id or row.id
        if name not in snapshots:
            missing.append(row.id)
            continue
        context.session.execute(
            sa.update(_Snapshot).where(_Snapshot.id == row.id)
            .values(provider_location=snapshots[name], updated_at=_Snapshot.updated_at)
            .execution_options(synchronize_session=False))
        _expire(context, _Snapshot, row.id)
    return missing


@session.writer
def failed_over(context, operation_id, volume_id, values=None):
    """A volume is used at the target; its member is done.  Idempotent."""
    _arrive(context, operation_id, volume_id, 'failed-over', values)


@session.writer
def failed_back(context, operation_id, volume_id, values=None):
    """A volume is used at home again; its member is done.  Idempotent."""
    _arrive(context, operation_id, volume_id, 'failed-back', values)


def _arrive(context, operation_id, volume_id, event, values):
    member = replication_operations.member(context, operation_id, volume_id)
    if member is not None and member.result != 'pending':
        return
    if member is None or member.former_replication_status is None or not transition.try_move(
            context, states.VOLUME, volume_id, event,
            where=(_Volume.replication_status == states.FAILING_OVER,)):
        raise _not_taken(context, operation_id, volume_id)
    transition.move(context, states.MEMBER, member.id, 'member-done', {
        **(values or {}), 'finished_at': timeutils.utcnow()})


def _is_closed(context, operation_id, volume_id):
    member = replication_operations.member(context, operation_id, volume_id)
    return member is not None and member.result != 'pending'


@session.writer
def failed(context, operation_id, volume_id, fault, values=None):
    """It failed midway for a volume: ``failover-error``, to be repeated; its member failed.

    Idempotent.

    :param fault: exceptions.CinderExtError
    """
    if not _is_closed(context, operation_id, volume_id):
        transition.try_move(context, states.VOLUME, volume_id, 'failover-failed')
        replication_operations.member_failed(context, operation_id, volume_id, fault, values)


@session.writer
def give_back(context, operation_id, volume_id, fault, values=None):
    """Nothing was changed at the arrays: the volume is what it was; its member failed.

    Idempotent.

    :param fault: exceptions.CinderExtError
    """
    if _is_closed(context, operation_id, volume_id):
        return
    former = replication_operations.member(context, operation_id, volume_id).former_replication_status
    if former is not None:
        transition.try_move(context, states.VOLUME, volume_id, _BACK[former],
                            where=(_Volume.replication_status == states.FAILING_OVER,))
    replication_operations.member_failed(context, operation_id, volume_id, fault, values)


@session.reader
def replications_of(context, operation_id):
    """The living replications that an operation is about, by its members too, sorted by id."""
    operation = replication_operations.get(context, operation_id)
    ids = sa.select(_Member.replication_id).where(_Member.operation_id == operation_id)
    return list(context.session.execute(
        sa.select(_Replication)
        .where(sa.or_(_Replication.id.in_(ids), _Replication.id == operation.replication_id),
               _Replication.deleted_at.is_(None))
        .order_by(_Replication.id).execution_options(populate_existing=True)).scalars())


@session.writer
def begin(context, operation_id):
    """The replications of a failover or failback are ``failing-over``.

    Idempotent.  Those whose state does not allow it stay as they are: their members are refused.

    :returns: replication id -> state before, kept in the operation's facts as ``former_states``
    """
    operation = replication_operations.lock(context, operation_id)
    former = dict((operation.facts or {}).get('former_states', {}))
    for row in replications_of(context, operation_id):
        before = row.state
        if row.id not in former and transition.try_move(
                context, states.MACHINE, row.id, 'fail-over'):
            former[row.id] = before
    replication_operations.update(context, operation_id, {
        'facts': {**(operation.facts or {}), 'former_states': former}})
    return former


_GIVEN_BACK = {states.ENABLED: 'failed-back', states.PAUSED: 'failed-back',
               states.FAILED_OVER: 'failed-over', states.FAILOVER_ERROR: 'failover-failed',
               states.ERROR: 'break'}


@session.writer
def settle(context, operation_id, replication_id, is_home, values=None):
    """Say where a replication stands after its members: all there, none, or some.

    All that were not skipped are done: ``failed-over``, or ``enabled`` with ``is_home``.  None was
    taken away from where it was: what it was before.  Else ``failover-error``.

    :param values: columns that are set where all are done: source_side, destination_side,
        is_shipping, epoch, error ...
    :returns: replication_models.Replication; None when it has ended, or is not failing over
    """
    operation = replication_operations.get(context, operation_id)
    row = context.session.get(_Replication, replication_id, populate_existing=True)
    if row is None or row.state != states.FAILING_OVER:
        return None
    event = _settled(context, operation, replication_id, is_home)
    is_done = event == ('failed-back' if is_home else 'failed-over')
    transition.move(context, states.MACHINE, replication_id, event,
                    dict(values or {}) if is_done else {})
    former = (operation.facts or {}).get('former_states', {}).get(replication_id)
    if former == states.PAUSED and event == 'failed-back' and not is_home:
        transition.move(context, states.MACHINE, replication_id, 'pause')
    return context.session.get(_Replication, replication_id, populate_existing=True)


def _settled(context, operation, replication_id, is_home):
    # Only these are read: of a backend each of many replications is settled.
    query = sa.select(_Member.result, _Member.volume_id, _Member.step).where(
        _Member.operation_id == operation.id, _Member.result != 'skipped')
    if replication_id != operation.replication_id:
        query = query.where(_Member.replication_id == replication_id)
    members = context.session.execute(query).all()
    if all(each.result == 'done' for each in members):
        return 'failed-back' if is_home else 'failed-over'
    ids = [each.volume_id for each in members]
    words = set(context.session.execute(
        sa.select(_Volume.replication_status).where(
            _Volume.id.in_(ids), _Volume.deleted_at.is_(None)).distinct()).scalars())
    former = (operation.facts or {}).get('former_states', {}).get(replication_id)
    is_untouched = not any(each.result == 'done' or each.step == 'promoted'
                           for each in members) and not words & {
        states.FAILING_OVER, states.FAILOVER_ERROR}
    return _GIVEN_BACK[former] if is_untouched and former in _GIVEN_BACK else 'failover-failed'


@session.reader
def unreplicated(context, backend):
    """Ids of the volumes of a backend that no living replication has, and that are used, sorted.

    What a failover of the whole backend leaves behind.

    :param backend: ``host@backend``, or a pool of it
    """
    scope = 'pool' if '#' in backend else 'backend'
    member = replication_models.ReplicationMember
    covered = (sa.select(member.volume_id)
               .join(_Replication, _Replication.id == member.replication_id)
               .where(_Replication.deleted_at.is_(None)))
    return list(context.session.execute(
        sa.select(_Volume.id)
        .where(replication_claims.is_of(scope, backend), _Volume.deleted_at.is_(None),
               _Volume.status.in_(volume_states.STRANDABLE), _Volume.id.not_in(covered))
        .order_by(_Volume.id)).scalars())


@session.writer
def strand(context, volume_ids):
    """These volumes are not replicated and their backend is failed over: ``error``, for now.

    Their status is kept in ``previous_status``.  Those that something else is done with stay as
    they are.  Idempotent.

    :returns: ids of those that it happened to
    """
    done = []
    for volume_id in sorted(volume_ids):
        volumes.lock(context, volume_id)
        status = volumes.row(context, volume_id, ('status',)).status
        if transition.try_move(context, volume_states.MACHINE, volume_id, 'strand',
                               {'previous_status': status}):
            done.append(volume_id)
    return done


@session.writer
def restore(context, backend):
    """The backend is home again: what was stranded has its status again, or what is left of it.

    A volume that lost its attachments meanwhile is available.  Idempotent.

    :param backend: ``host@backend``, or a pool of it
    :returns: ids of those that it happened to
    """
    scope, done = ('pool' if '#' in backend else 'backend'), []
    stranded = context.session.execute(
        sa.select(_Volume.id, _Volume.previous_status)
        .where(replication_claims.is_of(scope, backend), _Volume.deleted_at.is_(None),
               _Volume.status == volume_states.ERROR,
               _Volume.previous_status.in_(volume_states.STRANDABLE))
        .order_by(_Volume.id)).all()
    for volume_id, former in stranded:
        if transition.try_move(context, volume_states.MACHINE, volume_id, f'restore-{former}',
                               {'previous_status': None, 'updated_at': timeutils.utcnow()}):
            done.append(volume_id)
            if former in ATTACHED:
                attachments.settle(context, volume_id)
    return done
