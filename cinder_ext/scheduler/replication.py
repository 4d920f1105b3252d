"""Which pools serve the replication that a volume type or group asks for.

Scopes exclude each other: a volume or group that is replicated by itself is not placed where the
whole pool or backend is replicated.  The database decides a race; here such places are left out.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions
from cinder_ext.states import replication as states
from cinder_ext.states import replication_policy as policy

WHOLE = ('pool', 'backend')
"""Scopes in which a place is replicated with everything that is there."""

ASKS_SYNC = ('<in> sync', 'sync', 's== sync')
"""Of the extra spec ``replication_type``: as text, ``sync`` is in ``async`` too."""

ELSEWHERE = (states.FAILING_OVER, states.FAILED_OVER, states.FAILOVER_ERROR)
"""States in which a place is not, or not surely, used where its name says."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked for.

    :ivar scope, mode: of states.replication
    :ivar target: a backend_id; None for any
    :ivar group_id: of the volume's group, or of the group itself
    :ivar fault: why it cannot be served anywhere, or None
    :ivar policy: replication_policy.Policy, whole
    """

    scope: str = 'volume'
    mode: str = 'async'
    target: str | None = None
    group_id: str | None = None
    fault: str | None = None
    policy: object = None


@dataclasses.dataclass(frozen=True)
class Whole:
    """A pool or backend that is replicated with everything that is there, to one target."""

    scope: str
    protected_id: str
    target: str
    mode: str
    state: str


def wanted(type_specs, group_specs=None, group_id=None):
    """What a volume type and a group type ask for: Wanted, or None for nothing.

    :param type_specs: extra specs; None for a group without its volumes
    :param group_specs: group specs; None for a volume in no group
    """
    if not any(specs and policy.concerns(specs) for specs in (type_specs, group_specs)):
        return None
    try:
        of_group = None if group_specs is None else policy.parse(group_specs, 'the group type')
        found = policy.merge(of_group, policy.parse(type_specs, 'the volume type'))
    except exceptions.InvalidInput as fault:
        return Wanted(group_id=group_id, fault=fault.message)
    if not found.is_enabled:
        return None
    mode = 'sync' if (type_specs or {}).get('replication_type') in ASKS_SYNC else found.mode
    return Wanted(found.scope, mode, found.target, group_id, policy=found)


def refusal(pool, wanted):
    """Why a pool cannot take something; None if it can.

    :param pool: request.Pool
    :param wanted: Wanted, or None for what is not to be replicated by itself
    """
    away = next((each for each in pool.wholes if each.state in ELSEWHERE), None)
    if away is not None:
        return f'its {away.scope} is failed over ({away.state})'
    if wanted is None or wanted.fault is not None:
        return wanted and wanted.fault
    if not pool.capabilities.get('replication_enabled'):
        return f'it replicates nothing, replication of scope {wanted.scope} is asked for'
    if pool.replication_status in ELSEWHERE:
        return f'its backend is failed over ({pool.replication_status})'
    return (_refusal_of_wholes if wanted.scope in WHOLE else _refusal_of_targets)(pool, wanted)


def _refusal_of_wholes(pool, wanted):
    """A replicated pool or backend is asked for: it must be one, as it is asked for."""
    mine = [whole for whole in pool.wholes if whole.scope == wanted.scope]
    if not mine:
        return f'its {wanted.scope} is not replicated as a whole, as is asked for'
    if not any(whole.mode == wanted.mode and wanted.target in (None, whole.target)
               for whole in mine):
        served = ', '.join(f'{whole.mode} to {whole.target}' for whole in mine)
        return f'its {wanted.scope} is replicated {served}, not {_shown(wanted)}'
    return None


def _refusal_of_targets(pool, wanted):
    """A volume or group is replicated by itself: not inside of what is replicated as a whole."""
    if pool.wholes:
        return (f'its whole {pool.wholes[0].scope} is replicated, replication of scope '
                f'{wanted.scope} is asked for')
    known = [target['backend_id'] for target in _targets(pool)]
    if wanted.target is not None and wanted.target not in known:
        return f'it has no replication target {wanted.target}'
    return None if chosen(pool, wanted) else f'it cannot replicate {_shown(wanted)}'


def chosen(pool, wanted):
    """The target at a pool's backend that serves what is asked for: a dictionary; None for none.

    Another cloud's comes last: its failover is an export and an import, which must be meant.
    """
    fitting = [target for target in _targets(pool)
               if wanted.mode in target['modes'] and wanted.target in (None, target['backend_id'])]
    return min(fitting, key=lambda target: bool(target.get('cross_os')), default=None)


def _targets(pool):
    return pool.capabilities.get('replication_target_details', ())


def _shown(wanted):
    return wanted.mode + (f' to {wanted.target}' if wanted.target else '')
