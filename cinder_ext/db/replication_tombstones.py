"""What remains of a volume that was handed to another cloud: it is not taken back at that epoch."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext.db import replication_models, session

_Stone = replication_models.ReplicationTombstone


@session.writer
def put(context, volume_id, epoch, peer=None, project_id=None, handle=None):
    """Note that a volume was handed over at an epoch.  Idempotent.

    :param peer: the cloud that has it
    :param handle: dictionary: what it is called on the arrays
    """
    known = context.session.execute(
        sa.select(_Stone.id).where(_Stone.volume_id == volume_id, _Stone.epoch == epoch)).first()
    if known is None:
        context.session.add(_Stone(volume_id=volume_id, epoch=epoch, peer=peer,
                                   project_id=project_id, handle=handle))
        context.session.flush()


@session.reader
def latest(context, volume_ids):
    """The tombstone of the largest epoch of each volume that has one: volume id -> row."""
    rows = context.session.execute(
        sa.select(_Stone).where(_Stone.volume_id.in_(list(volume_ids))).order_by(_Stone.epoch)
        .execution_options(populate_existing=True)).scalars()
    return {row.volume_id: row for row in rows}
