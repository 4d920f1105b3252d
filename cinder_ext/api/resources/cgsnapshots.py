"""Snapshots of consistency groups: the calls that came before group snapshots."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import pagination, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import group_snapshots as resource
from cinder_ext.api.resources import groups as of_groups
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import group_models, group_snapshots, groups, listing

POLICIES = ()
"""Those of group snapshots."""

# SCHEMAS

CREATE_BODY = validation.schemas({'3.0': validation.wrapped('cgsnapshot', {
    'consistencygroup_id': {'type': 'string', 'maxLength': 255}, 'name': validation.TEXT,
    'description': validation.TEXT}, required=('consistencygroup_id',), others=True)})

# view


def brief(row):
    """One entry of the short list."""
    return {'id': row.id, 'name': row.name}


def view(row):
    """A snapshot of a consistency group in full."""
    return {'id': row.id, 'consistencygroup_id': row.group_id, 'status': row.status,
            'created_at': moment(row.created_at), 'name': row.name,
            'description': row.description}


# handlers


def load(call):
    """The group snapshot of the path, of any group type, if the caller may know of it."""
    return group_snapshots.get(call.context, call.path['group_snapshot_id'], call.scope)


def index(call):
    """List snapshots of consistency groups and of groups: id and name."""
    return _page(call, brief)


def detail(call):
    """List snapshots of consistency groups and of groups with all details."""
    return _page(call, view)


def _page(call, shown):
    """A page; upstream names no link to the next one here."""
    page = pagination.page(call, resource.SORTABLE)
    rows = listing.rows(call.context, group_models.GroupSnapshot, page, (), call.context.project_id,
                        exceptions.GroupSnapshotNotFound)
    return {'cgsnapshots': [shown(row) for row in rows]}


def show(call):
    """Show a snapshot of a consistency group."""
    return {'cgsnapshot': view(call.target)}


def create(call):
    """Take a snapshot of every volume of a consistency group, all of one moment."""
    wanted = call.body['cgsnapshot']
    group = groups.get(call.context, wanted['consistencygroup_id'], call.scope)
    return {'cgsnapshot': brief(resource.take(call, group, of_groups.named(wanted)))}


# OPERATIONS

LIST = Operation('cgsnapshots.list', policy=resource.POLICY_LIST, handler=index)
LIST_DETAIL = Operation('cgsnapshots.list_detail', policy=resource.POLICY_LIST, handler=detail)
SHOW = Operation('cgsnapshots.show', target=load, policy=resource.POLICY_GET, handler=show)
CREATE = Operation('cgsnapshots.create', policy=resource.POLICY_CREATE, body=CREATE_BODY,
                   handler=create, success=202)
DELETE = Operation('cgsnapshots.delete', target=load, policy=resource.POLICY_DELETE,
                   handler=resource.delete, success=202)
