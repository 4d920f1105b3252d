"""What may be replicated and failed over by whom, and what a request for it becomes."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions
from cinder_ext.api.resources import groups as group_resource
from cinder_ext.api.resources import replication_specs, replication_targets
from cinder_ext.db import replication_changes, replications, services, volumes
from cinder_ext.states import replication_policy as policy

BASE = 'volume_extension:replications'
CREATE, CREATE_ANY = f'{BASE}:create', f'{BASE}:create_any'
DELETE, DELETE_ANY = f'{BASE}:delete', f'{BASE}:delete_any'
FAILOVER, FAILOVER_ANY = f'{BASE}:failover', f'{BASE}:failover_any'

_ASKED = ('mode', 'target', 'rpo_seconds', 'schedule', 'retention')


@dataclasses.dataclass(frozen=True)
class Protected:
    """What a request is about.

    ``host``  ``host@backend#pool``, or ``host@backend`` of a backend
    ``row``   volume or group; None for a pool or backend
    """

    scope: str
    id: str
    host: str
    row: object = None

    @property
    def backend(self):
        return self.host.partition('#')[0]


def protected(call, scope, protected_id, rule):
    """Find what a body names.

    :param rule: the policy of pools and backends, which belong to no project
    :returns: Protected
    :raises NotFound: there is none that the caller may know of
    :raises InvalidInput: it is at no backend, or not named as such a thing is
    """
    if scope in ('pool', 'backend'):
        call.authorize(rule)
        return Protected(scope, protected_id, _known_host(call, scope, protected_id))
    row = (volumes.get(call.context, protected_id, call.scope) if scope == 'volume'
           else group_resource.known(call, protected_id))
    if row.host is None:
        raise exceptions.InvalidInput(reason=f'{scope} {row.id} is at no backend.')
    return Protected(scope, row.id, row.host, row)


def _known_host(call, scope, host):
    backend, mark, pool = host.partition('#')
    if bool(mark) != (scope == 'pool') or (mark and not pool):
        shape = 'host@backend#pool' if scope == 'pool' else 'host@backend'
        raise exceptions.InvalidInput(reason=f'id: a {scope} is named {shape}.')
    if backend not in services.of_backends(call.context):
        raise exceptions.BackendNotFound(host=backend)
    return host


def enable(call, body):
    """Have something replicated to one target.

    :returns: replication_models.Replication
    :raises InvalidInput: what is asked for contradicts what a type asks for, or no target serves it
    :raises ReplicationConflict: it is replicated already, or with something else
    """
    thing = protected(call, body['scope'], body['id'], CREATE_ANY)
    asked = _asked(body)
    types = replication_specs.of_thing(call, thing.scope, thing.row)
    is_granted = thing.scope == 'group' and types[0].is_enabled
    call.authorize(CREATE if is_granted else CREATE_ANY, thing.row)
    wanted = replication_specs.merged(asked, *types)
    target = replication_targets.chosen(call, thing.backend, wanted)
    row = replications.create(call.context, wanted, thing.id, target['backend_id'],
                              {'cross_os': bool(target.get('cross_os'))})
    call.tell(call.rpc.replication.look, row.home)
    return row


def _asked(body):
    """replication_policy.Policy of a body."""
    words = {policy.PREFIX + name: str(body[name]) for name in _ASKED if body.get(name) is not None}
    return dataclasses.replace(
        policy.parse({**words, policy.PREFIX + 'scope': body['scope']}, 'the request'),
        is_enabled=True, by_request=True)


def disable(call, row):
    """Let a replication end.

    :raises ReplicationActionRefused: the volume's type asks for it, or its state does not allow it
    """
    if row.scope != 'group':
        call.authorize(DELETE_ANY, row)
    if row.scope == 'volume':
        volume = volumes.get(call.context, row.protected_id)
        _of_group, of_type = replication_specs.of_thing(call, 'volume', volume)
        if of_type is not None and of_type.is_enabled:
            raise exceptions.ReplicationActionRefused(
                id=row.id, action='disabled', state=row.state,
                reason='the type of the volume asks for it; retype the volume')
    _told(call, replication_changes.begin_disable(call.context, row.id))


def pause(call, row):
    """
    :returns: replication_models.Replication
    :raises ReplicationActionRefused: its state does not allow it
    """
    return _told(call, replication_changes.pause(call.context, row.id))


def resume(call, row):
    """As pause."""
    return _told(call, replication_changes.resume(call.context, row.id))


def _told(call, row):
    """The record; the service of its home looks at it now and not at its next sweep."""
    call.tell(call.rpc.replication.look, row.home)
    return row
