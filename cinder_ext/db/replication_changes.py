"""What happens to a replication: conditions, pauses, breaches of its objective, its end."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    messages,
    models,
    replication_claims,
    replication_models,
    replication_operations,
    replications,
    session,
    transition,
)
from cinder_ext.states import messages as words
from cinder_ext.states import replication as states

_Replication = replication_models.Replication
_Member = replication_models.ReplicationMember
_Volume = models.Volume


@session.writer
def set_condition(context, replication_id, word, status, reason=None, facts=None):
    """Say whether something is so, beside the state.

    ``since`` is when it last became so; telling the same again writes nothing.

    :param word: one of replication.CONDITIONS
    :param status: True, False, or None: not known
    :param facts: more about it, such as both epochs of a split brain; fit for JSON
    :returns: whether status, reason or facts are others than before
    :raises ReplicationNotFound: it has ended
    """
    if word not in states.CONDITIONS:
        raise ValueError(f'{word} is no condition of a replication')
    conditions = dict(replications.lock(context, replication_id).conditions or {})
    before = conditions.get(word)
    after = {**(facts or {}), 'status': status, 'reason': reason}
    if before is not None and {**before, 'since': None} == {**after, 'since': None}:
        return False
    is_same = before is not None and before['status'] == status
    after['since'] = before['since'] if is_same else timeutils.utcnow().isoformat()
    conditions[word] = after
    replications.update(context, replication_id, {'conditions': conditions})
    transition.note(context, 'replication', replication_id, 'condition')
    return True


@session.writer
def pause(context, replication_id):
    """No more points until it is resumed; those that are there stay.  A paused one stays paused.

    :returns: replication_models.Replication
    :raises ReplicationActionRefused: its state does not allow it
    :raises ReplicationNotFound: it has ended
    """
    return _act(context, replication_id, 'pause', 'paused', states.PAUSED)


@session.writer
def resume(context, replication_id):
    """Let points be made again.  One that is enabled stays so.

    :returns: replication_models.Replication
    :raises ReplicationActionRefused: its state does not allow it
    :raises ReplicationNotFound: it has ended
    """
    return _act(context, replication_id, 'resume', 'resumed', states.ENABLED)


@session.writer
def ask_sync(context, replication_id):
    """Have a point shipped at once; the wish ends with a point that was taken after it.

    :returns: replication_models.Replication
    :raises ReplicationActionRefused: nothing is shipped in its state
    :raises ReplicationNotFound: it has ended
    """
    row = replications.lock(context, replication_id)
    if row.state not in states.SHIPPING or not row.is_shipping:
        raise _refused(row, 'synced', 'no points are shipped')
    replications.update(context, replication_id, {'ship_asked_at': timeutils.utcnow()})
    return replications.get(context, replication_id)


def _act(context, replication_id, event, action, target):
    row = replications.lock(context, replication_id)
    if row.state == target:
        return row
    replication_operations.refuse_open(context, replication_id, action)
    if not transition.try_move(context, states.MACHINE, replication_id, event):
        raise _refused(row, action, 'its state does not allow it')
    return replications.get(context, replication_id)


def _refused(row, action, reason):
    return exceptions.ReplicationActionRefused(id=row.id, action=action, reason=reason,
                                               state=row.state)


@session.writer
def begin_disable(context, replication_id):
    """Let a replication end: ``disabling``, and so are volumes that no other one has.  Idempotent.

    The claims stay until ``disabled``.

    :returns: replication_models.Replication
    :raises ReplicationActionRefused: its state does not allow it
    :raises ReplicationOperationActive: names the operation
    :raises ReplicationNotFound: it has ended
    """
    row = replications.lock(context, replication_id)
    if row.state == states.DISABLING:
        return row
    replication_operations.refuse_open(context, replication_id, 'disabled')
    if not transition.try_move(context, states.MACHINE, replication_id, 'disable'):
        raise _refused(row, 'disabled', 'its state does not allow it')
    for member in replications.members(context, replication_id):
        others = [each for each in replications.covering(context, member.volume_id)
                  if each.state not in (states.DISABLING, states.DISABLED)]
        if not others:
            transition.try_move(context, states.VOLUME, member.volume_id, 'replicate-no-more')
    return replications.get(context, replication_id)


@session.writer
def disabled(context, replication_id):
    """It has ended at the arrays: the record ends, with its claims and members.  Idempotent."""
    row = context.session.get(_Replication, replication_id)
    if row is None or row.deleted_at is not None:
        return
    replication_claims.lock(context, row.home)
    if not transition.try_move(context, states.MACHINE, replication_id, 'disabled', {
            'deleted_at': timeutils.utcnow(), 'live_key': None, 'is_shipping': False}):
        return
    for member in replications.members(context, replication_id):
        replications.drop_member(context, replication_id, member.volume_id)
    if not replications.of_thing(context, row.scope, row.protected_id):
        replication_claims.release(context, row.scope, row.protected_id)


@session.writer
def leave(context, volume_id):
    """A volume is to be replicated by itself no more: its new type, or its end, says so.

    :returns: ids of its own replications, ``disabling`` now
    :raises ReplicationActionRefused, ReplicationOperationActive: as begin_disable
    """
    return [begin_disable(context, row.id).id
            for row in replications.of_thing(context, 'volume', volume_id)]


@session.writer
def volume_gone(context, volume_id):
    """A volume was removed, at the arrays too, or never made: it is a member of nothing.

    Idempotent.
    """
    for row in replications.covering(context, volume_id):
        if row.scope == 'volume':
            transition.try_move(context, states.MACHINE, row.id, 'disable')
            disabled(context, row.id)
        else:
            replications.drop_member(context, row.id, volume_id)
    replication_claims.release(context, 'volume', volume_id)


@session.writer
def breached(context, replication_id):
    """The lag exceeds the objective: told once, however often it is seen.

    Tells the watchers, and the owner of each volume or of the group.

    :returns: whether it was this call that told it
    """
    if not _flip(context, replication_id, True):
        return False
    row = replications.get(context, replication_id)
    transition.note(context, 'replication', replication_id, 'breached', row.state)
    _tell_owners(context, row)
    return True


@session.writer
def healed(context, replication_id):
    """The lag is within the objective again: the next breach is told again.

    :returns: whether it was this call that told it
    """
    if not _flip(context, replication_id, False):
        return False
    transition.note(context, 'replication', replication_id, 'healed')
    return True


def _flip(context, replication_id, is_breached):
    changed = context.session.execute(
        sa.update(_Replication)
        .where(_Replication.id == replication_id, _Replication.deleted_at.is_(None),
               _Replication.breached_at.is_(None) if is_breached
               else _Replication.breached_at.is_not(None))
        .values(breached_at=timeutils.utcnow() if is_breached else None)
        .execution_options(synchronize_session=False)).rowcount
    return bool(changed)


def _tell_owners(context, row):
    owners = ([(row.project_id, row.protected_id)] if row.scope == 'group'
              else context.session.execute(
                  sa.select(_Volume.project_id, _Volume.id)
                  .join(_Member, _Member.volume_id == _Volume.id)
                  .where(_Member.replication_id == row.id, _Volume.deleted_at.is_(None))
                  .order_by(_Volume.id)).all())
    is_group = row.scope == 'group'
    for project_id, resource_id in owners:
        messages.create(
            context, project_id, context.request_id or row.request_id,
            'GROUP' if is_group else 'VOLUME', resource_id,
            words.REPLICATE_GROUP if is_group else words.REPLICATE_VOLUME,
            words.REPLICATION_BEHIND,
            row.rpo_seconds and f'The objective is {row.rpo_seconds} seconds.')
