"""What is shipped together, and when it is due.  Pure: no I/O.

A volume has points of its own, a group has points of all its members in common.  In a pool or
backend each volume has points of its own: thousands of volumes have no moment in common.  A
volume that comes to a group is first copied by itself, so that the others do not wait for it.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import datetime

from cinder_ext.states import volume as volume_states

UNSHIPPABLE = (volume_states.CREATING, volume_states.MANAGING, volume_states.DELETING,
               volume_states.UNMANAGING, volume_states.REVERTING)
"""Statuses of a volume whose content is not one that anybody wants to have back."""
ASIDE = ('error', 'failing-over', 'failover-error')
"""``replication_status`` of a volume whose sides an operation, or an administrator, decides about."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """Volumes whose content is shipped as of one moment.

    :ivar key: a tuple, unique among all units
    :ivar volume_ids: a tuple, sorted
    :ivar since: when their newest point was taken, seconds since the epoch; None: there is none
    :ivar is_seed: the first copy of a volume that comes to a group
    """

    key: tuple
    volume_ids: tuple
    since: float | None
    is_seed: bool = False


def units(replication_id, scope, members):
    """The units of a replication: a list.

    :param members: rows of volume_id, point_id, last_consistent_at, status and
        replication_status, see db.replication_shipping.members_of_home
    """
    ready = [each for each in members if each.status not in UNSHIPPABLE]
    if scope == 'volume':
        return [_alone(replication_id, each) for each in ready]
    if scope != 'group':
        return [_alone(replication_id, each) for each in ready
                if each.replication_status not in ASIDE]
    known = [each for each in ready if each.point_id is not None]
    if len(ready) < len(members):
        # A point without one of them is none.
        return []
    together = known or ready
    seeds = [_alone(replication_id, each, is_seed=True) for each in ready
             if each not in together]
    return [_together(replication_id, together), *seeds] if together else []


def _alone(replication_id, member, is_seed=False):
    return Unit((replication_id, member.volume_id), (member.volume_id,), _seconds(member), is_seed)


def _together(replication_id, members):
    points = [_seconds(each) for each in members]
    return Unit((replication_id, 'group'), tuple(each.volume_id for each in members),
                None if None in points else min(points))


def _seconds(member):
    return seconds(member.last_consistent_at)


def seconds(moment):
    """A UTC datetime without zone as seconds since the epoch; None of None."""
    if moment is None:
        return None
    return moment.replace(tzinfo=datetime.UTC).timestamp()


def due_at(since, interval_seconds, asked_at, now):
    """When a unit is due, seconds since the epoch.

    :param since: when its newest point was taken
    :param asked_at: when somebody wanted one at once, or None
    """
    if since is None or (asked_at is not None and asked_at > since):
        return now
    # A clock that was set back must not stop it for so long.
    return min(since, now) + interval_seconds
