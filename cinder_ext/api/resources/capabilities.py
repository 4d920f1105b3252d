"""Capabilities of a backend, as its driver says them now."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import microversion, rules
from cinder_ext.api.operation import Operation
from cinder_ext.db import services

GET = 'volume_extension:capabilities'

POLICIES = (
    rules.rule(GET, rules.ADMIN, 'Show the capabilities of a backend.',
               'GET /capabilities/{host_name}'),
)

FIELDS = ('vendor_name', 'volume_backend_name', 'pool_name', 'driver_version', 'storage_protocol',
          'display_name', 'description', 'visibility', 'replication_targets', 'properties')
OURS = microversion.ByVersion({'3.0': (), '3.76': ('replication_target_details',)})

# handlers


def show(call):
    """Show what a backend can do; the host is ``host@backend``, a pool's name is passed over."""
    host = call.path['host_name'].partition('#')[0]
    found = services.list_all(call.context, services.VOLUME_BINARY, host)
    if not found:
        raise exceptions.ServiceNotFound(binary=services.VOLUME_BINARY, host=host)
    backend = found[0].host
    told = call.ask(call.rpc.volume.get_capabilities, backend)
    return {'namespace': f'OS::Storage::Capabilities::{backend}',
            **{field: told.get(field) for field in (*FIELDS, *call.at(OURS))}}


# OPERATIONS

SHOW = Operation('capabilities.show', policy=GET, handler=show)
