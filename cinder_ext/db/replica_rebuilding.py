"""Records that are made again of what lies on an array, after the database was lost."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import sqlalchemy as sa

from cinder_ext.db import models, replica_handover, replications, session, transition
from cinder_ext.states import replication as replication_states
from cinder_ext.states import volume as states

_Volume = models.Volume


@dataclasses.dataclass(frozen=True)
class Protected:
    """A replication as it was found.

    :ivar policy: replication_policy.Policy
    :ivar protected_id: id of the volume or group
    :ivar target: backend_id
    :ivar columns: of its record, as replications.create takes them
    :ivar state: enabling, failed-over or error
    """

    policy: object
    protected_id: str
    target: str
    columns: dict
    state: str


@session.reader
def present(context, volume_ids):
    """Of some ids those of live volumes, a list."""
    return list(context.session.execute(
        sa.select(_Volume.id).where(_Volume.id.in_(list(volume_ids)),
                                    _Volume.deleted_at.is_(None))).scalars())


@session.writer
def rebuild(context, adopted, group, protected, broken):
    """Record volumes that are protected together, with their group and their replication.

    :param adopted: as replica_handover.adopt takes them
    :param group: likewise, or None
    :param protected: Protected, or None
    :param broken: ids of volumes of which two sides say that they have them: in ``error``
    :raises ReplicaRefused, ReplicationConflict, OverLimit: nothing was recorded
    """
    replica_handover.adopt(context, adopted, group)
    if protected is not None:
        _protect(context, protected, [each['values']['id'] for each in adopted], broken)
    for volume_id in sorted(broken):
        _walk(context, volume_id, 'replicate', 'broken')
        transition.move(context, states.MACHINE, volume_id, 'strand')


def _protect(context, protected, volume_ids, broken):
    found = [row for row in replications.of_thing(context, protected.policy.scope,
                                                  protected.protected_id)
             if row.target == protected.target]
    if found:
        replications.sync_members(context, found[0].id)
    else:
        replications.create(context, protected.policy, protected.protected_id, protected.target,
                            protected.columns, protected.state)
    if protected.state == replication_states.FAILED_OVER:
        for volume_id in set(volume_ids) - broken:
            _walk(context, volume_id, 'replicate', 'broken', 'failed-over')


def _walk(context, volume_id, *events):
    for event in events:
        transition.try_move(context, replication_states.VOLUME, volume_id, event)
