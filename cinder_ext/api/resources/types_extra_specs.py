"""Extra specs of a volume type (types/{id}/extra_specs)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import replication_specs
from cinder_ext.api.resources import volume_types as resource
from cinder_ext.db import volume_types

POLICY_LIST = 'volume_extension:types_extra_specs:index'
POLICY_GET = 'volume_extension:types_extra_specs:show'
POLICY_CREATE = 'volume_extension:types_extra_specs:create'
POLICY_UPDATE = 'volume_extension:types_extra_specs:update'
POLICY_DELETE = 'volume_extension:types_extra_specs:delete'

POLICIES = (
    rules.rule(POLICY_LIST, rules.READER, 'List the extra specs of a volume type.',
               'GET /types/{type_id}/extra_specs'),
    rules.rule(POLICY_GET, rules.READER, 'Show one extra spec of a volume type.',
               'GET /types/{type_id}/extra_specs/{key}'),
    rules.rule(POLICY_CREATE, rules.ADMIN, 'Add or change extra specs of a volume type.',
               'POST /types/{type_id}/extra_specs'),
    rules.rule(POLICY_UPDATE, rules.ADMIN, 'Change one extra spec of a volume type.',
               'PUT /types/{type_id}/extra_specs/{key}'),
    rules.rule(POLICY_DELETE, rules.ADMIN, 'Remove one extra spec of a volume type.',
               'DELETE /types/{type_id}/extra_specs/{key}'),
)

# SCHEMAS

ALL = validation.schemas({'3.0': {
    'type': 'object', 'properties': {'extra_specs': resource.EXTRA_SPECS},
    'required': ['extra_specs'], 'additionalProperties': False}})
ONE = validation.schemas({'3.0': {**resource.EXTRA_SPECS, 'minProperties': 1, 'maxProperties': 1}})

# handlers


def index(call):
    """List the extra specs that the caller may see."""
    return {'extra_specs': _visible(call)}


def show(call):
    """Show one extra spec."""
    key, found = call.path['key'], _visible(call)
    if key not in found:
        raise exceptions.ExtraSpecNotFound(type_id=call.target.id, key=key)
    return {key: found[key]}


def merge(call):
    """Add extra specs, or change those that are there; the others stay.

    Only those with the scope ``migration`` may change while volumes have the type.
    """
    specs = call.body['extra_specs']
    _refuse_bad(call, specs)
    volume_types.set_extra_specs(call.context, call.target.id, specs)
    return {'extra_specs': specs}


def set_one(call):
    """Add or change one extra spec; the body names it once more."""
    if call.path['key'] not in call.body:
        raise exceptions.InvalidInput(reason='the request body and the URL name different keys.')
    _refuse_bad(call, call.body)
    volume_types.set_extra_specs(call.context, call.target.id, call.body)
    return call.body


def _refuse_bad(call, specs):
    replication_specs.refuse_bad(specs, f'volume type {call.target.name}', lambda: (
        volume_types.extra_specs(call.context, call.target.id)))


def delete(call):
    """Remove one extra spec."""
    volume_types.delete_extra_spec(call.context, call.target.id, call.path['key'])


def _visible(call):
    return resource.visible(call, volume_types.extra_specs(call.context, call.target.id))


# OPERATIONS

LIST = Operation('types_extra_specs.list', target=resource.load, policy=POLICY_LIST, handler=index)
SHOW = Operation('types_extra_specs.show', target=resource.load, policy=POLICY_GET, handler=show)
MERGE = Operation('types_extra_specs.merge', target=resource.load, policy=POLICY_CREATE, body=ALL,
                  handler=merge)
SET = Operation('types_extra_specs.set', target=resource.load, policy=POLICY_UPDATE, body=ONE,
                handler=set_one)
DELETE = Operation('types_extra_specs.delete', target=resource.load, policy=POLICY_DELETE,
                   handler=delete, success=202)
