"""Services: list, enable, disable, freeze, thaw, fail over, log levels (os-services)."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.api import microversion, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import replication_targets
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import backend_failovers, services
from cinder_ext.rpc import control

LOG = log.getLogger(__name__)

GET_ALL = 'volume_extension:services:index'
UPDATE = 'volume_extension:services:update'
FREEZE = 'volume:freeze_host'
THAW = 'volume:thaw_host'
FAILOVER = 'volume:failover_host'

POLICIES = (
    rules.rule(GET_ALL, rules.ADMIN, 'List the services.', 'GET /os-services'),
    rules.rule(UPDATE, rules.ADMIN, 'Change a service in any way that /os-services serves.',
               'PUT /os-services/enable', 'PUT /os-services/disable',
               'PUT /os-services/disable-log-reason', 'PUT /os-services/freeze',
               'PUT /os-services/thaw', 'PUT /os-services/failover_host',
               'PUT /os-services/failover', 'PUT /os-services/set-log', 'PUT /os-services/get-log'),
    rules.rule(FREEZE, rules.ADMIN, 'Freeze a backend.', 'PUT /os-services/freeze'),
    rules.rule(THAW, rules.ADMIN, 'Thaw a frozen backend.', 'PUT /os-services/thaw'),
    rules.rule(FAILOVER, rules.ADMIN, 'Fail a backend over.', 'PUT /os-services/failover_host',
               'PUT /os-services/failover'),
)

API_BINARY = 'cinder-api'
LOG_BINARIES = ('cinder-scheduler', 'cinder-volume', 'cinder-backup', API_BINARY)
"""What may be named in requests about log levels."""

# SCHEMAS

_OPTIONAL_HOST = {**validation.HOST, 'type': ['string', 'null']}
_NAMED = {'host': validation.HOST, 'cluster': validation.TEXT,
          'binary': {'type': 'string', 'minLength': 1, 'maxLength': 255},
          'service': {'type': 'string', 'minLength': 1, 'maxLength': 255}}
_SWITCH = {'type': 'object', 'properties': {**_NAMED, 'disabled_reason': validation.TEXT},
           'required': ['host'], 'anyOf': [{'required': ['binary']}, {'required': ['service']}],
           'additionalProperties': False}
_REASONED = {**_SWITCH, 'required': ['host', 'disabled_reason'],
             'properties': {**_NAMED, 'disabled_reason': validation.NAME}}
_PLACE = {'host': _OPTIONAL_HOST, 'cluster': validation.TEXT}
_LOG = {'binary': {'enum': [*LOG_BINARIES, '', '*']}, 'server': validation.TEXT,
        'prefix': validation.TEXT}


def _object(properties, required=()):
    return {'type': 'object', 'properties': properties, 'required': list(required),
            'additionalProperties': False}


SWITCH = validation.schemas({'3.0': _SWITCH})
REASONED = validation.schemas({'3.0': _REASONED})
PLACE = validation.schemas({'3.0': _object(_PLACE)})
FAILOVER_BODY = validation.schemas({'3.0': _object({**_PLACE, 'backend_id': validation.TEXT})})
SET_LOG_BODY = validation.schemas({'3.32': _object(
    {**_LOG, 'level': {'type': 'string', 'maxLength': 16}}, ['level'])})
GET_LOG_BODY = validation.schemas({'3.32': _object(_LOG)})

CLUSTERED = microversion.ByVersion({'3.0': False, '3.26': True})
"""Whether ``cluster`` may take the place of ``host``."""

# view

ADDITIONS = microversion.Additions({
    '3.7': lambda row, states: {'cluster': None},
    '3.49': lambda row, states: (
        {'backend_state': states.get(row.host)} if row.binary == services.VOLUME_BINARY else {}),
})
"""What a version adds to a service, from its row and the states of the backends."""

BACKEND_STATE = microversion.ByVersion({'3.0': False, '3.49': True})


def view(call, row, states):
    """One service of the list.

    :param states: backend -> ``up`` or ``down``
    """
    shown = {
        'binary': row.binary, 'host': row.host, 'zone': row.availability_zone,
        'status': 'disabled' if row.disabled else 'enabled',
        'state': 'up' if _is_up(call, row) else 'down',
        'updated_at': moment(row.updated_at or row.created_at),
        'disabled_reason': row.disabled_reason,
    }
    if row.binary == services.VOLUME_BINARY:
        shown.update(replication_status=row.replication_status or 'not-capable',
                     active_backend_id=row.active_backend_id, frozen=row.frozen)
    for addition in ADDITIONS.upto(call.version):
        shown.update(addition(row, states))
    return shown


def _is_up(call, row):
    return services.is_up(row, call.conf.service_down_time)


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
    states = _backend_states(call) if call.variant else {}
    return {'services': [view(call, row, states) for row in found]}


def _backend_states(call):
    """Backend -> its state as the schedulers know it; empty when no scheduler answers.

    A scheduler without a heartbeat is not asked: an operator who looks for what is down must
    not wait for it.
    """
    if not _has_scheduler(call):
        return {}
    try:
        pools = call.ask(call.rpc.scheduler.get_pools, detail=True)
    except exceptions.ServiceUnavailable:
        return {}
    return {pool['name'].partition('#')[0]: pool['capabilities'].get('backend_state', 'up')
            for pool in pools}


def _has_scheduler(call):
    return any(_is_up(call, row) for row in services.list_all(call.context, 'cinder-scheduler'))


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


def freeze(call):
    """Freeze a backend: nothing is made, changed or removed there; what is attached goes on."""
    call.authorize(FREEZE)
    services.set_frozen(call.context, _host(call), frozen=True)


def thaw(call):
    """Thaw a frozen backend, and enable it."""
    call.authorize(THAW)
    services.set_frozen(call.context, _host(call), frozen=False)


def failover(call):
    """Fail a backend over to one of its targets; to ``default``: back.

    All that is replicated there goes, attached volumes too; nothing is lost as long as the backend
    answers.  What is not replicated is in error until it is failed back.
    """
    call.authorize(FAILOVER)
    host = services.one_backend(call.context, _host(call)).host
    target = call.body.get('backend_id') or None
    known = [each['backend_id'] for each in _targets(call, host) if not each.get('cross_os')]
    backend_failovers.ask(call.context, host, target, known)
    # Every service looks: the one of that backend may be the one that is gone.
    call.tell(call.rpc.replication.look)


def _targets(call, host):
    """As replication_targets.of_backend; nothing when no scheduler can say."""
    if not _has_scheduler(call):
        return []
    try:
        return replication_targets.of_backend(call, host)
    except exceptions.ServiceUnavailable:
        return []


def _host(call):
    """The host that a body names.

    :raises InvalidInput: none, or a cluster: this service has none
    """
    host = call.body.get('host')
    cluster = call.body.get('cluster') if call.at(CLUSTERED) else None
    if bool(host) == bool(cluster):
        raise exceptions.InvalidInput(
            reason='One and only one of cluster and host must be set.' if call.at(CLUSTERED)
            else 'Host field is missing.')
    if cluster:
        raise exceptions.InvalidInput(reason=f'no volume service found with cluster={cluster}.')
    return host


def set_log(call):
    """Set the log levels of services that are alive, until they are started again.

    The level holds for loggers that exist and whose names begin with ``prefix``.
    """
    level = call.body['level'].upper()
    if level not in control.LEVELS:
        raise exceptions.InvalidInput(reason=f"{call.body['level']} is not a valid log level.")
    is_api, found = _logging(call)
    if is_api:
        control.set_levels(call.body.get('prefix'), level)
    for row in found:
        call.tell(call.rpc.control.set_log_levels, row, call.body.get('prefix'), level)


def get_log(call):
    """Show the log levels of services that are alive."""
    is_api, found = _logging(call)
    prefix, shown = call.body.get('prefix'), []
    if is_api:
        shown.append({'host': call.conf.host, 'binary': API_BINARY,
                      'levels': control.levels(prefix)})
    for row in found:
        try:
            levels = call.rpc.control.get_log_levels(call.context, row, prefix)
        except (oslo_messaging.MessagingTimeout, oslo_messaging.MessageDeliveryFailure) as fault:
            LOG.warning('%s on %s did not say its log levels: %s', row.binary, row.host, fault)
            continue
        shown.append({'host': row.host, 'binary': row.binary, 'levels': levels})
    return {'log_levels': shown}


def _logging(call):
    """Whether this process, and which services, a request about log levels is for."""
    binary = call.body.get('binary') or '*'
    server = call.body.get('server')
    is_api = binary in ('*', API_BINARY) and server in (None, '', call.conf.host)
    found = services.list_all(call.context, None if binary == '*' else binary, server or None)
    return is_api, [row for row in found
                    if row.binary in control.ControlAPI.TOPICS and _is_up(call, row)]


# OPERATIONS

LIST = Operation('services.list', policy=GET_ALL, handler=index, variant=BACKEND_STATE)
ENABLE = Operation('services.enable', policy=UPDATE, body=SWITCH, handler=enable)
DISABLE = Operation('services.disable', policy=UPDATE, body=SWITCH, handler=disable)
DISABLE_LOG_REASON = Operation('services.disable-log-reason', policy=UPDATE, body=REASONED,
                               handler=disable_log_reason)
FREEZE_BACKEND = Operation('services.freeze', policy=UPDATE, body=PLACE, handler=freeze)
THAW_BACKEND = Operation('services.thaw', policy=UPDATE, body=PLACE, handler=thaw)
FAILOVER_HOST = Operation('services.failover_host', policy=UPDATE, body=FAILOVER_BODY,
                          handler=failover, success=202)
FAILOVER_BACKEND = Operation('services.failover', policy=UPDATE, body=FAILOVER_BODY,
                             handler=failover, success=202, since='3.26')
SET_LOG = Operation('services.set-log', policy=UPDATE, body=SET_LOG_BODY, handler=set_log,
                    success=202, since='3.32')
GET_LOG = Operation('services.get-log', policy=UPDATE, body=GET_LOG_BODY, handler=get_log,
                    since='3.32')
