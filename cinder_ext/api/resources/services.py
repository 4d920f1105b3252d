"""Services: list, enable, disable (os-services)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.api import microversion, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import services

GET_ALL = 'volume_extension:services:index'
UPDATE = 'volume_extension:services:update'

POLICIES = (
    rules.rule(GET_ALL, rules.ADMIN, 'List the services.', 'GET /os-services'),
    rules.rule(UPDATE, rules.ADMIN, 'Enable or disable a service.', 'PUT /os-services/enable',
               'PUT /os-services/disable', 'PUT /os-services/disable-log-reason'),
)

VOLUME_BINARY = 'cinder-volume'
"""Services that have a backend."""

# SCHEMAS

_NAMED = {'host': validation.HOST,
          'binary': {'type': 'string', 'minLength': 1, 'maxLength': 255},
          'service': {'type': 'string', 'minLength': 1, 'maxLength': 255}}
_SWITCH = {'type': 'object', 'properties': {**_NAMED, 'disabled_reason': validation.TEXT},
           'required': ['host'], 'anyOf': [{'required': ['binary']}, {'required': ['service']}],
           'additionalProperties': False}
_REASONED = {**_SWITCH, 'required': ['host', 'disabled_reason'],
             'properties': {**_NAMED, 'disabled_reason': validation.NAME}}
SWITCH = validation.schemas({'3.0': _SWITCH})
REASONED = validation.schemas({'3.0': _REASONED})

# view

ADDITIONS = microversion.Additions({
    '3.7': lambda row: {'cluster': None},
    '3.49': lambda row: {'backend_state': 'up'} if row.binary == VOLUME_BINARY else {},
})
"""What a version adds to a service, from its row."""


def view(call, row):
    """One service of the list."""
    is_up = services.is_up(row, call.conf.service_down_time)
    shown = {
        'binary': row.binary, 'host': row.host, 'zone': row.availability_zone,
        'status': 'disabled' if row.disabled else 'enabled',
        'state': 'up' if is_up else 'down',
        'updated_at': moment(row.updated_at or row.created_at),
        'disabled_reason': row.disabled_reason,
    }
    if row.binary == VOLUME_BINARY:
        shown.update(replication_status='not-capable', active_backend_id=None, frozen=False)
    for addition in ADDITIONS.upto(call.version):
        shown.update(addition(row))
    return shown


def _switched(call, disabled, reason=None):
    binary = call.body.get('binary') or call.body['service']
    services.set_disabled(call.context, binary, call.body['host'], disabled, reason)
    return {'host': call.body['host'], 'service': call.body.get('service', ''),
            'binary': call.body.get('binary', ''), 'disabled': disabled,
            'status': 'disabled' if disabled else 'enabled', 'disabled_reason': reason}


# handlers


def index(call):
    """List the services of every host.

    The query words ``host`` (of ``host`` all its backends, of ``host@backend`` itself) and
    ``binary`` (or ``service``) filter.
    """
    binary = call.query.get('binary') or call.query.get('service')
    found = services.list_all(call.context, binary or None, call.query.get('host') or None)
    return {'services': [view(call, row) for row in found]}


def enable(call):
    """Let the scheduler use a service again."""
    return _switched(call, disabled=False)


def disable(call):
    """Keep the scheduler from using a service; what it has goes on."""
    answer = _switched(call, disabled=True)
    del answer['disabled_reason']
    return answer


def disable_log_reason(call):
    """Disable a service and say why."""
    return _switched(call, disabled=True, reason=call.body['disabled_reason'])


# OPERATIONS

LIST = Operation('services.list', policy=GET_ALL, handler=index)
ENABLE = Operation('services.enable', policy=UPDATE, body=SWITCH, handler=enable)
DISABLE = Operation('services.disable', policy=UPDATE, body=SWITCH, handler=disable)
DISABLE_LOG_REASON = Operation('services.disable-log-reason', policy=UPDATE, body=REASONED,
                               handler=disable_log_reason)
