"""Volumes and snapshots that lay on a backend already, and those that are let go.

Their rows carry what the operator named in ``request``: a dictionary with
``reference``, and ``host`` until a volume has been placed.
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
    session,
    snapshots,
    transition,
    volumes,
)
from cinder_ext.states import migration as migration_states
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as states

_Volume = models.Volume
_Snapshot = models.Snapshot


@session.writer
def create_volume(context, values, metadata, host, reference):
    """Record a volume that is to be managed: ``managing``, of 0 GiB, not placed.

    :param host: ``host@backend`` or ``host@backend#pool``, where it lies
    :param reference: what the driver is told
    :returns: models.Volume
    """
    return volumes.create(
        context, {**values, 'size': 0, 'request': {'host': host, 'reference': reference}}, metadata,
        state=states.MANAGING)


@session.writer
def place(context, volume_id, host):
    """Give a volume that is to be managed its pool.

    :param host: ``host@backend#pool``
    :returns: False when it was placed or refused before
    """
    return bool(context.session.execute(
        sa.update(_Volume)
        .where(_Volume.id == volume_id, _Volume.host.is_(None), _Volume.deleted_at.is_(None),
               _Volume.status == states.MANAGING)
        .values(host=host, updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False)).rowcount)


@session.reader
def waiting(context):
    """Ids of the volumes that are to be managed and not placed, oldest first."""
    return list(context.session.execute(
        sa.select(_Volume.id)
        .where(_Volume.status == states.MANAGING, _Volume.host.is_(None),
               _Volume.deleted_at.is_(None)).order_by(_Volume.created_at)).scalars())


@session.writer
def measure(context, volume_id, size_gib):
    """Give a volume that is being managed the size that was found.  Idempotent.

    :raises OverLimit: the project may not have so much
    """
    volume = context.session.execute(
        sa.select(_Volume.project_id, _Volume.size, _Volume.volume_type_id, _Volume.consumes_quota)
        .where(_Volume.id == volume_id, _Volume.status == states.MANAGING)
        .with_for_update()).first()
    if volume is not None and volume.consumes_quota:
        # What an earlier attempt has recorded is counted already.
        quotas.admit(context, volume.project_id, {
            'gigabytes': size_gib - volume.size, quotas.PER_VOLUME: size_gib},
            volume.volume_type_id)
    context.session.execute(
        sa.update(_Volume).where(_Volume.id == volume_id, _Volume.status == states.MANAGING)
        .values(size=size_gib, updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False))


@session.reader
def unfinished_volumes(context, host):
    """Ids of a backend's volumes that are to be managed or let go, oldest first.

    :param host: ``host@backend``
    """
    rows = context.session.execute(
        sa.select(_Volume.id, _Volume.host)
        .where(_Volume.status.in_((states.MANAGING, states.UNMANAGING)),
               _Volume.deleted_at.is_(None), _Volume.host.startswith(host + '#', autoescape=True))
        .order_by(_Volume.created_at))
    return [row.id for row in rows if row.host.partition('#')[0] == host]


@session.reader
def unfinished_snapshots(context, host):
    """As unfinished_volumes, for snapshots."""
    rows = context.session.execute(
        sa.select(_Snapshot.id, _Volume.host).join(_Volume, _Volume.id == _Snapshot.volume_id)
        .where(_Snapshot.deleted_at.is_(None), _Volume.host.startswith(host + '#', autoescape=True),
               sa.or_(_Snapshot.status == snapshot_states.UNMANAGING, sa.and_(
                   _Snapshot.status == snapshot_states.CREATING,
                   _Snapshot.request.is_not(sa.null()))))
        .order_by(_Snapshot.created_at, _Snapshot.id))
    return [row.id for row in rows if row.host.partition('#')[0] == host]


@session.writer
def begin_unmanage(context, volume_id):
    """Let a volume be let go; one that no backend has is forgotten at once.

    :raises MigrationActive, VolumeNotFound: as volumes.begin
    :raises InvalidState: its status, snapshots, attachments, clones, group or encryption do not
        allow it
    """
    volumes.begin(context, volume_id, 'unmanage', 'be unmanaged')
    volume = volumes.get(context, volume_id)
    reason = _kept_by(context, volume)
    if reason:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot be unmanaged: {reason}.')
    if volume.host is None:
        volumes.mark_deleted(context, volume_id)


def _kept_by(context, volume):
    attached = attachments.of_volume(context, volume.id)
    if attached:
        return f'attachment {attached[0].id} uses it'
    if snapshots.count_of_volume(context, volume.id):
        return 'it has snapshots'
    if volume.group_id is not None:
        return f'it belongs to group {volume.group_id}'
    if volume.encryption_key_id is not None:
        return 'unmanaging encrypted volumes is not supported'
    clone = context.session.execute(
        sa.select(_Volume.id)
        .where(_Volume.source_volid == volume.id, _Volume.status == states.CREATING,
               _Volume.deleted_at.is_(None)).limit(1).with_for_update(read=True)).scalar()
    return f'volume {clone} is being created from it' if clone else None


@session.writer
def forget(context, volume_id):
    """Remove the record of a volume that could not be managed; the backend is not asked.

    :raises InvalidState: it is no longer ``error_managing``
    """
    volumes.begin(context, volume_id, 'forget', 'be deleted')
    volumes.mark_deleted(context, volume_id)


@session.writer
def create_snapshot(context, values, metadata, reference):
    """Record a snapshot that is to be managed; status ``creating``, as large as its volume.

    :raises MigrationActive, InvalidState, VolumeNotFound: of the volume
    """
    return snapshots.create(context, {**values, 'request': {'reference': reference}}, metadata,
                            force=True)


@session.writer
def begin_unmanage_snapshot(context, snapshot_id):
    """Let a snapshot be let go.

    :raises MigrationActive: its volume is being migrated
    :raises InvalidState: its status or its group do not allow it
    :raises SnapshotNotFound: there is none
    """
    volume_id = snapshots.get(context, snapshot_id).volume_id
    volumes.hold(context, volume_id, 'have a snapshot unmanaged', states.MACHINE.states)
    assisted_snapshots.refuse_open(context, volume_id, 'have a snapshot unmanaged')
    try:
        transition.move(context, snapshot_states.MACHINE, snapshot_id, 'unmanage',
                        where=(_Snapshot.deleted_at.is_(None),
                               _Snapshot.group_snapshot_id.is_(None)))
    except exceptions.TransitionRefused as refusal:
        raise exceptions.InvalidState(kind='snapshot', reason=(
            f"snapshot {snapshot_id} cannot be unmanaged: its status is "
            f"{refusal.facts['current']}, expected one of {refusal.facts['expected']}, and it "
            'must be in no group snapshot.')) from refusal


@session.reader
def owners(context, kind, name_ids):
    """Whose the names on a backend are.

    :param kind: ``volume`` or ``snapshot``
    :param name_ids: UUIDs that backend names are built from
    :returns: name id -> the id of the volume or snapshot; names of running migrations, and
        what they have yet to remove, belong to what they move.  Names that nobody owns are not in
        it.
    """
    wanted = set(name_ids)
    if not wanted:
        return {}
    found = _owners_of_leftovers(context, kind) | _owners_of_names(context, kind, wanted)
    model = _Volume if kind == 'volume' else _Snapshot
    for row_id, name_id in context.session.execute(
            sa.select(model.id, model.name_id)
            .where(model.deleted_at.is_(None),
                   sa.or_(model.id.in_(wanted), model.name_id.in_(wanted)))):
        found[name_id or row_id] = row_id
    return {name_id: row_id for name_id, row_id in found.items() if name_id in wanted}


def _owners_of_names(context, kind, wanted):
    """Names that migrations use at either end, until they have ended."""
    record, link = models.VolumeMigration, models.MigrationLink
    if kind == 'volume':
        table, owner, where = record, record.volume_id, ()
    else:
        table, owner, where = link, link.snapshot_id, (link.migration_id == record.id,
                                                       link.snapshot_id.is_not(None))
    rows = context.session.execute(
        sa.select(owner, table.source_name_id, table.destination_name_id)
        .where(record.phase.not_in(migration_states.ENDED), *where,
               sa.or_(table.source_name_id.in_(wanted), table.destination_name_id.in_(wanted))))
    return {name_id: owner_id for owner_id, *names in rows for name_id in names}


def _owners_of_leftovers(context, kind):
    """Names that migrations have yet to remove, temporary volumes among them: of their volumes."""
    record = models.VolumeMigration
    removing = (migration_states.FAILED, migration_states.CANCELLED)
    rows = context.session.execute(
        sa.select(record.volume_id, record.leftovers)
        .where(record.leftovers.is_not(None),
               sa.or_(record.phase.in_(removing),
                      record.phase.not_in(migration_states.ENDED))))
    return {left['name_id']: volume_id for volume_id, leftovers in rows
            for left in leftovers or []
            if left['kind'] == kind and not left.get('acknowledged')}


@session.reader
def volumes_of_snapshots(context, snapshot_ids):
    """snapshot id -> volume id, of some snapshots; one statement."""
    return dict(context.session.execute(
        sa.select(_Snapshot.id, _Snapshot.volume_id).where(_Snapshot.id.in_(snapshot_ids))).all())


@session.reader
def managed_id(context, name_id):
    """The id of the volume or snapshot whose backend name is built from a UUID; None: of none."""
    for kind in ('volume', 'snapshot'):
        found = owners(context, kind, [name_id])
        if found:
            return found[name_id]
    return None
