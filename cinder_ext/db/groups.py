"""Groups: one row each, and the types that their volumes may have.

A volume names its group in its own row.  Who changes who is in a group, or
begins something with all of its volumes, locks the group's row first and the
volumes' rows after it.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    faults,
    group_models,
    group_types,
    messages,
    models,
    quotas,
    session,
    transition,
)
from cinder_ext.states import group as states
from cinder_ext.states import messages as words
from cinder_ext.states import volume as volume_states

_Group = group_models.Group
_Link = group_models.GroupVolumeType


@session.reader
def get(context, group_id, project_id=None):
    """One group.

    :param project_id: only if it belongs to this project
    :raises GroupNotFound: there is none, or it was deleted
    """
    query = sa.select(_Group).where(_Group.id == group_id, _Group.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(_Group.project_id == project_id)
    found = context.session.execute(
        query.execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise exceptions.GroupNotFound(id=group_id)
    return found


@session.writer
def create(context, values, volume_type_ids):
    """Record a group that is to be made; status ``creating``.

    :param values: project_id, user_id, name, description, group_type_id, availability_zone;
        for one that is made from a source: host, request and the source's id
    :param volume_type_ids: the types that its volumes may have
    :returns: group_models.Group
    :raises GroupTypeNotFound: the group type was removed meanwhile
    :raises OverLimit: the project may not have it; nothing was recorded
    """
    quotas.admit(context, values['project_id'], {'groups': 1})
    group_types.hold(context, values['group_type_id'])
    quotas.admit(context, values['project_id'], {'groups': 1})
    group = transition.insert(context, states.MACHINE, values, also={'replication_status': 'disabled'})
    for type_id in sorted(set(volume_type_ids)):
        context.session.add(_Link(group_id=group.id, volume_type_id=type_id))
    context.session.flush()
    return group


@session.writer
def hold(context, group_id, action, statuses=(states.AVAILABLE,)):
    """Lock a group's row until the transaction ends, in one of ``statuses``.

    :param action: a verb for the refusal: 'be changed'
    :returns: group_models.Group as it is now
    :raises InvalidState: its status does not allow it
    :raises GroupNotFound: there is no such group
    """
    held = context.session.execute(
        sa.update(_Group)
        .where(_Group.id == group_id, _Group.deleted_at.is_(None), _Group.status.in_(statuses))
        .values(updated_at=_Group.updated_at)
        .execution_options(synchronize_session=False)).rowcount
    group = get(context, group_id)
    if not held:
        raise exceptions.InvalidState(
            kind='group', reason=f'group {group_id} cannot {action}: its status is {group.status}, '
                                 f"expected one of {', '.join(statuses)}.")
    return group


@session.writer
def update(context, group_id, values):
    """Set columns that are no status."""
    context.session.execute(
        sa.update(_Group).where(_Group.id == group_id)
        .values({**values, 'updated_at': timeutils.utcnow()})
        .execution_options(synchronize_session=False))


@session.reader
def volume_types_of(context, group_ids):
    """Ids of the types that volumes of some groups may have: group id -> list; one statement."""
    found = {group_id: [] for group_id in group_ids}
    rows = context.session.execute(
        sa.select(_Link.group_id, _Link.volume_type_id).where(_Link.group_id.in_(found))
        .order_by(_Link.volume_type_id))
    for group_id, type_id in rows:
        found[group_id].append(type_id)
    return found


@session.reader
def volume_ids_of(context, group_ids):
    """Ids of the volumes in some groups: group id -> list, oldest first; one statement."""
    found, volume = {group_id: [] for group_id in group_ids}, models.Volume
    rows = context.session.execute(
        sa.select(volume.group_id, volume.id)
        .where(volume.group_id.in_(found), volume.deleted_at.is_(None))
        .order_by(volume.created_at, volume.id))
    for group_id, volume_id in rows:
        found[group_id].append(volume_id)
    return found


@session.reader
def members(context, group_id):
    """Ids and statuses of a group's volumes, oldest first, as they are committed now."""
    volume = models.Volume
    rows = context.session.execute(
        sa.select(volume.id, volume.status)
        .where(volume.group_id == group_id, volume.deleted_at.is_(None))
        .order_by(volume.created_at, volume.id).with_for_update(read=True))
    return [tuple(row) for row in rows]


@session.reader
def unplaced(context):
    """Ids of the groups that no scheduler has placed yet, oldest first."""
    return list(context.session.execute(
        sa.select(_Group.id)
        .where(_Group.deleted_at.is_(None), _Group.host.is_(None),
               _Group.status == states.CREATING)
        .order_by(_Group.created_at)).scalars())


@session.reader
def unfinished(context, host):
    """Ids and statuses of the groups of a backend whose work was recorded and is not done.

    :param host: ``host@backend``
    :returns: a list of (id, status), oldest first
    """
    rows = context.session.execute(
        sa.select(_Group.id, _Group.status, _Group.host)
        .where(_Group.deleted_at.is_(None),
               _Group.status.in_((states.CREATING, states.DELETING)),
               _Group.host.startswith(host + '#', autoescape=True))
        .order_by(_Group.created_at))
    # LIKE does not tell cases apart.
    return [(row.id, row.status) for row in rows if row.host.partition('#')[0] == host]


@session.writer
def place(context, group_id, host, availability_zone):
    """Give a group that is being created its host, unless another scheduler was first.

    :param host: ``host@backend#pool``
    :param availability_zone: of the host; kept when the group has none
    :returns: whether it was this call
    """
    return bool(context.session.execute(
        sa.update(_Group)
        .where(_Group.id == group_id, _Group.host.is_(None), _Group.deleted_at.is_(None),
               _Group.status == states.CREATING)
        .values(host=host, updated_at=timeutils.utcnow(),
                availability_zone=sa.func.coalesce(_Group.availability_zone, availability_zone))
        .execution_options(synchronize_session=False)).rowcount)


@session.writer
def refuse(context, group_id, reason):
    """No backend can take a new group: status ``error`` and a user message.

    :param reason: for the user; names no backend
    :returns: False when it was placed or deleted meanwhile
    """
    if not transition.try_move(context, states.MACHINE, group_id, 'create-failed',
                               where=(_Group.host.is_(None),)):
        return False
    messages.create(context, get(context, group_id).project_id, context.request_id, 'GROUP',
                    group_id, words.CREATE_GROUP, words.NO_BACKEND_AVAILABLE, reason)
    return True


@session.writer
def created(context, group_id):
    """A group is whole; False when its status had changed meanwhile."""
    return transition.try_move(context, states.MACHINE, group_id, 'created', {'request': None})


@session.writer
def create_failed(context, group):
    """A volume of a group that was made from a source failed: group and volumes are in error.

    :param group: group_models.Group
    :returns: False when its status had changed meanwhile
    """
    if not faults.record(context, states.MACHINE, group, 'create-failed', words.CREATE_GROUP,
                         words.GROUP_MEMBERS_NOT_MADE):
        return False
    update(context, group.id, {'request': None})
    for volume_id, _status in members(context, group.id):
        transition.try_move(context, volume_states.MACHINE, volume_id, 'group-failed')
    return True


@session.writer
def delete_failed(context, group):
    """Some volumes of a group could not be removed: the group is in error, its owner is told.

    :returns: False when its status had changed meanwhile
    """
    if not faults.record(context, states.MACHINE, group, 'delete-failed', words.DELETE_GROUP,
                         words.GROUP_MEMBERS_NOT_REMOVED):
        return False
    update(context, group.id, {'request': None})
    return True


@session.writer
def reset_status(context, group_id, status):
    """Set a status whatever it was; work that was recorded is forgotten with it."""
    update(context, group_id, {'request': None})
    transition.force(context, states.MACHINE, group_id, status)


@session.writer
def mark_deleted(context, group_id):
    """It is gone with its volumes: the row stays for the purge.  Idempotent."""
    now = timeutils.utcnow()
    context.session.execute(
        sa.update(_Group).where(_Group.id == group_id, _Group.deleted_at.is_(None))
        .values(deleted_at=now, updated_at=now).execution_options(synchronize_session=False))
    context.session.execute(sa.delete(_Link).where(_Link.group_id == group_id))
    transition.note(context, 'group', group_id, 'deleted')
