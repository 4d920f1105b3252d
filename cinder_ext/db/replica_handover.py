"""Volumes that leave for another cloud, and volumes that are taken from one: records only.

Both are one transaction each.  What lies on the arrays is not touched by either.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    group_models,
    groups,
    models,
    purge,
    quotas,
    replication_changes,
    replication_tombstones,
    replications,
    session,
    snapshots,
    transition,
    volume_migrations,
    volume_properties,
    volumes,
)
from cinder_ext.states import replication as replication_states
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as states

_Volume, _Snapshot = models.Volume, models.Snapshot
_Group, _GroupSnapshot = group_models.Group, group_models.GroupSnapshot


@session.reader
def refuse_kept(context, volume):
    """Refuse to hand over what something of this cloud holds.

    :param volume: models.Volume
    :raises ReplicaRefused: an attachment, a clone that is being made, or encryption keeps it here
    """
    attached = attachments.of_volume(context, volume.id)
    reason = None
    if attached:
        users = ', '.join(f'{each.id} (server {each.instance_id})' for each in attached[:5])
        reason = f'{len(attached)} attachments use it: {users}'
    elif volume.encryption_key_id is not None:
        reason = ('it is encrypted, and this service has no key manager by which it could check '
                  'that the key opens it there')
    elif volume_migrations.being_cloned(context, volume.id):
        reason = 'a volume is being made from it'
    if reason:
        raise exceptions.ReplicaRefused(id=volume.id, action='exported', reason=reason)


@session.writer
def release(context, volume_id, epoch, peer, handle):
    """Forget a volume that another cloud has, with its snapshots: a tombstone takes its place.

    A group goes with its last volume.  The arrays keep everything.

    :param epoch: of the replica there
    :param peer: the cloud that has it
    :raises ReplicaRefused: something of this cloud holds it
    :raises MigrationActive, VolumeFailingOver, VolumeNotFound: as volumes.begin
    """
    volume = volumes.get(context, volume_id)
    group_id = volume.group_id
    try:
        volumes.begin(context, volume_id, 'unmanage', 'be released to another cloud')
    except exceptions.InvalidState as fault:
        refuse_kept(context, volume)
        raise exceptions.ReplicaRefused(id=volume_id, action='released',
                                        reason=f'its status is {volume.status}') from fault
    refuse_kept(context, volume)
    _release_snapshots(context, volume_id)
    replication_changes.volume_gone(context, volume_id)
    volumes.update(context, volume_id, {'group_id': None})
    volumes.mark_deleted(context, volume_id, 'unmanaged')
    if group_id is not None and not groups.members(context, group_id):
        _release_group(context, group_id)
    replication_tombstones.put(context, volume_id, epoch, peer, volume.project_id, handle)


def _release_snapshots(context, volume_id):
    together = set()
    for snapshot in snapshots.of_volume(context, volume_id):
        together.add(snapshot.group_snapshot_id)
        snapshots.mark_deleted(context, snapshot.id, 'unmanaged')
    for group_snapshot_id in together - {None}:
        if not snapshots.of_group_snapshot(context, group_snapshot_id):
            context.session.execute(
                sa.update(_GroupSnapshot).where(_GroupSnapshot.id == group_snapshot_id)
                .values(deleted_at=timeutils.utcnow()))


def _release_group(context, group_id):
    for row in replications.of_thing(context, 'group', group_id):
        transition.try_move(context, replication_states.MACHINE, row.id, 'disable')
        replication_changes.disabled(context, row.id)
    groups.mark_deleted(context, group_id)


@session.reader
def of_names(context, backend, name_ids):
    """Volumes of a backend by what they are called there: name id -> models.Volume.

    :param backend: ``host@backend``
    """
    rows = context.session.execute(
        sa.select(_Volume).where(
            _Volume.deleted_at.is_(None), _Volume.host.startswith(backend + '#', autoescape=True),
            sa.or_(_Volume.id.in_(list(name_ids)), _Volume.name_id.in_(list(name_ids))))
        .execution_options(populate_existing=True)).scalars()
    return {row.name_id or row.id: row for row in rows
            if (row.name_id or row.id) in name_ids and row.host.partition('#')[0] == backend}


@session.reader
def taken(context, volume_ids, snapshot_ids):
    """Of some ids those that live volumes or snapshots have: a set."""
    found = set()
    for model, ids in ((_Volume, volume_ids), (_Snapshot, snapshot_ids)):
        found |= set(context.session.execute(
            sa.select(model.id).where(model.id.in_(list(ids)), model.deleted_at.is_(None))).scalars())
    return found


@session.writer
def adopt(context, adopted, group=None):
    """Record volumes that come from another cloud: ``available``, with their snapshots.

    :param adopted: a list of dictionaries: ``values`` (columns of the volume, with its id),
        ``metadata``, ``admin_metadata``, ``image_metadata``, ``created_at`` (datetime), ``epoch``,
        and ``snapshots``, each with ``values``, ``metadata`` and ``created_at``
    :param group: None, or ``values`` of a group with its id and ``volume_type_ids``; one that is
        there already is joined
    :raises ReplicaRefused: an id is taken, or a tombstone forbids it
    :raises OverLimit: the project may not have so much
    """
    _refuse_buried(context, adopted)
    _refuse_taken(context, adopted)
    for each in adopted:
        purge.erase(context, _Volume.__table__, each['values']['id'])
        for snapshot in each['snapshots']:
            purge.erase(context, _Snapshot.__table__, snapshot['values']['id'])
    if group is not None:
        _join(context, group)
    for each in adopted:
        _adopt_one(context, each)


def _refuse_buried(context, adopted):
    stones = replication_tombstones.latest(context, [each['values']['id'] for each in adopted])
    for each in adopted:
        stone = stones.get(each['values']['id'])
        if stone is not None and stone.epoch >= each['epoch']:
            raise buried(each['values']['id'], stone, each['epoch'])


def buried(volume_id, stone, epoch):
    """What is raised for a volume that was handed over at a later epoch, or the same."""
    return exceptions.ReplicaRefused(id=volume_id, action='imported', reason=(
        f'it was handed to cloud {stone.peer} at epoch {stone.epoch}, and this is epoch {epoch}'))


def _refuse_taken(context, adopted):
    found = taken(context, [each['values']['id'] for each in adopted],
                  [one['values']['id'] for each in adopted for one in each['snapshots']])
    if found:
        raise exceptions.ReplicaRefused(
            id=sorted(found)[0], action='imported', reason='a volume or snapshot here has that id')


def _join(context, group):
    group_id = group['values']['id']
    try:
        groups.hold(context, group_id, 'get a volume from another cloud')
    except exceptions.GroupNotFound:
        purge.erase(context, _Group.__table__, group_id)
        groups.create(context, group['values'], group['volume_type_ids'])
        groups.created(context, group_id)


def _adopt_one(context, each):
    volume = volumes.create(context, each['values'], each['metadata'], state=states.AVAILABLE)
    if each['admin_metadata']:
        volume_properties.set_admin(context, volume.id, each['admin_metadata'])
    if each['image_metadata']:
        volume_properties.set_image(context, volume.id, each['image_metadata'])
    volumes.update(context, volume.id, {'created_at': each['created_at'],
                                        'launched_at': each['created_at']})
    for snapshot in each['snapshots']:
        values = {**snapshot['values'], 'volume_id': volume.id, 'project_id': volume.project_id,
                  'user_id': volume.user_id, 'volume_type_id': volume.volume_type_id,
                  'progress': '100%'}
        quotas.admit(context, volume.project_id,
                     {'snapshots': 1, 'gigabytes': quotas.snapshot_gib(values['size'])},
                     volume.volume_type_id)
        row = transition.insert(context, snapshot_states.MACHINE, values)
        transition.move(context, snapshot_states.MACHINE, row.id, 'created',
                        {'created_at': snapshot['created_at']})
        for key, value in snapshot['metadata'].items():
            context.session.add(models.SnapshotMetadata(snapshot_id=row.id, key=key, value=value))
        if volume.bootable:
            volume_properties.keep_for_snapshot(context, volume.id, row.id)
    transition.note(context, 'volume', volume.id, 'adopted', states.AVAILABLE)
    context.session.flush()
