"""What binds a volume to its backend: then a migration is not begun, nor a retype of a member."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import models, session
from cinder_ext.states import replication

_Snapshot = models.Snapshot
_Volume = models.Volume


@session.reader
def refuse_bound(context, volume_id, action, moves):
    """Look at a volume whose row is held.

    A group and its snapshots are on one backend: their members do not leave it.

    :param action: a verb for the refusal: 'be migrated'
    :param moves: it is to go elsewhere for certain; whether a retype moves it is seen later, and a
        retype in place may change the replication
    :raises InvalidState: it is in a group, has a group snapshot, or is replicated
    """
    # Locking reads: MariaDB's plain ones show the start of the transaction.
    row = context.session.execute(
        sa.select(_Volume.group_id, _Volume.replication_status).where(_Volume.id == volume_id)
        .with_for_update(read=True)).one()
    member = context.session.execute(
        sa.select(_Snapshot.group_snapshot_id)
        .where(_Snapshot.volume_id == volume_id, _Snapshot.deleted_at.is_(None),
               _Snapshot.group_snapshot_id.is_not(None))
        .limit(1).with_for_update(read=True)).scalar()
    reason = None
    if row.group_id is not None:
        reason = f'it belongs to group {row.group_id}'
    elif member is not None:
        reason = f'a snapshot of it belongs to group snapshot {member}'
    elif moves and row.replication_status not in replication.NOT_REPLICATED:
        reason = f'it is replicated (replication_status {row.replication_status})'
    if reason is not None:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot {action}: {reason}.')
