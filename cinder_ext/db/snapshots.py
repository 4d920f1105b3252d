"""Snapshots: one row each, and what may begin on them."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    group_models,
    models,
    quotas,
    services,
    session,
    transition,
    volume_properties,
    volumes,
)
from cinder_ext.states import snapshot as states
from cinder_ext.states import volume as volume_states

_Snapshot = models.Snapshot
_Metadata = models.SnapshotMetadata

_HELD = tuple(state for state in volume_states.MACHINE.states if state != volume_states.REVERTING)
"""Statuses of a volume whose snapshots may be deleted."""


@session.reader
def get(context, snapshot_id, project_id=None):
    """One snapshot.

    :param project_id: only if it belongs to this project
    :raises SnapshotNotFound: there is none, or it was deleted
    """
    query = sa.select(_Snapshot).where(_Snapshot.id == snapshot_id,
                                       _Snapshot.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(_Snapshot.project_id == project_id)
    found = context.session.execute(query).scalar_one_or_none()
    if found is None:
        raise exceptions.SnapshotNotFound(id=snapshot_id)
    return found


@session.writer
def create(context, values, metadata=None, force=False):
    """Record a snapshot that is to be taken; status ``creating``.

    Size, type and owner come from the volume where ``values`` does not name them.

    :param values: volume_id, and any of name, description, user_id, consumes_quota ...
    :param force: of an attached volume too
    :returns: models.Snapshot
    :raises MigrationActive, InvalidState, VolumeNotFound: of the volume
    :raises OverLimit: the project may not have it; nothing was recorded
    """
    statuses = ((volume_states.AVAILABLE, volume_states.IN_USE) if force
                else (volume_states.AVAILABLE,))
    volumes.hold(context, values['volume_id'], 'be snapshotted', statuses)
    volume = volumes.get(context, values['volume_id'])
    services.refuse_frozen(context, volume.host)
    columns = {
        'size': volume.size, 'volume_type_id': volume.volume_type_id,
        'project_id': volume.project_id, 'user_id': context.user_id or volume.user_id,
        'progress': '0%', **values}
    if columns.get('consumes_quota', True):
        quotas.admit(context, columns['project_id'],
                     {'snapshots': 1, 'gigabytes': quotas.snapshot_gib(columns['size'])},
                     columns['volume_type_id'])
    snapshot = transition.insert(context, states.MACHINE, columns)
    for key, value in (metadata or {}).items():
        context.session.add(_Metadata(snapshot_id=snapshot.id, key=key, value=value))
    if volume.bootable:
        volume_properties.keep_for_snapshot(context, volume.id, snapshot.id)
    return snapshot


@session.writer
def update(context, snapshot_id, values):
    """Set columns that are no status.

    :raises SnapshotNotFound: there is none
    """
    changed = context.session.execute(
        sa.update(_Snapshot).where(_Snapshot.id == snapshot_id, _Snapshot.deleted_at.is_(None))
        .values({**values, 'updated_at': timeutils.utcnow()})).rowcount
    if not changed:
        raise exceptions.SnapshotNotFound(id=snapshot_id)


@session.writer
def begin_delete(context, snapshot_id, force=False, with_group=False):
    """Let the removal of a snapshot begin.

    :param force: whatever its status, as an administrator's os-force_delete
    :param with_group: its group snapshot goes too; else a member of one stays
    :raises MigrationActive: its volume is being migrated
    :raises InvalidState: its status, its group or a volume being made from it do not allow it
    :raises SnapshotNotFound: there is none
    """
    snapshot = get(context, snapshot_id)
    volumes.hold(context, snapshot.volume_id, 'have a snapshot deleted', _HELD)
    services.refuse_frozen(context, volumes.get(context, snapshot.volume_id).host)
    if snapshot.group_snapshot_id is not None and not with_group:
        raise exceptions.InvalidState(
            kind='snapshot', reason=f'snapshot {snapshot_id} belongs to group snapshot '
                                    f'{snapshot.group_snapshot_id}.')
    _refuse_source(context, snapshot_id)
    if force:
        transition.force(context, states.MACHINE, snapshot_id, states.DELETING)
        return
    try:
        transition.move(context, states.MACHINE, snapshot_id, 'delete',
                        where=(_Snapshot.deleted_at.is_(None),))
    except exceptions.TransitionRefused as refusal:
        raise exceptions.InvalidState(
            kind='snapshot', reason=(
                f"snapshot {snapshot_id} cannot be deleted: its status is "
                f"{refusal.facts['current']}, expected one of {refusal.facts['expected']}.")
        ) from refusal


_REPORTS = {
    ('creating', 'available'): 'created',
    ('creating', 'error'): 'create-failed',
    ('deleting', 'error_deleting'): 'delete-failed',
}


@session.writer
def report(context, snapshot_id, status, progress=None):
    """Take a compute service's report.

    While it is made a snapshot may be reported creating, available or error; while it is removed
    deleting or error_deleting.

    :param progress: such as ``90%``; None leaves what is there
    :raises InvalidState: the report does not fit the snapshot's status
    """
    current = get(context, snapshot_id).status
    values = {} if progress is None else {'progress': progress}
    if status == current and status in (states.CREATING, states.DELETING):
        update(context, snapshot_id, values)
    elif (current, status) in _REPORTS:
        transition.move(context, states.MACHINE, snapshot_id, _REPORTS[current, status], values)
    else:
        raise exceptions.InvalidState(
            kind='snapshot',
            reason=f'a snapshot that is {current} cannot be reported to be {status[:255]}.')


def _refuse_source(context, snapshot_id):
    # A locking read: MariaDB's plain ones show the start of the transaction.
    child = context.session.execute(
        sa.select(models.Volume.id)
        .where(models.Volume.snapshot_id == snapshot_id, models.Volume.deleted_at.is_(None),
               models.Volume.status == volume_states.CREATING)
        .limit(1).with_for_update(read=True)).scalar()
    if child is not None:
        raise exceptions.InvalidState(
            kind='snapshot', reason=f'volume {child} is being created from snapshot {snapshot_id}.')


@session.reader
def of_volume(context, volume_id):
    """A volume's snapshots, oldest first."""
    return list(context.session.execute(
        sa.select(_Snapshot)
        .where(_Snapshot.volume_id == volume_id, _Snapshot.deleted_at.is_(None))
        .order_by(_Snapshot.created_at, _Snapshot.id)).scalars())


@session.reader
def of_group_snapshot(context, group_snapshot_id):
    """The members of a group snapshot, oldest first."""
    return list(context.session.execute(
        sa.select(_Snapshot)
        .where(_Snapshot.group_snapshot_id == group_snapshot_id, _Snapshot.deleted_at.is_(None))
        .order_by(_Snapshot.created_at, _Snapshot.id)
        .execution_options(populate_existing=True)).scalars())


@session.reader
def count_of_volume(context, volume_id):
    """How many snapshots a volume has."""
    return context.session.execute(
        sa.select(sa.func.count()).select_from(_Snapshot)
        .where(_Snapshot.volume_id == volume_id, _Snapshot.deleted_at.is_(None))).scalar_one()


@session.reader
def unfinished(context, host):
    """Ids and statuses of a backend's snapshots whose work was recorded and is not done.

    Those that are to be managed are not among them, see managed.unfinished_snapshots.

    :param host: ``host@backend``
    :returns: a list of (id, status), oldest first; not those that a group snapshot works on
    """
    whole = group_models.GroupSnapshot
    of_group = sa.exists().where(whole.id == _Snapshot.group_snapshot_id,
                                 whole.deleted_at.is_(None),
                                 whole.status.in_((states.CREATING, states.DELETING)))
    query = (sa.select(_Snapshot.id, _Snapshot.status)
             .join(models.Volume, models.Volume.id == _Snapshot.volume_id)
             .where(_Snapshot.deleted_at.is_(None),
                    sa.or_(_Snapshot.status == states.DELETING, sa.and_(
                        _Snapshot.status == states.CREATING, _Snapshot.request.is_(sa.null()))),
                    ~of_group,
                    models.Volume.host.startswith(host + '#', autoescape=True)))
    return [tuple(row) for row in context.session.execute(
        query.order_by(_Snapshot.created_at, _Snapshot.id))]


@session.writer
def mark_deleted(context, snapshot_id, event='deleted'):
    """The backend has removed it, or let it go: the row stays for the purge, its metadata goes.

    :param event: told to the watchers; ``unmanaged`` when the backend still has it

    Idempotent.
    """
    now = timeutils.utcnow()
    for table in (_Metadata, models.SnapshotImageMetadata, models.SnapshotAdminMetadata):
        context.session.execute(sa.delete(table).where(table.snapshot_id == snapshot_id))
    context.session.execute(
        sa.update(_Snapshot).where(_Snapshot.id == snapshot_id, _Snapshot.deleted_at.is_(None))
        .values(deleted_at=now, updated_at=now))
    transition.note(context, 'snapshot', snapshot_id, event)


@session.reader
def metadata(context, snapshot_id):
    """A snapshot's metadata as a dictionary."""
    return metadata_of(context, [snapshot_id])[snapshot_id]


@session.reader
def metadata_of(context, snapshot_ids):
    """Metadata of several snapshots in one statement: snapshot id -> dictionary."""
    found = {snapshot_id: {} for snapshot_id in snapshot_ids}
    rows = context.session.execute(
        sa.select(_Metadata.snapshot_id, _Metadata.key, _Metadata.value)
        .where(_Metadata.snapshot_id.in_(found)).order_by(_Metadata.key))
    for snapshot_id, key, value in rows:
        found[snapshot_id][key] = value
    return found


@session.writer
def set_metadata(context, snapshot_id, values, replace=False):
    """Add or change metadata.

    :param replace: what ``values`` does not name goes
    :returns: all metadata afterwards
    :raises SnapshotNotFound: there is none
    """
    update(context, snapshot_id, {})
    if replace:
        context.session.execute(sa.delete(_Metadata).where(
            _Metadata.snapshot_id == snapshot_id, _Metadata.key.not_in(list(values))))
    for key, value in values.items():
        context.session.merge(_Metadata(snapshot_id=snapshot_id, key=key, value=value))
    context.session.flush()
    return metadata(context, snapshot_id)


@session.writer
def delete_metadata(context, snapshot_id, key):
    """Remove one key.

    :raises MetadataNotFound: there is no such key
    :raises SnapshotNotFound: there is no such snapshot
    """
    update(context, snapshot_id, {})
    gone = context.session.execute(sa.delete(_Metadata).where(
        _Metadata.snapshot_id == snapshot_id, _Metadata.key == key)).rowcount
    if not gone:
        raise exceptions.MetadataNotFound(kind='Snapshot', id=snapshot_id, key=key)
