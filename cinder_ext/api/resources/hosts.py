"""Hosts: which services run where, and what the projects have there (os-hosts)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import hosts, services

MANAGE = 'volume_extension:hosts'

POLICIES = (
    rules.rule(MANAGE, rules.ADMIN, 'List or show the hosts.', 'GET /os-hosts',
               'GET /os-hosts/{host_name}', 'PUT /os-hosts/{host_name}'),
)

# SCHEMAS

UPDATE_BODY = validation.schemas({'3.0': {
    'type': 'object', 'properties': {'status': {'enum': ['enable', 'disable']}}}})

# view


def view(call, row):
    """A host of the list: one of its services."""
    is_up = services.is_up(row, call.conf.service_down_time)
    return {'host_name': row.host, 'service': row.binary, 'zone': row.availability_zone,
            'service-status': 'available' if is_up else 'unavailable',
            'service-state': 'enabled', 'last-update': moment(row.updated_at)}


def _resource(host, project, found):
    return {'resource': {
        'host': host, 'project': project, 'volume_count': str(found.volumes),
        'total_volume_gb': str(found.volumes_gib), 'snapshot_count': str(found.snapshots),
        'total_snapshot_gb': str(found.snapshots_gib)}}


# handlers


def index(call):
    """List the enabled services of every host; the query word ``zone`` filters."""
    zone = call.query.get('zone')
    return {'hosts': [view(call, row) for row in _enabled(call)
                      if zone in (None, '', row.availability_zone)]}


def _enabled(call):
    return [row for row in services.list_all(call.context) if not row.disabled]


def show(call):
    """Show how many volumes and snapshots are on a backend, in all and by project."""
    host = call.path['host_name']
    if (services.VOLUME_BINARY, host) not in {(row.binary, row.host) for row in _enabled(call)}:
        raise exceptions.ServiceNotFound(binary=services.VOLUME_BINARY, host=host)
    found = hosts.totals(call.context, host)
    total = hosts.Totals(
        sum(each.volumes for each in found.values()),
        sum(each.volumes_gib for each in found.values()),
        sum(each.snapshots for each in found.values()),
        sum(each.snapshots_gib for each in found.values()))
    return {'host': [_resource(host, '(total)', total),
                     *(_resource(host, project_id, each) for project_id, each in found.items())]}


def update(call):
    """Refuse to enable or disable a host: upstream names the call and does not serve it.

    Services are enabled and disabled one by one, see os-services.
    """
    host = call.path['host_name']
    if host not in {row.host for row in _enabled(call)}:
        raise exceptions.HostNotFound(host=host)
    unknown = sorted(key for key in call.body if key.strip().lower() != 'status')
    if unknown:
        raise exceptions.InvalidInput(reason=f'Invalid update setting: {unknown[0][:255]!r}')
    raise exceptions.NotServed(what='Enabling or disabling a whole host',
                               instead='use os-services/enable and os-services/disable')


# OPERATIONS

LIST = Operation('hosts.list', policy=MANAGE, handler=index)
SHOW = Operation('hosts.show', policy=MANAGE, handler=show)
UPDATE = Operation('hosts.update', policy=MANAGE, body=UPDATE_BODY, handler=update)
