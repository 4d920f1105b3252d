"""What a notification says of a row: names and forms as Cinder's notifications have them."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext.db import group_models, models, replication_models, session


@session.reader
def payload(context, kind, entity_id):
    """The facts of one row, also of a deleted one.

    :param kind: ``volume``, ``snapshot``, ``attachment``, ``migration``, ``group``,
        ``group_snapshot``, ``replication``, ``replication_operation`` or
        ``replication_operation_member``
    :returns: a dictionary fit for JSON; None when there is no such row or kind
    """
    if kind not in _KINDS:
        return None
    model, describe = _KINDS[kind]
    row = context.session.get(model, entity_id)
    return describe(context, row) if row is not None else None


def _volume(context, row):
    attached = context.session.execute(
        sa.select(models.Attachment).where(models.Attachment.volume_id == row.id,
                                           models.Attachment.deleted_at.is_(None))).scalars()
    return {
        'tenant_id': row.project_id, 'user_id': row.user_id, 'volume_id': row.id,
        'host': row.host, 'availability_zone': row.availability_zone, 'display_name': row.name,
        'volume_type': row.volume_type_id, 'size': row.size, 'status': row.status,
        'snapshot_id': row.snapshot_id, 'source_volid': row.source_volid,
        'replication_status': row.replication_status, 'group_id': row.group_id,
        'created_at': _moment(row.created_at), 'launched_at': _moment(row.launched_at),
        'metadata': _metadata(context, models.VolumeMetadata, 'volume_id', row.id),
        'volume_attachment': [_attached(each) for each in attached]}


def _attached(row):
    """No connection info: it may hold credentials."""
    return {'attachment_id': row.id, 'instance_uuid': row.instance_id,
            'attached_host': row.attached_host, 'mountpoint': row.mountpoint,
            'attach_status': row.attach_status}


def _attachment(context, row):
    volume = context.session.get(models.Volume, row.volume_id)
    return {**_volume(context, volume), **_attached(row)}


def _snapshot(context, row):
    volume = context.session.get(models.Volume, row.volume_id)
    return {
        'tenant_id': row.project_id, 'user_id': row.user_id, 'snapshot_id': row.id,
        'volume_id': row.volume_id, 'volume_size': row.size, 'host': volume.host,
        'availability_zone': volume.availability_zone, 'display_name': row.name,
        'status': row.status, 'created_at': _moment(row.created_at),
        'deleted': _moment(row.deleted_at) or '',
        'metadata': _metadata(context, models.SnapshotMetadata, 'snapshot_id', row.id)}


def _migration(context, row):
    """What is left at a backend is counted, not named."""
    volume = context.session.get(models.Volume, row.volume_id)
    return {**_volume(context, volume), 'migration_id': row.id, 'phase': row.phase,
            'operation': row.operation, 'retry_of': row.retry_of,
            'include_snapshots': bool(row.include_snapshots),
            'source_host': row.source_host, 'destination_host': row.destination_host,
            'source_type': row.source_type_id,
            'destination_type': row.destination_type_id or row.source_type_id,
            'server_id': row.server_id, 'percent': row.percent,
            'bytes_total': row.bytes_total, 'bytes_done': row.bytes_done,
            'bytes_read': row.bytes_read, 'bytes_written': row.bytes_written,
            'bytes_skipped': row.bytes_skipped, 'retries': row.retries,
            'leftovers': len(row.leftovers or []), 'error_code': row.error_code,
            'started_at': _moment(row.started_at), 'committed_at': _moment(row.committed_at),
            'finished_at': _moment(row.finished_at)}


def _group(context, row):
    types = context.session.execute(
        sa.select(group_models.GroupVolumeType.volume_type_id)
        .where(group_models.GroupVolumeType.group_id == row.id)).scalars()
    return {'tenant_id': row.project_id, 'user_id': row.user_id, 'group_id': row.id,
            'host': row.host, 'availability_zone': row.availability_zone, 'name': row.name,
            'status': row.status, 'created_at': _moment(row.created_at),
            'group_type': row.group_type_id, 'volume_types': sorted(types)}


def _group_snapshot(context, row):
    group = context.session.get(group_models.Group, row.group_id)
    return {'tenant_id': row.project_id, 'user_id': row.user_id, 'group_snapshot_id': row.id,
            'group_id': row.group_id, 'host': group.host, 'name': row.name,
            'status': row.status, 'created_at': _moment(row.created_at)}


def _replication(_context, row):
    """The location of nothing, and nothing of a target but its name."""
    return {'tenant_id': row.project_id, 'user_id': row.user_id, 'replication_id': row.id,
            'scope': row.scope, 'protected_id': row.protected_id, 'host': row.home,
            'target': row.target, 'cross_os': bool(row.cross_os), 'mode': row.mode,
            'state': row.state, 'epoch': row.epoch, 'conditions': row.conditions or {},
            'source_side': row.source_side, 'destination_side': row.destination_side,
            'point_id': row.point_id, 'last_consistent_at': _moment(row.last_consistent_at),
            'rpo_seconds': row.rpo_seconds, 'breached_at': _moment(row.breached_at),
            'bytes_pending': row.bytes_pending, 'bytes_shipped': row.bytes_shipped,
            'error_code': row.error_code, 'created_at': _moment(row.created_at)}


def _replication_operation(_context, row):
    return {'tenant_id': row.project_id, 'user_id': row.user_id, 'operation_id': row.id,
            'verb': row.verb, 'scope': row.scope, 'protected_id': row.protected_id,
            'replication_id': row.replication_id, 'host': row.home, 'target': row.target,
            'force': bool(row.force), 'dry_run': bool(row.dry_run), 'state': row.state,
            'error_code': row.error_code, 'created_at': _moment(row.created_at),
            'started_at': _moment(row.started_at), 'finished_at': _moment(row.finished_at)}


def _replication_operation_member(context, row):
    """No location, and no connection info in its attachments."""
    volume = context.session.get(models.Volume, row.volume_id)
    operation = context.session.get(replication_models.ReplicationOperation, row.operation_id)
    return {**_replication_operation(context, operation),
            'tenant_id': volume.project_id if volume is not None else operation.project_id,
            'volume_id': row.volume_id, 'member_replication_id': row.replication_id,
            'result': row.result, 'step': row.step, 'epoch': row.epoch, 'point_id': row.point_id,
            'last_consistent_at': _moment(row.last_consistent_at),
            'loss_seconds': row.loss_seconds, 'former_status': row.former_status,
            'error_code': row.error_code, 'finished_at': _moment(row.finished_at)}


def _metadata(context, model, column, resource_id):
    return dict(context.session.execute(
        sa.select(model.key, model.value).where(getattr(model, column) == resource_id)).all())


def _moment(value):
    return value.isoformat(timespec='microseconds') if value is not None else None


_KINDS = {
    'volume': (models.Volume, _volume),
    'snapshot': (models.Snapshot, _snapshot),
    'attachment': (models.Attachment, _attachment),
    'migration': (models.VolumeMigration, _migration),
    'group': (group_models.Group, _group),
    'group_snapshot': (group_models.GroupSnapshot, _group_snapshot),
    'replication': (replication_models.Replication, _replication),
    'replication_operation': (replication_models.ReplicationOperation, _replication_operation),
    'replication_operation_member': (replication_models.ReplicationOperationMember,
                                     _replication_operation_member),
}
