"""What the scheduler asks of replications."""
# SPDX-License-Identifier: Apache-2.0

import functools

import sqlalchemy as sa

from cinder_ext.db import replication_models, session

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
