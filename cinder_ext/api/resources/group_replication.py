"""The replication of a group by the calls of the Block Storage API: views of the newer ones.

What they cannot say: the consistency, which is best-effort, and ``force``, which is meant where the
backend does not answer.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions
from cinder_ext.api import pagination, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import groups as resource
from cinder_ext.api.resources import replication_specs, replication_targets
from cinder_ext.db import (
    backend_failovers,
    group_replication,
    replication_changes,
    replication_operations,
    replications,
)
from cinder_ext.states import group as states
from cinder_ext.states import replication as replication_states
from cinder_ext.states import replication_policy as policy
from cinder_ext.states import volume as volume_states

# SCHEMAS: what stands under the action's name

FAILOVER_BODY = validation.schemas({'3.38': {
    'type': 'object', 'additionalProperties': False, 'properties': {
        'allow_attached_volume': validation.BOOLEAN,
        'secondary_backend_id': validation.TEXT}}})
EMPTY_BODY = validation.schemas({'3.38': {'type': ['object', 'null']}})
"""Empty; null is what openstacksdk sends."""

# handlers

_USABLE = (volume_states.AVAILABLE, volume_states.IN_USE)
_SWITCHED = (replication_states.DISABLED, replication_states.ENABLED)
_SWITCHED_OFF = (None, '', 'not-capable', *_SWITCHED)
_MOVABLE = (replication_states.ENABLED, replication_states.FAILED_OVER,
            replication_states.FAILOVER_ERROR)
_ENDABLE = (replication_states.ENABLED, replication_states.ERROR)


def enable(call):
    """Replicate a group as a whole, as its group type says; of one that is so nothing happens."""
    group = _checked(call, 'enable', (states.AVAILABLE,), _SWITCHED)
    if replications.of_thing(call.context, 'group', group.id):
        return
    _check_volumes(call, group, 'enable', _USABLE, _SWITCHED_OFF)
    of_group, _none = replication_specs.of_thing(call, 'group', group)
    wanted = policy.merge(dataclasses.replace(of_group, scope=of_group.scope or 'group'), None)
    if wanted.scope != 'group':
        raise exceptions.InvalidInput(
            reason=f"the group type has replication:scope '{wanted.scope}': group {group.id} is not "
                   'replicated as a whole.')
    target = replication_targets.chosen(call, group.host.partition('#')[0], wanted)
    row = replications.create(call.context, wanted, group.id, target['backend_id'],
                              {'cross_os': bool(target.get('cross_os'))})
    call.tell(call.rpc.replication.look, row.home)


def disable(call):
    """End the replication of a group."""
    group = _checked(call, 'disable', (states.AVAILABLE, states.ERROR), _ENDABLE)
    for row in replications.of_thing(call.context, 'group', group.id):
        replication_changes.begin_disable(call.context, row.id)
        call.tell(call.rpc.replication.look, row.home)


def failover(call):
    """Fail a group over to one of its targets; to ``default``: back."""
    group = _checked(call, 'failover', (states.AVAILABLE,), _MOVABLE)
    is_allowed = pagination.truth('allow_attached_volume',
                                  str(call.body.get('allow_attached_volume', False)))
    found = _check_volumes(call, group, 'failover', _USABLE, _MOVABLE)
    attached = [row.id for row in found if row.status == volume_states.IN_USE]
    if attached and not is_allowed:
        raise exceptions.InvalidInput(
            reason=f'Volume {attached[0]} is attached but allow_attached_volume flag is False. '
                   'Cannot failover replication.')
    target = call.body.get('secondary_backend_id') or None
    is_back = target == backend_failovers.HOME
    row = _replication_to(call, group, None if is_back else target, is_back)
    replication_operations.create(call.context, {
        'verb': 'failback' if is_back else 'failover', 'replication_id': row.id,
        'allow_attached': is_allowed, 'consistency': 'best-effort',
        'facts': {backend_failovers.FORCE_IF_NEEDED: not is_back}})
    # Every service looks: the one of its backend may be the one that is gone.
    call.tell(call.rpc.replication.look)


def _replication_to(call, group, target, is_back):
    """The replication of a group that a failover uses.

    :raises InvalidInput: there is none to that target, or there are several and none was named
    """
    known = replications.of_thing(call.context, 'group', group.id)
    away = [row for row in known if row.source_side is not None]
    found = away if is_back and away else [row for row in known if target in (None, row.target)]
    if len(found) != 1:
        names = ', '.join(row.target for row in known)
        raise exceptions.InvalidInput(
            reason=f'Invalid Replication Target: group {group.id} is replicated to {names}, not to '
                   f'{target[:255]}.' if target else
            f'Invalid Replication Target: group {group.id} is replicated to {names}; name one of '
            'them as secondary_backend_id.')
    return found[0]


def list_targets(call):
    """List where a group can be failed over to; modes and zones to administrators only."""
    _check_type(call)
    names = ('backend_id', 'modes', 'cross_os', 'availability_zone') if call.context.is_admin else (
        'backend_id',)
    known = replication_targets.of_backend(call, (call.target.host or '').partition('#')[0])
    return {'replication_targets': [{name: each[name] for name in names if name in each}
                                    for each in known]}


def _check_type(call):
    """
    :raises InvalidInput: neither group type nor volume types are those of a replicated group
    """
    group = call.target
    if not group_replication.is_of_replicated_type(call.context, group):
        raise exceptions.InvalidInput(
            reason=f'Group {group.id} is not a replication group type.')
    others = group_replication.unreplicated_types(call.context, group)
    if others:
        raise exceptions.InvalidInput(
            reason=f"Volume type {others[0]} does not have 'replication_enabled' spec key set to "
                   "'<is> True'.")


def _checked(call, action, statuses, words):
    """The group, whose status and replication_status allow an action.

    :raises InvalidInput: they do not
    """
    _check_type(call)
    group = call.target
    word = group_replication.statuses(call.context, [group.id])[group.id]
    for name, found, expected in (('status', group.status, statuses),
                                  ('replication status', word, words)):
        if found not in expected:
            raise _refusal(f'Group {group.id}', name, found, expected, action)
    return group


def _check_volumes(call, group, action, statuses, words):
    """The volumes of a group, each of which allows an action.

    :returns: rows of id, status and replication_status
    :raises InvalidInput: one does not
    """
    found = group_replication.volumes_of(call.context, group.id)
    for row in found:
        if row.status not in statuses:
            raise _refusal(f'Volume {row.id}', 'status', row.status, statuses, action)
        if row.replication_status not in words:
            raise _refusal(f'Volume {row.id}', 'replication status', row.replication_status,
                           [word for word in words if word], action)
    return found


def _refusal(what, name, found, expected, action):
    return exceptions.InvalidInput(
        reason=f"{what} {name} must be {' or '.join(expected)}, but current status is: {found}. "
               f'Cannot {action} replication.')


# OPERATIONS


def _action(name, policy, handler, body=EMPTY_BODY, success=202):
    return Operation(f'groups.{name}', target=resource.load, policy=policy, body=body,
                     handler=handler, success=success, since='3.38')


FAILOVER = _action('failover_replication', resource.POLICY_FAILOVER, failover, FAILOVER_BODY)
ACTIONS = {
    'enable_replication': _action('enable_replication', resource.POLICY_ENABLE, enable),
    'disable_replication': _action('disable_replication', resource.POLICY_DISABLE, disable),
    'failover_replication': FAILOVER,
    # openstacksdk 4 fails a group over by this word, and with it the stock client does.
    'modify_body_for_action': FAILOVER,
    'list_replication_targets': _action('list_replication_targets', resource.POLICY_TARGETS,
                                        list_targets, success=200),
}
