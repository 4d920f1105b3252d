"""Transfers: a volume that is offered to whoever shows the key, and goes to their project.

Only a salted hash of the key is kept.  The row of a transfer that was accepted
or withdrawn stays, with ``deleted_at``.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    models,
    project_models,
    quotas,
    replications,
    session,
    transition,
    type_models,
    volumes,
)
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as states

_Transfer = project_models.Transfer
_Snapshot = models.Snapshot


@session.reader
def get(context, transfer_id, project_id=None):
    """One transfer that is open.

    :param project_id: only if the volume is still this project's
    :raises TransferNotFound: there is none, or it was accepted or withdrawn
    """
    query = sa.select(_Transfer).where(_Transfer.id == transfer_id, _Transfer.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(_Transfer.source_project_id == project_id)
    found = context.session.execute(query).scalar_one_or_none()
    if found is None:
        raise exceptions.TransferNotFound(id=transfer_id)
    return found


@session.writer
def create(context, volume_id, values, allow_encrypted=False):
    """Offer a volume; its status is ``awaiting-transfer`` then.

    :param values: name, no_snapshots, salt, key_hash
    :param allow_encrypted: an encrypted volume may be offered, together with its snapshots
    :returns: project_models.Transfer; an earlier offer of the volume is void
    :raises MigrationActive, InvalidState, VolumeNotFound: nothing was changed
    """
    volumes.begin(context, volume_id, 'offer', 'be transferred')
    volume = volumes.get(context, volume_id)
    _refuse_bound(volume, values['no_snapshots'], allow_encrypted)
    if not values['no_snapshots']:
        _refuse_busy_snapshots(context, volume_id)
    volumes.void_transfers(context, volume_id)
    transfer = _Transfer(volume_id=volume_id, source_project_id=volume.project_id,
                         accepted=False, **values)
    context.session.add(transfer)
    context.session.flush()
    return transfer


def _refuse_bound(volume, no_snapshots, allow_encrypted):
    reason = None
    if volume.group_id is not None:
        reason = f'it is in group {volume.group_id}'
    elif volume.encryption_key_id is not None and not allow_encrypted:
        reason = 'it is encrypted; that takes volume-transfers at version 3.70'
    elif volume.encryption_key_id is not None and no_snapshots:
        reason = 'it is encrypted, and its snapshots need its key'
    if reason:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume.id} cannot be transferred: {reason}.')


def _refuse_busy_snapshots(context, volume_id):
    busy = context.session.execute(
        sa.select(_Snapshot.id, _Snapshot.status).where(
            _Snapshot.volume_id == volume_id, _Snapshot.deleted_at.is_(None),
            _Snapshot.status != snapshot_states.AVAILABLE).limit(1)).first()
    if busy is not None:
        raise exceptions.InvalidState(
            kind='snapshot', reason=f'snapshot {busy.id} is {busy.status}; to be transferred with '
                                    'its volume it must be available.')


@session.writer
def accept(context, transfer_id):
    """Give the volume to the caller's project and user; the caller has shown the key.

    With it go its snapshots, unless the transfer is without them, its migrations and its own
    replications.

    :returns: project_models.Transfer
    :raises TransferNotFound: it was accepted or withdrawn before
    :raises OverLimit: the project may not have so much
    :raises InvalidInput: the project may not use the volume's type
    :raises MigrationActive, InvalidState, VolumeNotFound: of the volume; nothing was changed
    """
    transfer = get(context, transfer_id)
    volumes.hold(context, transfer.volume_id, 'be accepted', (states.AWAITING_TRANSFER,))
    volume = volumes.get(context, transfer.volume_id)
    owner = {'project_id': context.project_id, 'user_id': context.user_id}
    _refuse_bound(volume, transfer.no_snapshots, allow_encrypted=True)
    _refuse_type(context, volume.volume_type_id)
    if not transfer.no_snapshots:
        _refuse_busy_snapshots(context, volume.id)
    if volume.project_id != context.project_id:
        _admit(context, volume, not transfer.no_snapshots)
    _close(context, transfer_id, {
        'accepted': True, 'destination_project_id': context.project_id})
    volumes.begin(context, volume.id, 'accept', 'be accepted', values=owner)
    if not transfer.no_snapshots:
        _update(context, _Snapshot, volume.id, owner)
    _update(context, models.VolumeMigration, volume.id, {'project_id': context.project_id})
    if volume.replication_status is not None:
        replications.change_owner(context, volume.id, context.project_id)
    return transfer


def _refuse_type(context, type_id):
    table, access = models.VolumeType, type_models.VolumeTypeProject
    query = sa.select(table.name).where(
        table.id == type_id, table.is_public.is_(False),
        sa.not_(sa.exists().where(access.volume_type_id == table.id,
                                  access.project_id == context.project_id)))
    if type_id is not None and context.session.execute(query).first() is not None:
        raise exceptions.InvalidInput(
            reason=f'the project may not use volume type {type_id}, which the volume has.')


def _admit(context, volume, with_snapshots):
    sizes = list(context.session.execute(
        sa.select(_Snapshot.size).where(
            _Snapshot.volume_id == volume.id, _Snapshot.deleted_at.is_(None),
            _Snapshot.consumes_quota.is_(True))).scalars()) if with_snapshots else []
    quotas.admit(context, context.project_id, {
        'volumes': 1, 'snapshots': len(sizes), quotas.PER_VOLUME: volume.size,
        'gigabytes': volume.size + sum(quotas.snapshot_gib(size) for size in sizes)},
        volume.volume_type_id)


def _update(context, table, volume_id, values):
    """Set columns of what belongs to a volume; for its owners nothing was updated."""
    context.session.execute(
        sa.update(table).where(table.volume_id == volume_id)
        .values(**values, updated_at=table.updated_at)
        .execution_options(synchronize_session=False))


@session.writer
def delete(context, transfer_id):
    """Withdraw an offer; the volume is available again if it still waits.

    :raises TransferNotFound: it was accepted or withdrawn before
    """
    transfer = get(context, transfer_id)
    # The volume's row is locked first, as everywhere.
    transition.try_move(context, states.MACHINE, transfer.volume_id, 'withdraw')
    _close(context, transfer_id, {})


def _close(context, transfer_id, values):
    closed = context.session.execute(
        sa.update(_Transfer).where(_Transfer.id == transfer_id, _Transfer.deleted_at.is_(None))
        .values(**values, deleted_at=timeutils.utcnow())
        .execution_options(synchronize_session=False)).rowcount
    if not closed:
        # Another request was first.
        raise exceptions.TransferNotFound(id=transfer_id)
