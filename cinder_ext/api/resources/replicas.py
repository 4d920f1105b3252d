"""Volumes that are handed to another cloud, or taken from one (3.76).

What is asked for is done by the volume service of the backend on whose array the replica lies, while
the caller waits: the answer says what was done.  It is safe to ask again.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volumes
from cinder_ext.db import services

EXPORT = 'volume_extension:replica:export'
IMPORT = 'volume_extension:replica:import'

POLICIES = (
    rules.rule(EXPORT, rules.ADMIN, 'Hand a volume to another cloud.',
               'POST /volumes/{volume_id}/export-replica'),
    rules.rule(IMPORT, rules.ADMIN, 'Take volumes from another cloud.',
               'POST /volumes/import-replica'),
)

# SCHEMAS

_MAPPING = {'type': 'object', 'maxProperties': 1000,
            'patternProperties': {r'^[^\0]{1,255}\Z': validation.NAME},
            'additionalProperties': False}
_HANDLE = {'oneOf': [validation.UUID, {
    'type': 'object', 'required': ['name_id'], 'additionalProperties': False,
    'properties': {'name_id': validation.UUID, 'backend_id': validation.NAME}}]}
EXPORT_BODY = validation.schemas({'3.76': validation.wrapped('export-replica', {
    'clear_existing': validation.BOOLEAN, 'target': validation.NAME})})
IMPORT_BODY = validation.schemas({'3.76': validation.wrapped('import-replica', {
    'manifest': {'type': 'object'}, 'backend': validation.HOST, 'handle': _HANDLE,
    'promote': validation.BOOLEAN, 'force': validation.BOOLEAN, 'group': validation.BOOLEAN,
    'new_id': validation.BOOLEAN, 'dry_run': validation.BOOLEAN,
    'project_id': validation.NAME, 'user_id': validation.NAME,
    'volume_types': _MAPPING, 'group_type': validation.NAME,
    'availability_zone': validation.NAME})})

# handlers


def export(call):
    """Hand a volume to another cloud: the answer holds a signed manifest of it.

    With clear_existing the record here is released, once the volume is used at the other cloud's
    array: a tombstone takes its place, and the arrays keep everything.
    """
    body = call.body['export-replica']
    if call.target.host is None:
        raise exceptions.ReplicaRefused(id=call.target.id, action='exported',
                                        reason='it is on no backend')
    _refuse_down(call, call.target.host.partition('#')[0])
    answer = call.ask(call.rpc.replication.export_replica, call.target.host, {
        'volume_id': call.target.id, 'clear_existing': _flag(body, 'clear_existing'),
        'target': body.get('target')})
    return {'export-replica': answer}


def take(call):
    """Take a volume that lies on a backend's array, with all that share its points.

    It is named by a manifest of the other cloud, or by what it is called on the array: then the
    manifest that lies beside its newest point is used.  Each must be primary on the array, unless
    promote is asked for.  With dry_run the answer says what would be done.
    """
    body = call.body['import-replica']
    given, handle = body.get('manifest'), body.get('handle')
    if (given is None) == (handle is None):
        raise exceptions.InvalidInput(reason='name either a manifest or a handle.')
    if 'backend' not in body:
        raise exceptions.InvalidInput(
            reason='name the backend (host@backend) on whose array the replica lies.')
    backend = body['backend'].partition('#')[0]
    _refuse_down(call, backend)
    request = {
        'manifest': given, 'name_id': _name_id(handle),
        'with_group': _flag(body, 'group', True),
        **{name: _flag(body, name) for name in ('promote', 'force', 'new_id')},
        **{name: body.get(name) for name in ('project_id', 'user_id', 'volume_types', 'group_type',
                                             'availability_zone')}}
    remote = call.rpc.replication
    is_dry = _flag(body, 'dry_run')
    answer = call.ask(remote.examine_replica if is_dry else remote.import_replica, backend, request)
    if not is_dry:
        call.tell(remote.look, backend)
    return {'import-replica': answer}


def _name_id(handle):
    found = handle['name_id'] if isinstance(handle, dict) else handle
    return found and found.lower()


def _flag(body, name, default=False):
    return pagination.truth(name, str(body.get(name, default)))


def _refuse_down(call, host):
    """
    :raises InvalidInput: there is no such backend, or its service gives no sign of life
    """
    try:
        service = services.get(call.context, services.VOLUME_BINARY, host)
    except exceptions.ServiceNotFound as fault:
        raise exceptions.InvalidInput(reason=fault.message) from fault
    if not services.is_up(service, call.conf.service_down_time):
        raise exceptions.InvalidInput(reason=f'volume service {host} is down.')


# OPERATIONS

EXPORT_ONE = Operation('replicas.export', target=volumes.load, policy=EXPORT, body=EXPORT_BODY,
                       handler=export, since='3.76')
IMPORT_ONE = Operation('replicas.import', policy=IMPORT, body=IMPORT_BODY, handler=take,
                       since='3.76')
