"""Group snapshots: a snapshot of every volume of a group."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import groups as of_groups
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import group_models, group_snapshots, group_types, listing

SINCE = '3.14'

POLICY_LIST = 'group:get_all_group_snapshots'
POLICY_CREATE = 'group:create_group_snapshot'
POLICY_GET = 'group:get_group_snapshot'
POLICY_DELETE = 'group:delete_group_snapshot'
POLICY_PROJECT = 'group:group_snapshot_project_attribute'
POLICY_RESET = 'group:reset_group_snapshot_status'

_ONE = '/group_snapshots/{group_snapshot_id}'
POLICIES = (
    rules.rule(POLICY_LIST, rules.READER, 'List group snapshots.', 'GET /group_snapshots',
               'GET /group_snapshots/detail'),
    rules.rule(POLICY_CREATE, rules.MEMBER, 'Take a group snapshot.', 'POST /group_snapshots'),
    rules.rule(POLICY_GET, rules.READER, 'Show a group snapshot.', f'GET {_ONE}'),
    rules.rule(POLICY_DELETE, rules.MEMBER, 'Delete a group snapshot.', f'DELETE {_ONE}'),
    rules.rule(POLICY_PROJECT, rules.ADMIN, 'See the project of a group snapshot.', f'GET {_ONE}',
               'GET /group_snapshots/detail'),
    rules.rule(POLICY_RESET, rules.ADMIN, 'Set the status of a group snapshot.',
               f'POST {_ONE}/action (reset_status)'),
)

# SCHEMAS

CREATE_BODY = validation.schemas({SINCE: validation.wrapped('group_snapshot', {
    'group_id': validation.UUID, 'name': validation.TEXT, 'description': validation.TEXT,
}, required=('group_id',))})
RESET_BODY = validation.schemas({'3.19': {
    'type': 'object', 'properties': {'status': of_groups.STATUS}, 'required': ['status'],
    'additionalProperties': False}})

# view

FILTERS = {
    'id': filters.text('id', since='3.29'),
    'name': filters.text('name', since='3.29'),
    'status': filters.text('status', since='3.29'),
    'group_id': filters.text('group_id', since='3.29'),
    'group_type_id': filters.text('group_type_id', since='3.29'),
    'project_id': filters.text('project_id', admin=True, since='3.29'),
}

NAMES = microversion.ByVersion({'3.0': None, '3.31': 'group_snapshot'})
"""Whose page of filter_names.py says what projects may filter by; before, they had every filter."""

SORTABLE = ('id', 'name', 'status', 'group_id', 'group_type_id', 'created_at', 'updated_at')


def _project(call, row):
    return {'project_id': row.project_id} if call.allowed(POLICY_PROJECT) else {}


VIEW = microversion.Additions({
    SINCE: lambda _call, row: {
        'id': row.id, 'group_id': row.group_id, 'group_type_id': row.group_type_id,
        'status': row.status, 'created_at': moment(row.created_at), 'name': row.name,
        'description': row.description},
    '3.58': _project,
})
"""What each version adds: function(call, row) -> fields."""


def view(call, row):
    """A group snapshot in full."""
    shown = {}
    for part in VIEW.upto(call.version):
        shown.update(part(call, row))
    return shown


# handlers


def load(call):
    """The group snapshot of the path, if the caller may know of it."""
    found = group_snapshots.get(call.context, call.path['group_snapshot_id'], call.scope)
    of_groups.refuse_legacy(call, found.group_type_id)
    return found


def index(call):
    """List group snapshots: id and name."""
    return _page(call, lambda row: {'id': row.id, 'name': row.name})


def detail(call):
    """List group snapshots with all details."""
    return _page(call, lambda row: view(call, row))


def _everything(call):
    """Below 3.29 there are neither pages nor sorting."""
    return listing.Page(limit=call.conf.api.max_limit)


def _asked_for(call):
    return pagination.page(call, SORTABLE)


PAGES = microversion.ByVersion({'3.0': _everything, '3.29': _asked_for})


def _page(call, shown):
    page = call.at(PAGES)(call)
    project_id = None if pagination.wants_all_projects(call) else call.context.project_id
    wanted = [*filters.conditions(call, FILTERS, call.at(NAMES)), group_types.not_legacy()]
    rows = listing.rows(call.context, group_models.GroupSnapshot, page, wanted, project_id,
                        exceptions.GroupSnapshotNotFound)
    return pagination.body(call, 'group_snapshots', [shown(row) for row in rows],
                           rows[-1].id if rows else None, page, links='group_snapshot_links')


def show(call):
    """Show a group snapshot."""
    return {'group_snapshot': view(call, call.target)}


def create(call):
    """Take a snapshot of every volume of a group.

    Where the group type has consistent_group_snapshot_enabled set to ``<is> True``, all are of
    one moment.
    """
    wanted = call.body['group_snapshot']
    row = take(call, of_groups.known(call, wanted['group_id']), wanted)
    return {'group_snapshot': {'id': row.id, 'name': row.name,
                               'group_type_id': row.group_type_id}}


def take(call, group, wanted):
    """Record a snapshot of a group and tell its backend.

    :returns: group_models.GroupSnapshot
    """
    row = group_snapshots.create(call.context, group.id, {
        'user_id': call.context.user_id, 'name': wanted.get('name'),
        'description': wanted.get('description')})
    call.tell(call.rpc.volume.create_group_snapshot, group.host, row.id)
    return row


def delete(call):
    """Delete a group snapshot and the snapshots in it."""
    host = group_snapshots.begin_delete(call.context, call.target.id)
    call.tell(call.rpc.volume.delete_group_snapshot, host, call.target.id)


def reset_status(call):
    """Set the status of a group snapshot; nothing else happens to it."""
    group_snapshots.reset_status(call.context, call.target.id, call.body['status'].lower())


# OPERATIONS

LIST = Operation('group_snapshots.list', policy=POLICY_LIST, handler=index, since=SINCE)
LIST_DETAIL = Operation('group_snapshots.list_detail', policy=POLICY_LIST, handler=detail,
                        since=SINCE)
SHOW = Operation('group_snapshots.show', target=load, policy=POLICY_GET, handler=show, since=SINCE)
CREATE = Operation('group_snapshots.create', policy=POLICY_CREATE, body=CREATE_BODY,
                   handler=create, success=202, since=SINCE)
DELETE = Operation('group_snapshots.delete', target=load, policy=POLICY_DELETE, handler=delete,
                   success=202, since=SINCE)
ACTIONS = {
    'reset_status': Operation('group_snapshots.reset_status', target=load, policy=POLICY_RESET,
                              body=RESET_BODY, handler=reset_status, success=202, since='3.19'),
}
