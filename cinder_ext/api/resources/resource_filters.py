"""Resource filters: by what the lists can be filtered (resource_filters)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.api import filter_names, microversion, rules
from cinder_ext.api.operation import Operation

POLICY = 'resource_filters:get'

POLICIES = (
    rules.rule(POLICY, rules.ANYBODY, 'See by what lists can be filtered.',
               'GET /resource_filters'),
)

UNKNOWN = microversion.ByVersion({'3.0': ('replication', 'replication_operation'), '3.76': ()})
"""Resources that came after the list of filters."""


def index(call):
    """List the filters of every resource, or of the one that ``resource`` names."""
    found = filter_names.configured(call.conf)
    wanted = call.query.get('resource')
    return {'resource_filters': [{'resource': resource, 'filters': names}
                                 for resource, names in found.items()
                                 if wanted in (None, '', resource)
                                 and resource not in call.at(UNKNOWN)]}


LIST = Operation('resource_filters.list', policy=POLICY, handler=index, since='3.33')
