"""What was done with replications (3.76): failovers, failbacks and the like, volume by volume."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import filters, pagination, rules
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import replication_view as view
from cinder_ext.db import listing, replication_models, replication_views
from cinder_ext.db import replication_operations as records

BASE = 'volume_extension:replication_operations'
GET_ALL, GET = f'{BASE}:get_all', f'{BASE}:get'
ONE = '/replication-operations/{operation_id}'

POLICIES = (
    rules.rule(GET_ALL, rules.READER, 'List what was done with replications.',
               'GET /replication-operations'),
    rules.rule(GET, rules.READER, 'Show what was done with a replication, volume by volume.',
               f'GET {ONE}'),
)

FILTERS = {
    'verb': filters.text('verb'),
    'state': filters.text('state'),
    'scope': filters.text('scope'),
    'protected_id': filters.text('protected_id'),
    'replication_id': filters.text('replication_id'),
    'target': filters.text('target'),
    'dry_run': filters.flag('dry_run'),
    'volume_id': filters.Filter(
        'id', lambda _name, _column, value: [replication_views.operation_on(value)]),
    'created_at': filters.time('created_at'),
    'finished_at': filters.time('finished_at'),
    'project_id': filters.text('project_id'),
    'error_code': filters.text('error_code'),
    'host': filters.text('home'),
}
"""All are for administrators; which of them are for others is in filter_names.py."""
SORTABLE = frozenset({'id', 'created_at', 'updated_at', 'verb', 'state', 'scope', 'target',
                      'protected_id', 'started_at', 'finished_at'})

# targets


def load(call):
    """The operation of the path, if the caller may know of it."""
    return records.get(call.context, call.path['operation_id'], call.scope)


# handlers


def index(call):
    """List operations, newest first; of all projects for administrators."""
    page = pagination.page(call, SORTABLE)
    wanted = filters.conditions(call, FILTERS, 'replication_operation')
    model = replication_models.ReplicationOperation
    rows = listing.rows(call.context, model, page, wanted, call.scope,
                        exceptions.ReplicationOperationNotFound)
    document = pagination.body(call, 'operations',
                               [view.operation(call, row) for row in rows],
                               rows[-1].id if rows else None, page)
    if pagination.truth('with_count', call.query.get('with_count', '0')):
        document['count'] = listing.count(call.context, model, wanted, call.scope)
    return document


def show(call):
    """Show an operation with the result of each of its volumes."""
    return {'operation': detail(call, call.target)}


def detail(call, row):
    """An operation as it is shown when it is asked for, or just begun."""
    return view.operation_detail(call, row, records.members(call.context, row.id))


# OPERATIONS

LIST = Operation('replication_operations.list', policy=GET_ALL, handler=index, since='3.76')
SHOW = Operation('replication_operations.show', target=load, policy=GET, handler=show, since='3.76')
