"""Default volume types of projects (default-types)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import quota_sets
from cinder_ext.db import default_types, volume_types

POLICY_SET = 'volume_extension:default_set_or_update'
POLICY_GET = 'volume_extension:default_get'
POLICY_LIST = 'volume_extension:default_get_all'
POLICY_UNSET = 'volume_extension:default_unset'

POLICIES = (
    rules.rule(POLICY_SET, rules.ADMIN, 'Choose the default volume type of a project.',
               'PUT /default-types/{project_id}'),
    rules.rule(POLICY_GET, rules.ADMIN, 'Show the default volume type of a project.',
               'GET /default-types/{project_id}'),
    rules.rule(POLICY_LIST, rules.ADMIN, 'List the default volume types of all projects.',
               'GET /default-types'),
    rules.rule(POLICY_UNSET, rules.ADMIN, 'Let a project have no default volume type of its own.',
               'DELETE /default-types/{project_id}'),
)

# SCHEMAS

BODY = validation.schemas({'3.62': validation.wrapped(
    'default_type', {'volume_type': validation.NAME}, required=('volume_type',))})

# view


def view(row):
    return {'project_id': row.project_id, 'volume_type_id': row.volume_type_id}


# handlers


def index(call):
    """List the default volume types of the projects that have one of their own."""
    return {'default_types': [view(row) for row in default_types.list_all(call.context)]}


def show(call):
    """Show a project's own default volume type."""
    return {'default_type': view(default_types.get(call.context, call.path['id']))}


def put(call):
    """Choose a project's default volume type, by name or id."""
    project_id = quota_sets.a_project(call.path['id'])
    try:
        found = volume_types.get_by_name_or_id(call.context, call.body['default_type']['volume_type'],
                                               call.scope)
        row = default_types.put(call.context, project_id, found.id)
    except exceptions.VolumeTypeNotFound as fault:
        raise exceptions.InvalidInput(reason=fault.message) from fault
    return {'default_type': view(row)}


def delete(call):
    """Let a project have the service's default volume type."""
    default_types.delete(call.context, call.path['id'])


# OPERATIONS

LIST = Operation('default_types.list', policy=POLICY_LIST, handler=index, since='3.62')
SHOW = Operation('default_types.show', policy=POLICY_GET, handler=show, since='3.62')
PUT = Operation('default_types.put', policy=POLICY_SET, body=BODY, handler=put, since='3.62')
DELETE = Operation('default_types.delete', policy=POLICY_UNSET, handler=delete, success=204,
                   since='3.62')
