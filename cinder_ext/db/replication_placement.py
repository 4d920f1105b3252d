"""What the scheduler asks of replications, and what it claims for a volume that it places."""
# SPDX-License-Identifier: Apache-2.0

import functools

import sqlalchemy as sa

from cinder_ext.db import placement, replication_claims, replication_models, session

_Replication = replication_models.Replication


@session.reader
def wholes(context):
    """The pools and backends that are replicated with everything that is there, by target.

    :returns: rows of scope, protected_id, target, mode and state
    """
    return context.session.execute(_wholes()).all()


@functools.cache
def _wholes():
    """Found by the claims, which are few: a volume of its own has no container's."""
    claim = replication_models.ReplicationClaim
    return (sa.select(_Replication.scope, _Replication.protected_id, _Replication.target,
                      _Replication.mode, _Replication.state)
            .join(claim, sa.and_(claim.scope == _Replication.scope,
                                 claim.protected_id == _Replication.protected_id))
            .where(claim.kind == 'container', claim.scope.in_(('pool', 'backend')),
                   _Replication.deleted_at.is_(None))
            .distinct().order_by(_Replication.protected_id, _Replication.target))


@session.writer
def place_volume(context, volume_id, host, availability_zone=None, group_id=None):
    """As placement.place_volume, for a volume that is to be replicated by itself: claimed with it.

    :param group_id: of the volume's group
    :raises ReplicationConflict: where it would go something else is replicated with it; it is not
        placed
    """
    replication_claims.lock(context, host)
    if not placement.place_volume(context, volume_id, host, availability_zone):
        return False
    replication_claims.claim(context, 'volume', volume_id, host, group_id)
    return True
