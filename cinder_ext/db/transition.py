"""THE door: the only code that writes a status column.

A row of ``cinder_ext.states`` becomes ``UPDATE ... SET status=:to WHERE id=:id
AND status IN (:from)``.  Nothing updated means refused: another request was
first.  Of several racers one wins, and no lock is held between their requests.
"""
# SPDX-License-Identifier: Apache-2.0

import datetime
import functools

import sqlalchemy as sa
from oslo_log import log
from oslo_utils import timeutils

from cinder_ext import exceptions, metrics
from cinder_ext.db import group_models, models, replication_models, session
from cinder_ext.states import migration as migration_states
from cinder_ext.states import replication as replication_states
from cinder_ext.states import volume as volume_states

LOG = log.getLogger(__name__)

_watchers = []


def watch(watcher):
    """Have ``watcher(context, kind, id, event, state, facts)`` told of changes that were committed.

    ``event`` is ``insert`` for a new row, ``insert-STATE`` in another than the first initial
    state; what is no change of a status is told by ``note``.
    It is called in the thread of the transaction: it must be quick and must not raise.

    :returns: a function that ends it
    """
    _watchers.append(watcher)
    return lambda: _watchers.remove(watcher)


@session.writer
def note(context, kind, entity_id, event, state=None, facts=None):
    """Tell the watchers of something when this transaction has committed.

    :param facts: a dictionary for a notification, where it does not follow from the row
    """
    session.after_commit(functools.partial(_tell, context, kind, entity_id, event, state, facts))


def _tell(context, kind, entity_id, event, *more):
    metrics.CHANGES.labels(kind, event).inc()
    for watcher in tuple(_watchers):
        watcher(context, kind, entity_id, event, *more)


_MODELS = {
    'volume': models.Volume,
    'service': models.Service,
    'snapshot': models.Snapshot,
    'attachment': models.Attachment,
    'migration': models.VolumeMigration,
    'group': group_models.Group,
    'group_snapshot': group_models.GroupSnapshot,
    'replication': replication_models.Replication,
    'replication_operation': replication_models.ReplicationOperation,
    'replication_operation_member': replication_models.ReplicationOperationMember,
}


_ORDERED = (models.Snapshot, models.VolumeMigration)
"""Of a volume these are told apart by their age: which one is the latest matters."""


def _next_moment(context, model, volume_id):
    """Now; but later than all of the volume's, should the clock have been set back."""
    latest = context.session.execute(
        sa.select(sa.func.max(model.created_at)).where(model.volume_id == volume_id)).scalar()
    now = timeutils.utcnow()
    return now if latest is None else max(now, latest + datetime.timedelta(microseconds=1))


@session.writer
def insert(context, machine, values, state=None, also=None):
    """Insert a row in an initial state of its machine.

    :param values: column -> value, without the status
    :param state: one of ``machine.initial``; by default the first
    :param also: other status columns of the new row, column -> state
    :returns: the model's instance
    """
    state = state or machine.initial[0]
    if state not in machine.initial:
        raise ValueError(f'{state} is no initial state of {machine.kind}')
    model = _MODELS[machine.kind]
    row = model(**values, **{machine.column: state}, **(also or {}))
    if model in _ORDERED:
        row.created_at = _next_moment(context, model, row.volume_id)
    context.session.add(row)
    context.session.flush()
    LOG.info('%s %s is new: %s %s', machine.kind, row.id, machine.column, state)
    event = 'insert' if state == machine.initial[0] else f'insert-{state}'
    note(context, machine.kind, row.id, event, state)
    return row


@session.writer
def move(context, machine, entity_id, event, values=None, where=()):
    """Let ``event`` happen to one row, if its state allows it.

    :param values: other columns to set with it
    :param where: further conditions (SQLAlchemy expressions)
    :raises TransitionRefused: the row is not in a state that the event starts from, or a
        condition does not hold; nothing was changed

    :raises VolumeFailingOver: names the operation that has the volume

    A migration's phase takes the volume's ``migration_status`` with it.  What begins with a
    volume (volume_states.GUARDED) does not begin while it is failed over or back.
    """
    row, model = machine.row(event), _MODELS[machine.kind]
    column = getattr(model, machine.column)
    is_guarded = machine is volume_states.MACHINE and event in volume_states.GUARDED
    if is_guarded:
        where = (*where, not_failing_over())
    changed = context.session.execute(
        sa.update(model)
        .where(model.id == entity_id, _is_one_of(column, row.sources), *where)
        .values({**(values or {}), machine.column: row.target, **_touched(model)})
        .execution_options(synchronize_session=False)).rowcount
    if not changed:
        if is_guarded:
            refuse_failing_over(context, entity_id, event)
        raise _refusal(context, machine, model, entity_id, row)
    _expire(context, model, entity_id)
    LOG.info('%s %s: %s -> %s %s', machine.kind, entity_id, event, machine.column, row.target)
    note(context, machine.kind, entity_id, event, row.target)
    if machine is migration_states.MACHINE:
        _project(context, entity_id, row.target)


def _touched(model):
    """The time of the change; of a service it is the heartbeat, which a change of status is not."""
    moment = model.updated_at if model is models.Service else timeutils.utcnow()
    return {'updated_at': moment}


def not_failing_over():
    """The condition on a volume that no failover or failback has.

    It goes with the statement that changes or locks the volume's row: it costs no other one.
    """
    word = models.Volume.replication_status
    return sa.or_(word.is_(None), word != replication_states.FAILING_OVER)


@session.reader
def refuse_failing_over(context, volume_id, action):
    """Explain a refusal, where the reason is that the volume is failed over or back.

    :param action: a verb: 'be deleted'
    :raises VolumeFailingOver: names the operation
    """
    word = context.session.execute(
        sa.select(models.Volume.replication_status).where(models.Volume.id == volume_id)
        .with_for_update(read=True)).scalar()
    if word == replication_states.FAILING_OVER:
        raise exceptions.VolumeFailingOver(volume_id=volume_id, action=action,
                                           operation_id=_failing_over(context, volume_id))


def _failing_over(context, volume_id):
    operation, member = (replication_models.ReplicationOperation,
                         replication_models.ReplicationOperationMember)
    return context.session.execute(
        sa.select(operation.id).join(member, member.operation_id == operation.id)
        .where(member.volume_id == volume_id, operation.state.in_(replication_states.OPEN),
               member.former_replication_status.is_not(None))
        .order_by(operation.created_at.desc()).limit(1)).scalar()


def _is_one_of(column, states):
    if None in states:
        return sa.or_(column.is_(None), column.in_([each for each in states if each is not None]))
    return column.in_(states)


def try_move(context, machine, entity_id, event, values=None, where=()):
    """As move, but returns whether it happened instead of raising."""
    try:
        move(context, machine, entity_id, event, values, where)
    except exceptions.TransitionRefused:
        return False
    return True


@session.writer
def force(context, machine, entity_id, state, also=None):
    """Set a status whatever it was: an administrator's os-reset_status, nothing else.

    :param also: other status columns to set, column -> state
    """
    model = _MODELS[machine.kind]
    context.session.execute(
        sa.update(model).where(model.id == entity_id)
        .values({machine.column: state, **(also or {}), 'updated_at': timeutils.utcnow()})
        .execution_options(synchronize_session=False))
    _expire(context, model, entity_id)
    LOG.warning('%s %s: %s forced to %s by %s', machine.kind, entity_id, machine.column, state,
                context.user_id)


@session.writer
def project_started(context, volume_id):
    """Show a migration that was just recorded in the volume's ``migration_status``."""
    _set_migration_status(context, volume_id,
                          migration_states.SHOWN[migration_states.SCHEDULING])


def _project(context, migration_id, phase):
    volume_id = context.session.execute(
        sa.select(models.VolumeMigration.volume_id)
        .where(models.VolumeMigration.id == migration_id)).scalar_one()
    latest = context.session.execute(
        sa.select(models.VolumeMigration.id)
        .where(models.VolumeMigration.volume_id == volume_id)
        .order_by(models.VolumeMigration.created_at.desc()).limit(1)).scalar_one()
    # A source may still be tidied while the volume is on its next migration.
    if latest == migration_id:
        _set_migration_status(context, volume_id, migration_states.SHOWN[phase])


def _set_migration_status(context, volume_id, word):
    context.session.execute(
        sa.update(models.Volume).where(models.Volume.id == volume_id)
        .values(migration_status=word).execution_options(synchronize_session=False))
    _expire(context, models.Volume, volume_id)


def _expire(context, model, entity_id):
    loaded = context.session.identity_map.get(
        context.session.identity_key(model, (entity_id,)))
    if loaded is not None:
        context.session.expire(loaded)


def _refusal(context, machine, model, entity_id, row):
    current = context.session.execute(
        sa.select(getattr(model, machine.column)).where(model.id == entity_id)).scalar()
    return exceptions.TransitionRefused(
        kind=machine.kind, id=entity_id, event=row.event, column=machine.column,
        current=current, expected=', '.join(each or 'none' for each in row.sources))
