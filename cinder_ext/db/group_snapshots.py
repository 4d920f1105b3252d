"""Group snapshots: one row each; their members are snapshots that name them."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    faults,
    group_models,
    groups,
    models,
    services,
    session,
    snapshots,
    transition,
    volumes,
)
from cinder_ext.states import group as group_states
from cinder_ext.states import group_snapshot as states
from cinder_ext.states import messages as words
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as volume_states

_Whole = group_models.GroupSnapshot
_Group = group_models.Group


@session.reader
def get(context, group_snapshot_id, project_id=None):
    """One group snapshot.

    :param project_id: only if it belongs to this project
    :raises GroupSnapshotNotFound: there is none, or it was deleted
    """
    query = sa.select(_Whole).where(_Whole.id == group_snapshot_id, _Whole.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(_Whole.project_id == project_id)
    found = context.session.execute(
        query.execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise exceptions.GroupSnapshotNotFound(id=group_snapshot_id)
    return found


@session.writer
def create(context, group_id, values):
    """Record a snapshot of every volume of a group; all are ``creating``.

    :param values: user_id, name, description
    :returns: group_models.GroupSnapshot
    :raises InvalidState: the group or a volume in it is in no fit status
    :raises MigrationActive: of a volume in it
    :raises GroupNotFound: there is no such group
    """
    group = groups.hold(context, group_id, 'be snapshotted')
    services.refuse_frozen(context, group.host)
    volume_ids = [volume_id for volume_id, _status in groups.members(context, group_id)]
    for volume_id in volume_ids:
        # Before the project's lock, which recording the first snapshot takes.
        volumes.hold(context, volume_id, 'be snapshotted',
                     (volume_states.AVAILABLE, volume_states.IN_USE))
    whole = transition.insert(context, states.MACHINE, {
        **values, 'group_id': group_id, 'group_type_id': group.group_type_id,
        'project_id': group.project_id})
    for volume_id in volume_ids:
        snapshots.create(context, {
            'volume_id': volume_id, 'name': values.get('name'),
            'description': values.get('description'), 'group_snapshot_id': whole.id}, force=True)
    return whole


@session.reader
def members(context, group_snapshot_id):
    """A list of (models.Snapshot, models.Volume), oldest first."""
    rows = context.session.execute(
        sa.select(models.Snapshot, models.Volume)
        .join(models.Volume, models.Volume.id == models.Snapshot.volume_id)
        .where(models.Snapshot.group_snapshot_id == group_snapshot_id,
               models.Snapshot.deleted_at.is_(None))
        .order_by(models.Snapshot.created_at, models.Snapshot.id)
        .execution_options(populate_existing=True))
    return [tuple(row) for row in rows]


@session.writer
def created(context, group_snapshot_id, locations=None):
    """A group snapshot is whole.

    :param locations: snapshot id -> its location at the backend, of members that have just
        been taken together; they become available with it
    :returns: False when its status had changed meanwhile
    """
    if not transition.try_move(context, states.MACHINE, group_snapshot_id, 'created'):
        return False
    for snapshot_id, location in (locations or {}).items():
        transition.try_move(context, snapshot_states.MACHINE, snapshot_id, 'created', {
            'provider_location': location, 'progress': '100%'})
    return True


@session.writer
def create_failed(context, whole, detail_id):
    """A group snapshot could not be taken: it, and the members that were not, are in error.

    :param whole: group_models.GroupSnapshot
    :param detail_id: number of the user message
    :returns: False when its status had changed meanwhile
    """
    if not faults.record(context, states.MACHINE, whole, 'create-failed',
                         words.CREATE_GROUP_SNAPSHOT, detail_id):
        return False
    for snapshot in snapshots.of_group_snapshot(context, whole.id):
        transition.try_move(context, snapshot_states.MACHINE, snapshot.id, 'create-failed')
    return True


@session.writer
def begin_delete(context, group_snapshot_id):
    """Let the removal of a group snapshot and its members begin.

    :returns: the group's host
    :raises InvalidState: its status, or a volume being made from a member, do not allow it
    :raises MigrationActive: of a member's volume
    :raises GroupSnapshotNotFound: there is none
    """
    whole = get(context, group_snapshot_id)
    group = groups.hold(context, whole.group_id, 'have a snapshot deleted',
                        group_states.MACHINE.states)
    services.refuse_frozen(context, group.host)
    try:
        transition.move(context, states.MACHINE, group_snapshot_id, 'delete',
                        where=(_Whole.deleted_at.is_(None),))
    except exceptions.TransitionRefused as refusal:
        raise exceptions.InvalidState(
            kind='group snapshot', reason=(
                f"group snapshot {group_snapshot_id} cannot be deleted: its status is "
                f"{refusal.facts['current']}, expected one of {refusal.facts['expected']}.")
        ) from refusal
    for snapshot in snapshots.of_group_snapshot(context, group_snapshot_id):
        snapshots.begin_delete(context, snapshot.id, with_group=True)
    return group.host


@session.writer
def delete_failed(context, whole):
    """A member could not be removed: the group snapshot is in error, its owner is told.

    :returns: False when its status had changed meanwhile
    """
    return faults.record(context, states.MACHINE, whole, 'delete-failed',
                         words.DELETE_GROUP_SNAPSHOT, words.GROUP_SNAPSHOT_NOT_REMOVED)


@session.reader
def unfinished(context, host):
    """Ids and statuses of a backend's group snapshots whose work was recorded and is not done.

    :param host: ``host@backend``
    :returns: a list of (id, status), oldest first
    """
    rows = context.session.execute(
        sa.select(_Whole.id, _Whole.status, _Group.host)
        .join(_Group, _Group.id == _Whole.group_id)
        .where(_Whole.deleted_at.is_(None),
               _Whole.status.in_((states.CREATING, states.DELETING)),
               _Group.host.startswith(host + '#', autoescape=True))
        .order_by(_Whole.created_at))
    # LIKE does not tell cases apart.
    return [(row.id, row.status) for row in rows if row.host.partition('#')[0] == host]


@session.writer
def reset_status(context, group_snapshot_id, status):
    """Set a status whatever it was: an administrator's reset_status."""
    transition.force(context, states.MACHINE, group_snapshot_id, status)


@session.writer
def mark_deleted(context, group_snapshot_id):
    """It is gone with its members: the row stays for the purge.  Idempotent."""
    now = timeutils.utcnow()
    context.session.execute(
        sa.update(_Whole).where(_Whole.id == group_snapshot_id, _Whole.deleted_at.is_(None))
        .values(deleted_at=now, updated_at=now).execution_options(synchronize_session=False))
    transition.note(context, 'group_snapshot', group_snapshot_id, 'deleted')
