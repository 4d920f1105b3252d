"""Clusters of volume services: this service has none; the paths answer so."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import microversion, pagination, rules, validation
from cinder_ext.api.operation import Operation

GET = 'clusters:get'
GET_ALL = 'clusters:get_all'
UPDATE = 'clusters:update'

POLICIES = (
    rules.rule(GET_ALL, rules.ADMIN, 'List the clusters.', 'GET /clusters', 'GET /clusters/detail'),
    rules.rule(GET, rules.ADMIN, 'Show a cluster.', 'GET /clusters/{cluster_id}'),
    rules.rule(UPDATE, rules.ADMIN, 'Enable or disable a cluster.', 'PUT /clusters/enable',
               'PUT /clusters/disable'),
)

# SCHEMAS

_NAMED = {'name': validation.NAME, 'binary': validation.TEXT}


def _object(properties):
    return {'type': 'object', 'properties': properties, 'required': ['name'],
            'additionalProperties': False}


ENABLE_BODY = validation.schemas({'3.7': _object(_NAMED)})
DISABLE_BODY = validation.schemas({'3.7': _object({
    **_NAMED, 'disabled_reason': {**validation.NAME, 'type': ['string', 'null']}})})

_PLAIN = frozenset({'name', 'binary', 'is_up', 'disabled', 'num_hosts', 'num_down_hosts'})
FILTERS = microversion.ByVersion({
    '3.7': _PLAIN, '3.26': _PLAIN | {'replication_status', 'frozen', 'active_backend_id'}})
"""Words of the query that a list knows."""

# handlers


def index(call):
    """List the clusters: none."""
    unknown = sorted(set(call.query) - call.variant)
    if unknown:
        raise exceptions.InvalidInput(reason=f"Invalid filter keys: {', '.join(unknown)[:255]}")
    for word in ('is_up', 'disabled'):
        pagination.truth(word, call.query.get(word, '0'))
    return {'clusters': []}


def show(call):
    """Show a cluster: there is none of any name."""
    raise exceptions.ClusterNotFound(name=call.path['cluster_id'])


def switch(call):
    """Enable or disable a cluster: there is none of any name."""
    raise exceptions.ClusterNotFound(name=call.body['name'])


# OPERATIONS

LIST = Operation('clusters.list', policy=GET_ALL, handler=index, variant=FILTERS, since='3.7')
LIST_DETAIL = Operation('clusters.list_detail', policy=GET_ALL, handler=index, variant=FILTERS,
                        since='3.7')
SHOW = Operation('clusters.show', policy=GET, handler=show, since='3.7')
ENABLE = Operation('clusters.enable', policy=UPDATE, body=ENABLE_BODY, handler=switch, since='3.7')
DISABLE = Operation('clusters.disable', policy=UPDATE, body=DISABLE_BODY, handler=switch,
                    since='3.7')
