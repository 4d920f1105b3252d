"""Replication operations: what was asked, for which volumes, and what became of each of them.

An operation and its members are recorded in one transaction, behind the row of each backend
that they are of: of two operations that have a replication or a volume in common the second one
is refused while the first is open.  A dry run is in nobody's way.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import models, replication_claims, replication_models, session, transition
from cinder_ext.states import replication as states

_Operation = replication_models.ReplicationOperation
_Member = replication_models.ReplicationOperationMember
_Replication = replication_models.Replication
_Volume = models.Volume

FROM = {
    'failover': (states.ENABLED, states.PAUSED, states.FAILOVER_ERROR, states.ERROR),
    'failback': (states.FAILED_OVER, states.FAILOVER_ERROR, states.ERROR),
    'reprotect': (states.FAILED_OVER, states.FAILOVER_ERROR, states.ERROR),
    'resync': (states.ENABLED, states.PAUSED, states.FAILED_OVER, states.FAILOVER_ERROR,
               states.ERROR),
    'sync_now': states.SHIPPING,
    'test': (states.ENABLED, states.PAUSED, states.FAILED_OVER, states.FAILOVER_ERROR,
             states.ERROR),
}
"""verb -> the states of a single replication in which it is accepted."""

DONE = {
    'failover': 'failed over', 'failback': 'failed back', 'reprotect': 'reprotected',
    'resync': 'resynced', 'sync_now': 'synced', 'test': 'tested',
}
"""verb -> how a refusal names it."""


@session.writer
def create(context, values, members=()):
    """Record an operation and its members; state ``queued``.

    :param values: verb, scope, protected_id, selector, replication_id, home, target, force,
        dry_run, allow_attached, reattach, consistency, discard, point_id, expires_at, project_id;
        verb and scope at least.  With replication_id: scope, protected_id, home and target follow
        from it where they are not given
    :param members: dictionaries with ``volume_id``, and ``replication_id`` where it has one; by
        default with a replication_id that replication's members
    :returns: replication_models.ReplicationOperation
    :raises ReplicationOperationActive: another one is open for the same thing, or a member of it
    :raises ReplicationActionRefused: the state of the replication does not allow the verb
    :raises ReplicationNotFound: it has ended
    """
    values, members = dict(values), [dict(each) for each in members]
    if values.get('replication_id') is not None:
        replication = _replication(context, values['replication_id'])
        values = {'scope': replication.scope, 'protected_id': replication.protected_id,
                  'home': replication.home, 'target': replication.target,
                  'project_id': replication.project_id, **values}
        members = members or _members_of(context, replication.id)
    for home in _homes(context, values, members):
        replication_claims.lock(context, home)
    _lock_replications(context, values, members)
    if values.get('replication_id') is not None:
        _refuse_state(context, values)
    if not values.get('dry_run'):
        _refuse_others(context, values, members)
    row = transition.insert(context, states.OPERATION, {
        'user_id': context.user_id, 'request_id': context.request_id, **values})
    for each in sorted(members, key=lambda each: each['volume_id']):
        transition.insert(context, states.MEMBER, {'operation_id': row.id, **each})
    return row


def _replication(context, replication_id):
    row = context.session.get(_Replication, replication_id)
    if row is None or row.deleted_at is not None:
        raise exceptions.ReplicationNotFound(id=replication_id)
    return row


def _members_of(context, replication_id):
    member = replication_models.ReplicationMember
    return [{'volume_id': volume_id, 'replication_id': replication_id}
            for volume_id in context.session.execute(
                sa.select(member.volume_id).where(member.replication_id == replication_id)).scalars()]


def _homes(context, values, members):
    """The backends that are concerned, in the order in which they are locked."""
    hosts = context.session.execute(sa.select(_Volume.host).where(
        _Volume.id.in_([each['volume_id'] for each in members]),
        _Volume.host.is_not(None)).distinct()).scalars()
    found = {replication_claims.backend_of(host) for host in hosts}
    return sorted(found | ({values['home']} if values.get('home') else set()))


def _replications_of(values, members):
    return {values.get('replication_id'),
            *(each.get('replication_id') for each in members)} - {None}


def _lock_replications(context, values, members):
    """Whoever pauses or ends one of them has its row, and then looks for an open operation."""
    ids = _replications_of(values, members)
    if ids:
        context.session.execute(
            sa.select(_Replication.id).where(_Replication.id.in_(ids)).order_by(_Replication.id)
            .with_for_update()).all()


def _refuse_state(context, values):
    """As it is now, behind the lock."""
    state = context.session.execute(
        sa.select(_Replication.state).where(_Replication.id == values['replication_id'],
                                            _Replication.deleted_at.is_(None))).scalar()
    if state is None:
        raise exceptions.ReplicationNotFound(id=values['replication_id'])
    if state == states.FAILING_OVER:
        # By an operation that is open, which a better refusal names.
        _refuse_others(context, values, ())
    if state not in FROM[values['verb']]:
        raise exceptions.ReplicationActionRefused(
            id=values['replication_id'], action=DONE[values['verb']], state=state,
            reason=f"expected one of {', '.join(FROM[values['verb']])}")


def _refuse_others(context, values, members):
    """The first open operation that has something in common with a new one."""
    member_ids = [each['volume_id'] for each in members]
    replication_ids = _replications_of(values, members)
    same = [_Operation.replication_id.in_(replication_ids),
            _Operation.id.in_(sa.select(_Member.operation_id).where(
                sa.or_(_Member.volume_id.in_(member_ids),
                       _Member.replication_id.in_(replication_ids)),
                _Member.result == 'pending'))]
    if values.get('protected_id') is not None:
        same.append(sa.and_(_Operation.scope == values['scope'],
                            _Operation.protected_id == values['protected_id']))
    found = context.session.execute(
        sa.select(_Operation.id, _Operation.verb)
        .where(*_is_open(), sa.or_(*same))
        .order_by(_Operation.created_at).limit(1)).first()
    if found is not None:
        raise exceptions.ReplicationOperationActive(
            kind=values['scope'].capitalize(), id=values.get('protected_id') or 'of the selector',
            action=DONE[values['verb']], operation_id=found.id, verb=found.verb)


def _is_open():
    return _Operation.state.in_(states.OPEN), _Operation.dry_run.is_(False)


@session.reader
def refuse_open(context, replication_id, action):
    """Refuse to change a replication that an operation works on.

    :param action: a participle for the refusal: 'paused'
    :raises ReplicationOperationActive: names the operation
    """
    found = context.session.execute(
        sa.select(_Operation.id, _Operation.verb)
        .where(*_is_open(), sa.or_(
            _Operation.replication_id == replication_id,
            _Operation.id.in_(sa.select(_Member.operation_id).where(
                _Member.replication_id == replication_id, _Member.result == 'pending'))))
        .limit(1)).first()
    if found is not None:
        raise exceptions.ReplicationOperationActive(
            kind='Replication', id=replication_id, action=action, operation_id=found.id,
            verb=found.verb)


@session.reader
def get(context, operation_id, project_id=None):
    """One operation, as it is now.

    :param project_id: only if it is this project's
    :raises ReplicationOperationNotFound: there is none
    """
    return _found(context, operation_id, sa.select(_Operation), project_id)


@session.writer
def lock(context, operation_id):
    """One operation as it is now, held until the transaction ends.

    :raises ReplicationOperationNotFound: there is none
    """
    return _found(context, operation_id, sa.select(_Operation).with_for_update())


def _found(context, operation_id, query, project_id=None):
    query = query.where(_Operation.id == operation_id)
    if project_id is not None:
        query = query.where(_Operation.project_id == project_id)
    found = context.session.execute(
        query.execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise exceptions.ReplicationOperationNotFound(id=operation_id)
    return found


@session.reader
def members(context, operation_id, result=None):
    """What became of each volume: replication_models.ReplicationOperationMember, by volume id.

    :param result: only those with this one: ``pending``, ``done``, ``failed``, ``skipped``
    """
    query = sa.select(_Member).where(_Member.operation_id == operation_id)
    if result is not None:
        query = query.where(_Member.result == result)
    return list(context.session.execute(
        query.order_by(_Member.volume_id)
        .execution_options(populate_existing=True)).scalars())


@session.reader
def counts(context, operation_ids):
    """How many members have which result: operation id -> {result: number}; one statement."""
    found = {operation_id: {} for operation_id in operation_ids}
    for operation_id, result, number in context.session.execute(
            sa.select(_Member.operation_id, _Member.result, sa.func.count())
            .where(_Member.operation_id.in_(found))
            .group_by(_Member.operation_id, _Member.result)):
        found[operation_id][result] = number
    return found


@session.reader
def open_of(context, home=None):
    """Operations that are queued or running, dry runs too: rows of id, home, verb; oldest first.

    :param home: ``host@backend``; None for all backends: whose service is down may be helped
    """
    query = sa.select(_Operation.id, _Operation.home, _Operation.verb).where(
        _Operation.state.in_(states.OPEN))
    if home is not None:
        query = query.where(_Operation.home == home)
    return context.session.execute(query.order_by(_Operation.created_at, _Operation.id)).all()


@session.writer
def run(context, operation_id):
    """Somebody works on it: state ``running``.  Idempotent.

    :returns: replication_models.ReplicationOperation
    :raises TransitionRefused: it has ended
    """
    row = lock(context, operation_id)
    transition.move(context, states.OPERATION, operation_id, 'run',
                    {'started_at': row.started_at or timeutils.utcnow()})
    return get(context, operation_id)


@session.writer
def update(context, operation_id, values):
    """Set columns of an operation that are no status."""
    context.session.execute(
        sa.update(_Operation).where(_Operation.id == operation_id)
        .values({**values, 'updated_at': timeutils.utcnow()})
        .execution_options(synchronize_session=False))
    _expire(context, _Operation, operation_id)


def _expire(context, model, row_id):
    loaded = context.session.identity_map.get(context.session.identity_key(model, (row_id,)))
    if loaded is not None:
        context.session.expire(loaded)


@session.writer
def update_member(context, operation_id, volume_id, values):
    """Set columns of a member that are no status: step, location, attachments ..."""
    context.session.execute(
        sa.update(_Member).where(_Member.operation_id == operation_id,
                                 _Member.volume_id == volume_id)
        .values({**values, 'updated_at': timeutils.utcnow()})
        .execution_options(synchronize_session=False))


@session.reader
def member(context, operation_id, volume_id):
    """One member as it is now; None when the volume is none."""
    return context.session.execute(
        sa.select(_Member).where(_Member.operation_id == operation_id,
                                 _Member.volume_id == volume_id)
        .execution_options(populate_existing=True)).scalar_one_or_none()


@session.writer
def member_done(context, operation_id, volume_id, values=None):
    """What was asked is done for one volume; returns False when it had a result already.

    :param values: step, epoch, point_id, last_consistent_at, loss_seconds, location, attachments,
        clone_volume_id
    """
    return _close_member(context, operation_id, volume_id, 'member-done', values)


@session.writer
def member_failed(context, operation_id, volume_id, fault, values=None):
    """It could not be done for one volume; returns False when it had a result already.

    :param fault: exceptions.CinderExtError
    """
    return _close_member(context, operation_id, volume_id, 'member-failed', {
        **(values or {}), **_said(fault)})


@session.writer
def member_skipped(context, operation_id, volume_id, reason, values=None):
    """There was nothing to do for one volume; returns False when it had a result already."""
    return _close_member(context, operation_id, volume_id, 'member-skipped', {
        **(values or {}), 'error': reason})


def _close_member(context, operation_id, volume_id, event, values):
    found = member(context, operation_id, volume_id)
    return found is not None and transition.try_move(
        context, states.MEMBER, found.id, event, {**(values or {}), 'finished_at': timeutils.utcnow()})


def _said(fault):
    return {'error': fault.message, 'error_code': fault.code, 'remedy': fault.remedy}


@session.writer
def close(context, operation_id, facts=None, fault=None):
    """End an operation as its members ended: succeeded, partial or failed.

    Members that have no result have failed, of ``fault``.

    :param facts: kept with it, fit for JSON
    :param fault: exceptions.CinderExtError of the whole, if there is one
    :returns: replication_models.ReplicationOperation; one that has ended stays as it is
    """
    row = lock(context, operation_id)
    if row.state not in states.OPEN:
        return row
    for each in members(context, operation_id, 'pending'):
        member_failed(context, operation_id, each.volume_id,
                      fault or exceptions.CinderExtError('It was not come to.'))
    results = counts(context, [operation_id])[operation_id]
    values = {'finished_at': timeutils.utcnow(), 'facts': {**(row.facts or {}), **(facts or {})},
              **(_said(fault) if fault is not None else {})}
    event = _ending(results, fault)
    if event != 'fail' and row.state == states.QUEUED:
        transition.move(context, states.OPERATION, operation_id, 'run')
    transition.move(context, states.OPERATION, operation_id, event, values)
    return get(context, operation_id)


def _ending(results, fault):
    if 'failed' not in results:
        return 'fail' if fault is not None and 'done' not in results else 'succeed'
    return 'end-partly' if 'done' in results else 'fail'


@session.writer
def fail(context, operation_id, fault):
    """End an operation that was not begun for any member; returns it."""
    return close(context, operation_id, fault=fault)
