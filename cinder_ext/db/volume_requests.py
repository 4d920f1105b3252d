"""What a request begins on a volume together with what hangs on it: made from, larger, removed.

Each function is one transaction that holds the volume's row, so that what it
has checked stays true until it has written.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    assisted_snapshots,
    attachments,
    models,
    quotas,
    services,
    session,
    shadow_volumes,
    snapshots,
    transition,
    volume_migrations,
    volume_properties,
    volumes,
)
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as states

UNWRITABLE = (states.MAINTENANCE, 'uploading')
"""Statuses in which a volume's metadata stays as it is."""


@session.writer
def create_from_snapshot(context, snapshot, values, metadata=None):
    """Record a volume that is to be made from a snapshot.

    :param snapshot: models.Snapshot
    :raises MigrationActive: the snapshot's volume is being migrated
    :raises InvalidState: the snapshot is not available
    """
    volumes.hold(context, snapshot.volume_id, 'have a snapshot cloned', states.MACHINE.states)
    # A locking read: MariaDB's plain ones show the start of the transaction.
    status = context.session.execute(
        sa.select(models.Snapshot.status)
        .where(models.Snapshot.id == snapshot.id, models.Snapshot.deleted_at.is_(None))
        .with_for_update(read=True)).scalar()
    if status != snapshot_states.AVAILABLE:
        raise exceptions.InvalidState(
            kind='snapshot', reason=f'snapshot {snapshot.id} is {status or "deleted"}, not available.')
    volume = volumes.create(context, {**values, 'snapshot_id': snapshot.id}, metadata)
    if volume.bootable:
        volume_properties.take_from_snapshot(context, snapshot.id, volume.id)
    return volume


@session.writer
def create_from_volume(context, source, values, metadata=None):
    """Record a volume that is to be made from another one.

    :param source: models.Volume
    :raises MigrationActive, InvalidState: of the source
    """
    volumes.hold(context, source.id, 'be cloned', (states.AVAILABLE, states.IN_USE))
    assisted_snapshots.refuse_open(context, source.id, 'be cloned')
    volume = volumes.create(context, {**values, 'source_volid': source.id}, metadata)
    if volume.bootable:
        volume_properties.take_from_volume(context, source.id, volume.id)
    return volume


@session.writer
def begin_extend(context, volume_id, event, new_size_gib):
    """Let a volume become larger.

    :param event: ``extend`` or ``extend-attached``
    :raises InvalidInput: it is as large already
    :raises OverLimit: the project may not have so much
    :raises MigrationActive, InvalidState, VolumeNotFound: as volumes.begin
    """
    volumes.hold(context, volume_id, 'be extended', states.MACHINE.row(event).sources)
    assisted_snapshots.refuse_open(context, volume_id, 'be extended')
    volume = volumes.get(context, volume_id)
    services.refuse_frozen(context, volume.host)
    if new_size_gib <= volume.size:
        raise exceptions.InvalidInput(
            reason='New size for extend must be greater than current size. '
                   f'(current: {volume.size}, extended: {new_size_gib}).')
    if volume.consumes_quota:
        quotas.admit(context, volume.project_id, {
            'gigabytes': new_size_gib - volume.size, quotas.PER_VOLUME: new_size_gib},
            volume.volume_type_id)
    volumes.begin(context, volume_id, event, 'be extended',
                  values={'request': {'new_size': new_size_gib}})


@session.writer
def begin_delete(context, volume_id, force=False, cascade=False, with_group=False):
    """Let the removal of a volume begin; without a backend it is removed at once.

    :param force: whatever its status, unless it is attached or migrating
    :param cascade: its snapshots go too; they are ``deleting`` afterwards
    :param with_group: its group goes too; else a volume in a group stays
    :returns: ids of the snapshots to be removed before it, newest first
    :raises MigrationActive: names the migration
    :raises InvalidState: its status, snapshots, attachments, clones or group do not allow it
    :raises VolumeNotFound: there is none
    """
    if force:
        volumes.hold(context, volume_id, 'be deleted', states.MACHINE.states)
    else:
        # With cascade the snapshots hold the volume's row again, which is deleting by then.
        volumes.begin(context, volume_id, 'delete', 'be deleted',
                      values={'request': {'cascade': cascade}})
    services.refuse_frozen(context, volumes.get(context, volume_id).host)
    _refuse_used(context, volume_id)
    if not with_group:
        refuse_grouped(context, volume_id, 'be deleted')
    doomed = [snapshot.id for snapshot in reversed(snapshots.of_volume(context, volume_id))]
    if doomed and not cascade:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot be deleted: it has {len(doomed)} '
                                  'snapshots; delete them first, or delete with cascade.')
    for snapshot_id in doomed:
        snapshots.begin_delete(context, snapshot_id, force)
    if force:
        transition.force(context, states.MACHINE, volume_id, states.DELETING)
    if volumes.get(context, volume_id).host is None:
        volumes.mark_deleted(context, volume_id)
    return doomed


def refuse_grouped(context, volume_id, action):
    """
    :raises InvalidState: the volume, whose row is held, is in a group
    """
    # A locking read: MariaDB's plain ones show the start of the transaction.
    group_id = context.session.execute(
        sa.select(models.Volume.group_id).where(models.Volume.id == volume_id)
        .with_for_update(read=True)).scalar()
    if group_id is not None:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot {action}: it belongs to group '
                                  f'{group_id}.')


def _refuse_used(context, volume_id):
    attached = attachments.of_volume(context, volume_id)
    clones = volume_migrations.being_cloned(context, volume_id)
    reason = None
    if attached:
        reason = f'attachment {attached[0].id} uses it'
    elif clones:
        reason = f'volume {clones[0]} is being created from it'
    if reason:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot be deleted: {reason}.')


@session.writer
def reset_status(context, volume_id, status, also=None):
    """Set a volume's statuses whatever they were: an administrator's os-reset_status.

    :param status: None leaves it
    :param also: attach_status, migration_status; ``detached`` removes its attachments
    :raises MigrationActive: names the migration
    :raises InvalidInput: it was never made, and what has ``status`` is at a backend; or it shall
        be in use and nothing uses it
    :raises VolumeNotFound: there is no such volume
    """
    volume_migrations.refuse_active(context, volume_id, 'have its status reset')
    volume = volumes.get(context, volume_id)
    if status == states.IN_USE and not attachments.of_volume(context, volume_id):
        raise exceptions.InvalidInput(
            reason=f'volume {volume_id} has no attachments and cannot be in use.')
    if (also or {}).get('attach_status') == 'detached':
        attachments.let_go(context, volume_id)
    status = status or volumes.get(context, volume_id).status
    if volume.host is None and status not in (states.CREATING, states.ERROR,
                                              states.ERROR_DELETING):
        raise exceptions.InvalidInput(
            reason=f'volume {volume_id} has no backend: it can be creating or in error only.')
    if volume.previous_status is not None:
        # A failback has nothing to restore any more.
        volumes.update(context, volume_id, {'previous_status': None})
    transition.force(context, states.MACHINE, volume_id, status, also)


@session.writer
def reset_snapshot_status(context, snapshot_id, status):
    """Set a snapshot's status whatever it was: an administrator's os-reset_status.

    :raises MigrationActive: names the migration of its volume
    :raises SnapshotNotFound: there is no such snapshot
    """
    volume_id = snapshots.get(context, snapshot_id).volume_id
    volume_migrations.refuse_active(context, volume_id, "have a snapshot's status reset")
    transition.force(context, snapshot_states.MACHINE, snapshot_id, status)


@session.reader
def totals(context, project_id=None, hidden=True):
    """How many volumes there are, of how many GiB in all: (count, size).

    :param hidden: those that the service makes for itself are counted too
    """
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(models.Volume.size), 0))
    count, size = context.session.execute(query.where(*_summed(project_id, hidden))).one()
    return count, int(size)


def _summed(project_id, hidden):
    where = [models.Volume.deleted_at.is_(None), shadow_volumes.is_not_one()]
    if project_id is not None:
        where.append(models.Volume.project_id == project_id)
    if not hidden:
        where.append(models.Volume.consumes_quota.is_(True))
    return where


@session.reader
def metadata_words(context, project_id=None, hidden=True):
    """Every key of the volumes' metadata with its distinct values; ``hidden`` as of totals."""
    table = models.VolumeMetadata
    query = (sa.select(table.key, table.value).join(models.Volume, models.Volume.id == table.volume_id)
             .where(*_summed(project_id, hidden)).distinct().order_by(table.key, table.value))
    found = {}
    for key, value in context.session.execute(query):
        found.setdefault(key, []).append(value)
    return found


@session.writer
def set_metadata(context, volume_id, values, replace=False, check=None):
    """Add or change a volume's metadata.

    :param replace: what ``values`` does not name goes
    :param check: function(metadata before), for what it raises
    :returns: all metadata afterwards
    :raises InvalidState: the volume is in maintenance
    """
    table = models.VolumeMetadata
    _hold_described(context, volume_id)
    if check is not None:
        check(volumes.metadata(context, volume_id))
    if replace:
        context.session.execute(sa.delete(table).where(
            table.volume_id == volume_id, table.key.not_in(list(values))))
    for key, value in values.items():
        context.session.merge(table(volume_id=volume_id, key=key, value=value))
    context.session.flush()
    return volumes.metadata(context, volume_id)


@session.writer
def delete_metadata(context, volume_id, key):
    """Remove one key of a volume's metadata.

    :raises InvalidState: the volume is in maintenance
    :raises MetadataNotFound: there is no such key
    """
    table = models.VolumeMetadata
    _hold_described(context, volume_id)
    gone = context.session.execute(sa.delete(table).where(
        table.volume_id == volume_id, table.key == key)).rowcount
    if not gone:
        raise exceptions.MetadataNotFound(kind='Volume', id=volume_id, key=key)


def _hold_described(context, volume_id):
    """Lock the volume's row until the transaction ends, unless its metadata has to stay."""
    held = context.session.execute(
        sa.update(models.Volume)
        .where(models.Volume.id == volume_id, models.Volume.deleted_at.is_(None),
               models.Volume.status.not_in(UNWRITABLE))
        .values(updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False)).rowcount
    if not held:
        status = volumes.get(context, volume_id).status
        raise exceptions.InvalidState(
            kind='volume', reason=f'metadata of volume {volume_id} cannot change: its status is '
                                  f'{status}.')
