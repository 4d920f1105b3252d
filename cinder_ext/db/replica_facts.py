"""What is told to another cloud of some volumes: everything but their bytes.

A handful of statements, however many the volumes are: this is read with every point that is shipped.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext.db import (
    group_models,
    group_types,
    models,
    qos_specs,
    session,
    snapshots,
    volume_properties,
)
from cinder_ext.states import snapshot as snapshot_states

_Snapshot, _Type = models.Snapshot, models.VolumeType
_Group = group_models.Group
_COPIED = ('id', 'name', 'description', 'size', 'project_id', 'user_id', 'availability_zone',
           'bootable', 'multiattach')
_OF_SNAPSHOT = ('id', 'name', 'description', 'size')


@session.reader
def of_volumes(context, volumes):
    """What can be told of volumes: volume id -> parts of its manifest, as its schema has them.

    :param volumes: models.Volume
    :returns: ``volume``, ``type``, ``snapshots``, ``group`` and ``name_id``, with times as
        datetime.  Snapshots that are whole, oldest first.
    """
    rows = {row.id: row for row in volumes}
    if not rows:
        return {}
    noted = volume_properties.beside(context, rows, ())
    beside = {'metadata': noted.metadata, 'admin_metadata': noted.admin,
              'image_metadata': noted.image}
    types = _types(context, {row.volume_type_id for row in rows.values()} - {None})
    groups = _groups(context, {row.group_id for row in rows.values()} - {None})
    taken = _snapshots(context, rows)
    return {volume_id: {
        'name_id': row.name_id or row.id,
        'volume': {**{name: getattr(row, name) for name in _COPIED}, 'created_at': row.created_at,
                   'encrypted': row.encryption_key_id is not None,
                   **{name: found.get(volume_id, {}) for name, found in beside.items()}},
        'type': types.get(row.volume_type_id), 'group': groups.get(row.group_id),
        'snapshots': taken.get(volume_id, [])} for volume_id, row in rows.items()}


def _types(context, type_ids):
    if not type_ids:
        return {}
    spec = models.VolumeTypeExtraSpec
    specs = {}
    for type_id, key, value in context.session.execute(
            sa.select(spec.volume_type_id, spec.key, spec.value)
            .where(spec.volume_type_id.in_(type_ids))):
        specs.setdefault(type_id, {})[key] = value
    rows = context.session.execute(
        sa.select(_Type.id, _Type.name, _Type.qos_specs_id).where(_Type.id.in_(type_ids))).all()
    limited = {row.qos_specs_id for row in rows} - {None}
    limits = qos_specs.described(context, limited) if limited else {}
    return {row.id: {'name': row.name, 'extra_specs': specs.get(row.id, {}),
                     'qos': limits.get(row.qos_specs_id)} for row in rows}


def _groups(context, group_ids):
    if not group_ids:
        return {}
    kind, link = group_models.GroupType, group_models.GroupVolumeType
    rows = context.session.execute(
        sa.select(_Group.id, _Group.name, _Group.description, _Group.availability_zone,
                  _Group.group_type_id, kind.name.label('type_name'))
        .join(kind, kind.id == _Group.group_type_id).where(_Group.id.in_(group_ids))).all()
    specs = group_types.specs_of(context, {row.group_type_id for row in rows})
    names = {}
    for group_id, name in context.session.execute(
            sa.select(link.group_id, _Type.name).join(_Type, _Type.id == link.volume_type_id)
            .where(link.group_id.in_(group_ids)).order_by(_Type.name)):
        names.setdefault(group_id, []).append(name)
    return {row.id: {'id': row.id, 'name': row.name, 'description': row.description,
                     'availability_zone': row.availability_zone,
                     'type': {'name': row.type_name, 'specs': specs.get(row.group_type_id, {})},
                     'volume_types': names.get(row.id, [])} for row in rows}


def _snapshots(context, volume_ids):
    found = {}
    rows = context.session.execute(
        sa.select(_Snapshot).where(
            _Snapshot.volume_id.in_(list(volume_ids)), _Snapshot.deleted_at.is_(None),
            _Snapshot.status.in_((snapshot_states.AVAILABLE, snapshot_states.RESTORING)))
        .order_by(_Snapshot.created_at, _Snapshot.id)).scalars().all()
    noted = snapshots.metadata_of(context, [row.id for row in rows]) if rows else {}
    for row in rows:
        found.setdefault(row.volume_id, []).append({
            **{name: getattr(row, name) for name in _OF_SNAPSHOT},
            'name_id': row.name_id or row.id, 'created_at': row.created_at,
            'metadata': noted[row.id]})
    return found
