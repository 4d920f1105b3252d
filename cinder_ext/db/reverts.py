"""Reverting a volume to its latest snapshot: what may begin, and what is left at the end.

The volume is ``reverting`` and the snapshot ``restoring`` until the backend has done it; which
snapshot it is stands in the volume's ``request``.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.db import (
    assisted_snapshots,
    faults,
    services,
    session,
    snapshots,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.states import messages as words
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as states


@session.writer
def begin(context, volume_id, snapshot_id):
    """Let a revert begin.

    :param snapshot_id: must be the volume's latest
    :raises InvalidInput: it is not, the volume has another size than it, or a frozen backend
    :raises Conflict: the status of the volume or of the snapshot does not allow it, or a clone is
        being made that must have what the volume holds now; of a volume that is being migrated,
        MigrationActive
    :raises VolumeNotFound: there is no such volume
    """
    volumes.lock(context, volume_id)
    volume = volumes.get(context, volume_id)
    services.refuse_frozen(context, volume.host)
    chain = snapshots.of_volume(context, volume_id)
    if not chain or chain[-1].id != snapshot_id:
        raise exceptions.InvalidInput(
            reason=f'{snapshot_id} is not the latest snapshot of volume {volume_id}.')
    if chain[-1].size != volume.size:
        raise exceptions.InvalidInput(
            reason=f'volume {volume_id} has {volume.size} GiB and its snapshot {snapshot_id} '
                   f'{chain[-1].size} GiB: it was extended since.')
    clones = volume_migrations.being_cloned(context, volume_id)
    if clones:
        raise exceptions.Conflict(f'volume {clones[0]} is being created from volume {volume_id}.')
    try:
        assisted_snapshots.refuse_open(context, volume_id, 'be reverted')
        volumes.begin(context, volume_id, 'revert', 'be reverted',
                      values={'request': {'revert_to': snapshot_id}})
        transition.move(context, snapshot_states.MACHINE, snapshot_id, 'restore')
    except exceptions.InvalidState as refusal:
        raise exceptions.Conflict(refusal.message) from refusal


@session.reader
def origin(context, volume_id):
    """The volume and the snapshot that it is being reverted to.

    :returns: (models.Volume, models.Snapshot), or None when it is not being reverted
    """
    try:
        volume = volumes.get(context, volume_id)
    except exceptions.VolumeNotFound:
        return None
    if volume.status != states.REVERTING:
        return None
    return volume, snapshots.get(context, volume.request['revert_to'])


@session.writer
def done(context, volume, snapshot):
    """The volume holds what the snapshot holds: both ``available``."""
    transition.try_move(context, states.MACHINE, volume.id, 'reverted')
    transition.try_move(context, snapshot_states.MACHINE, snapshot.id, 'restored')


@session.writer
def failed(context, volume, snapshot):
    """The backend could not: the volume is in ``error``, the snapshot is whole; the owner is told."""
    faults.record(context, states.MACHINE, volume, 'revert-failed', words.REVERT_VOLUME,
                  words.DRIVER_FAILED_REVERT)
    transition.try_move(context, snapshot_states.MACHINE, snapshot.id, 'restored')


@session.reader
def unfinished(context, host):
    """Ids of a backend's volumes that are being reverted.

    :param host: ``host@backend``
    """
    return [volume_id for volume_id, _status
            in volumes.unfinished(context, host, (states.REVERTING,))]

