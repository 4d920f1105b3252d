"""Workers: have the services look for work that was recorded and that nobody does."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.db import services, snapshots, volumes

CLEAN = 'workers:cleanup'
SCHEDULER = 'cinder-scheduler'

POLICIES = (
    rules.rule(CLEAN, rules.ADMIN, 'Have the services take up work that was left.',
               'POST /workers/cleanup'),
)

# SCHEMAS

_HOST = {**validation.HOST, 'type': ['string', 'null']}
CLEANUP_BODY = validation.schemas({'3.24': {
    'type': ['object', 'null'], 'additionalProperties': False,
    'properties': {
        'cluster_name': _HOST, 'host': _HOST, 'disabled': validation.BOOLEAN,
        'is_up': validation.BOOLEAN, 'binary': {'enum': [services.VOLUME_BINARY, SCHEDULER]},
        'resource_id': validation.OPTIONAL_UUID,
        'resource_type': {'type': ['string', 'null'], 'maxLength': 40},
        # Ids of services are numbers upstream and UUIDs here.
        'service_id': {'type': ['integer', 'string', 'null'], 'maxLength': 36}}}})

RESOURCE_TYPES = ('Backup', 'Snapshot', 'Volume')

# view


def view(row):
    """A service of the answer."""
    return {'id': row.id, 'host': row.host, 'binary': row.binary, 'cluster_name': None}


# handlers


def cleanup(call):
    """Have the services that fit the body look for recorded work that nobody does.

    ``is_up`` is false when it is not named, as upstream: services that are down are listed as
    ``unavailable``, since they cannot look; their work is taken up when they start.
    """
    wanted = {key: value for key, value in (call.body or {}).items() if value is not None}
    wanted.update(_of_resource(call, wanted))
    found = [row for row in services.list_all(call.context, wanted.get('binary'),
                                              wanted.get('host')) if _is_wanted(call, row, wanted)]
    cleaning = [row for row in found if row.binary == SCHEDULER or _is_up(call, row)]
    for row in cleaning:
        call.tell(call.rpc.control.sweep, row)
    return {'cleaning': [view(row) for row in cleaning],
            'unavailable': [view(row) for row in found if row not in cleaning]}


def _is_wanted(call, row, wanted):
    if 'cluster_name' in wanted or row.binary not in (services.VOLUME_BINARY, SCHEDULER):
        return False
    if 'disabled' in wanted and row.disabled != _truth(wanted, 'disabled'):
        return False
    if 'service_id' in wanted and row.id != str(wanted['service_id']):
        return False
    return _is_up(call, row) == _truth(wanted, 'is_up')


def _is_up(call, row):
    return services.is_up(row, call.conf.service_down_time)


def _truth(wanted, name):
    return pagination.truth(name, str(wanted.get(name, False)))


def _of_resource(call, wanted):
    """Where the work on a resource waits, unless the body says where to look.

    :raises InvalidInput: no such type, or nothing is left to be done for the resource
    """
    kind = wanted.get('resource_type', '').title()
    if kind and kind not in RESOURCE_TYPES:
        raise exceptions.InvalidInput(
            reason=f"Resource type {kind!r} not valid, must be {', '.join(RESOURCE_TYPES)}.")
    resource_id = wanted.get('resource_id')
    if not resource_id or {'service_id', 'cluster_name', 'host'} & set(wanted):
        return {}
    for name, module in (('Volume', volumes), ('Snapshot', snapshots)):
        if kind in ('', name):
            for row in services.list_all(call.context, services.VOLUME_BINARY):
                if resource_id in {each[0] for each in module.unfinished(call.context, row.host)}:
                    return {'host': row.host, 'binary': row.binary}
    raise exceptions.InvalidInput(
        reason=f'There is no resource with UUID {resource_id} pending cleanup.')


# OPERATIONS

CLEANUP = Operation('workers.cleanup', policy=CLEAN, body=CLEANUP_BODY, handler=cleanup,
                    success=202, since='3.24')
