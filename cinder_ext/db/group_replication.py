"""What groups show of their replication, and whether the old calls may change it."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext.db import (
    group_types,
    groups,
    models,
    replication_models,
    session,
    volume_types,
)
from cinder_ext.states import replication as states

ENABLED_KEYS = ('group_replication_enabled', 'consistent_group_replication_enabled')
"""Group specs that make a group type one of replicated groups."""

_Replication = replication_models.Replication
_SHOWN = {state: state for state in states.ALIVE} | {states.PAUSED: states.ENABLED}
_AWAY = (states.FAILING_OVER, states.FAILED_OVER, states.FAILOVER_ERROR)


@session.reader
def statuses(context, group_ids):
    """The ``replication_status`` of some groups: group id -> word of the API; one statement.

    Of several targets the one that it is failed over to counts, else the oldest.
    """
    found = dict.fromkeys(group_ids, states.DISABLED)
    rows = context.session.execute(
        sa.select(_Replication.protected_id, _Replication.state)
        .where(_Replication.scope == 'group', _Replication.protected_id.in_(list(found)),
               _Replication.deleted_at.is_(None))
        .order_by(_Replication.created_at, _Replication.id))
    for group_id, state in rows:
        if found[group_id] == states.DISABLED or state in _AWAY:
            found[group_id] = _SHOWN[state]
    return found


@session.reader
def volumes_of(context, group_id):
    """Rows of id, status and replication_status of a group's volumes, by id."""
    volume = models.Volume
    return context.session.execute(
        sa.select(volume.id, volume.status, volume.replication_status)
        .where(volume.group_id == group_id, volume.deleted_at.is_(None))
        .order_by(volume.id)).all()


@session.reader
def is_of_replicated_type(context, group):
    """Whether the type of a group is one of replicated groups.

    :param group: group_models.Group
    """
    specs = group_types.specs(context, group.group_type_id)
    return any(specs.get(key) == group_types.TRUE for key in ENABLED_KEYS)


@session.reader
def unreplicated_types(context, group):
    """Ids of the volume types of a group that do not ask for replication, sorted."""
    type_ids = groups.volume_types_of(context, [group.id])[group.id]
    specs = volume_types.extra_specs_of(context, type_ids)
    return sorted(type_id for type_id in type_ids
                  if specs.get(type_id, {}).get('replication_enabled') != group_types.TRUE)
