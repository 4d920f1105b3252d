"""Access to private volume types (types/{id}/os-volume-type-access, and actions)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volume_types as resource
from cinder_ext.db import type_access

POLICY_LIST = 'volume_extension:volume_type_access:get_all_for_type'
POLICY_ADD = 'volume_extension:volume_type_access:addProjectAccess'
POLICY_REMOVE = 'volume_extension:volume_type_access:removeProjectAccess'

POLICIES = (
    rules.rule(POLICY_LIST, rules.ADMIN, 'List the projects that may use a private volume type.',
               'GET /types/{type_id}/os-volume-type-access'),
    rules.rule(POLICY_ADD, rules.ADMIN, 'Let a project use a private volume type.',
               'POST /types/{type_id}/action (addProjectAccess)'),
    rules.rule(POLICY_REMOVE, rules.ADMIN, 'Let a project use a private volume type no longer.',
               'POST /types/{type_id}/action (removeProjectAccess)'),
)

# SCHEMAS

PROJECT_BODY = validation.schemas({'3.0': {
    'type': 'object', 'required': ['project'], 'additionalProperties': False,
    'properties': {'project': {'type': 'string', 'minLength': 1, 'maxLength': 255}}}})

# handlers


def index(call):
    """List the projects that may use a private volume type."""
    if call.target.is_public:
        raise exceptions.NotFound('Access list not available for public volume types.')
    return {'volume_type_access': [
        {'volume_type_id': call.target.id, 'project_id': project_id}
        for project_id in type_access.projects(call.context, call.target.id)]}


def add(call):
    """Let a project use a private volume type."""
    type_access.add(call.context, call.target.id, call.body['project'])


def remove(call):
    """Let a project use a private volume type no longer."""
    type_access.remove(call.context, call.target.id, call.body['project'])


# OPERATIONS

LIST = Operation('type_access.list', target=resource.load, policy=POLICY_LIST, handler=index)
ACTIONS = {
    'addProjectAccess': Operation(
        'type_access.addProjectAccess', target=resource.load, policy=POLICY_ADD,
        body=PROJECT_BODY, handler=add, success=202),
    'removeProjectAccess': Operation(
        'type_access.removeProjectAccess', target=resource.load, policy=POLICY_REMOVE,
        body=PROJECT_BODY, handler=remove, success=202),
}
