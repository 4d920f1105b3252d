"""What a request begins on a group together with its volumes.

Each function is one transaction that holds the group's row, so that what it
has checked stays true until it has written.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import (
    group_models,
    groups,
    models,
    replication_claims,
    services,
    session,
    snapshots,
    transition,
    volume_requests,
    volumes,
)
from cinder_ext.states import group as states
from cinder_ext.states import group_snapshot as snapshot_states
from cinder_ext.states import volume as volume_states

_Volume = models.Volume

ADDABLE = (volume_states.AVAILABLE, volume_states.IN_USE)
"""Statuses of a volume that may come into a group, or be copied with one."""
REMOVABLE = (volume_states.AVAILABLE, volume_states.IN_USE, volume_states.ERROR,
             volume_states.ERROR_DELETING)
"""Statuses of a volume that may leave its group."""


@session.writer
def create_volume(context, snapshot, source, values, metadata=None):
    """Record a volume that is to be made in a group.

    :param snapshot: models.Snapshot that it is made from, or None
    :param source: models.Volume that it is made from, or None
    :param values: as volumes.create, with ``group_id``
    :raises InvalidInput: the group does not take volumes of its type, or its source is elsewhere
    :raises InvalidState: the group's status does not allow it
    :raises GroupNotFound: the project has no such group
    """
    group_id = values['group_id']
    groups.get(context, group_id, values['project_id'])
    group = groups.hold(context, group_id, 'get a volume')
    if values['volume_type_id'] not in groups.volume_types_of(context, [group_id])[group_id]:
        raise exceptions.InvalidInput(
            reason='volume_type: a volume in a group needs one of the volume types of the group.')
    origin = source or (snapshot and volumes.get(context, snapshot.volume_id))
    if origin is not None and _backend_of(origin.host) != _backend_of(group.host):
        raise exceptions.InvalidInput(
            reason='what the volume is to be made from is not on the backend of the group.')
    if snapshot is not None:
        return volume_requests.create_from_snapshot(context, snapshot, values, metadata)
    if source is not None:
        return volume_requests.create_from_volume(context, source, values, metadata)
    return volumes.create(context, values, metadata)


def _backend_of(host):
    return (host or '').partition('#')[0]


@session.writer
def update(context, group_id, values, add=(), remove=()):
    """Change name and description of a group, and who is in it.

    :param values: name, description; None or the present one changes nothing
    :param add, remove: ids of volumes; those that are in the group already may be added again
    :raises InvalidInput: nothing would change, or a volume does not fit
    :raises InvalidState: a status does not allow it
    :raises MigrationActive: names the migration of a volume that was to be added
    :raises ReplicationConflict: the group and a volume to be added are each replicated by
        themselves
    :raises GroupNotFound: there is no such group
    """
    group = groups.hold(context, group_id, 'be changed')
    services.refuse_frozen(context, group.host)
    twice = sorted(set(add) & set(remove))
    if twice:
        raise exceptions.InvalidInput(
            reason=f'volumes {", ".join(twice)[:255]} are both to be added and to be removed.')
    values = {name: value for name, value in values.items()
              if value is not None and value != getattr(group, name)}
    present = {volume_id for volume_id, _status in groups.members(context, group_id)}
    new = [volume_id for volume_id in dict.fromkeys(add) if volume_id not in present]
    if not values and not new and not remove:
        raise exceptions.InvalidInput(
            reason=f'group {group_id} cannot be changed: no new name, description, add_volumes '
                   'or remove_volumes were given.')
    for volume_id in dict.fromkeys(remove):
        _remove(context, group, volume_id, present)
    type_ids = groups.volume_types_of(context, [group_id])[group_id]
    for volume_id in new:
        _add(context, group, volume_id, type_ids)
    groups.update(context, group_id, values)
    for event in ('update', 'updated'):
        transition.note(context, 'group', group_id, event)


def _remove(context, group, volume_id, present):
    if volume_id not in present:
        raise exceptions.InvalidInput(
            reason=f'volume {volume_id[:255]} is not in group {group.id}.')
    volumes.hold(context, volume_id, 'be removed from its group', REMOVABLE)
    volumes.update(context, volume_id, {'group_id': None})


def _add(context, group, volume_id, type_ids):
    action = f'be added to group {group.id}'
    try:
        volumes.get(context, volume_id, None if context.is_admin else context.project_id)
    except exceptions.VolumeNotFound:
        raise exceptions.InvalidInput(
            reason=f'volume {volume_id[:255]} cannot {action}: it cannot be found.')
    volumes.hold(context, volume_id, action, ADDABLE)
    # Columns, read after the lock: the instance above may be older.
    found = context.session.execute(
        sa.select(_Volume.project_id, _Volume.group_id, _Volume.volume_type_id, _Volume.host)
        .where(_Volume.id == volume_id).with_for_update()).one()
    reason = None
    if found.group_id is not None:
        reason = f'it is in group {found.group_id}'
    elif found.project_id != group.project_id:
        reason = 'it belongs to another project'
    elif found.volume_type_id not in type_ids:
        reason = 'the group does not take volumes of its type'
    elif _backend_of(found.host) != _backend_of(group.host):
        reason = 'it is not on the backend of the group'
    if reason is not None:
        raise exceptions.InvalidInput(reason=f'volume {volume_id} cannot {action}: {reason}.')
    replication_claims.refuse_joining(context, volume_id, group)
    volumes.update(context, volume_id, {'group_id': group.id})


@session.writer
def begin_delete(context, group_id, delete_volumes=False):
    """Let the removal of a group begin; without a backend it is removed at once.

    :param delete_volumes: its volumes go too; they are ``deleting`` afterwards
    :raises InvalidState: its status, its snapshots or its volumes do not allow it
    :raises GroupNotFound: there is no such group
    """
    group = groups.hold(context, group_id, 'be deleted',
                        states.MACHINE.states if delete_volumes else states.DELETABLE)
    services.refuse_frozen(context, group.host)
    transition.move(context, states.MACHINE, group_id, 'delete', {'request': {'delete': True}})
    members = groups.members(context, group_id)
    services.refuse_frozen(context, groups.get(context, group_id).host)
    _refuse_snapshots(context, group_id)
    if members and not delete_volumes:
        raise exceptions.InvalidState(
            kind='group', reason=f'group {group_id} still contains volumes: the delete-volumes '
                                 'flag is required to delete it.')
    for volume_id, _status in members:
        volume_requests.begin_delete(context, volume_id, with_group=True)
    if groups.get(context, group_id).host is None:
        groups.mark_deleted(context, group_id)


def _refuse_snapshots(context, group_id):
    snapshot = group_models.GroupSnapshot
    found = context.session.execute(
        sa.select(snapshot.id).where(snapshot.group_id == group_id, snapshot.deleted_at.is_(None))
        .limit(1).with_for_update(read=True)).first()
    if found is not None:
        raise exceptions.InvalidState(
            kind='group', reason=f'group {group_id} cannot be deleted: it has group snapshots.')


@session.writer
def create_from_snapshot(context, group_snapshot, values):
    """Record a group and its volumes, each to be made from a member of a group snapshot.

    :param group_snapshot: group_models.GroupSnapshot
    :param values: project_id, user_id, name, description
    :returns: group_models.Group
    :raises InvalidState: the group snapshot is empty or not available
    :raises MigrationActive: of a member's volume
    """
    source = groups.hold(context, group_snapshot.group_id, 'have a snapshot copied',
                         states.MACHINE.states)
    status = context.session.execute(
        sa.select(group_models.GroupSnapshot.status)
        .where(group_models.GroupSnapshot.id == group_snapshot.id,
               group_models.GroupSnapshot.deleted_at.is_(None))
        .with_for_update(read=True)).scalar()
    if status != snapshot_states.AVAILABLE:
        raise exceptions.InvalidState(
            kind='group snapshot',
            reason=f'group snapshot {group_snapshot.id} is {status or "deleted"}, not available.')
    members = snapshots.of_group_snapshot(context, group_snapshot.id)
    if not members:
        raise exceptions.InvalidState(
            kind='group', reason=f'group snapshot {group_snapshot.id} is empty.')
    for member in members:
        # Before the project's lock, which recording the group takes.
        volumes.hold(context, member.volume_id, 'have a snapshot cloned',
                     volume_states.MACHINE.states)
    group = _copy(context, source, {**values, 'group_snapshot_id': group_snapshot.id},
                  [member.volume_type_id for member in members])
    for member in members:
        origin = volumes.get(context, member.volume_id)
        volume_requests.create_from_snapshot(
            context, member, _member(group, origin, member.size, member.volume_type_id))
    return group


@session.writer
def create_from_group(context, source_id, values):
    """Record a group and its volumes, each to be made from a volume of another group.

    :param source_id: of a group that the caller may know of
    :param values: project_id, user_id, name, description
    :returns: group_models.Group
    :raises InvalidState: the source is empty, or it or a volume in it is in no fit status
    :raises MigrationActive: of a volume in it
    """
    source = groups.hold(context, source_id, 'be copied')
    members = [volumes.get(context, volume_id)
               for volume_id, _status in groups.members(context, source_id)]
    if not members:
        raise exceptions.InvalidState(kind='group', reason=f'source group {source_id} is empty.')
    for member in members:
        # Before the project's lock, which recording the group takes.
        volumes.hold(context, member.id, 'be cloned', ADDABLE)
    group = _copy(context, source, {**values, 'source_group_id': source_id},
                  [member.volume_type_id for member in members])
    for member in members:
        volume_requests.create_from_volume(
            context, member, _member(group, member, member.size, member.volume_type_id))
    return group


def _copy(context, source, values, member_types):
    """The row of a group that is made from ``source`` or from a snapshot of it."""
    services.refuse_frozen(context, source.host)
    type_ids = groups.volume_types_of(context, [source.id])[source.id]
    return groups.create(context, {
        **values, 'group_type_id': source.group_type_id, 'host': source.host,
        'availability_zone': source.availability_zone, 'request': {'members': 'from source'},
    }, {*type_ids, *member_types} - {None})


def _member(group, origin, size, type_id):
    """Columns of a volume of a new group, next to the one that it is made from."""
    return {'project_id': group.project_id, 'user_id': group.user_id, 'size': size,
            'host': origin.host, 'availability_zone': group.availability_zone,
            'volume_type_id': type_id, 'multiattach': origin.multiattach,
            'bootable': origin.bootable, 'group_id': group.id}
