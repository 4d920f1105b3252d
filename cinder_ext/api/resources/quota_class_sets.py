"""Quotas of classes (os-quota-class-sets); of them the class ``default`` counts."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import quota_sets
from cinder_ext.db import quotas

POLICY_GET = 'volume_extension:quota_classes:get'
POLICY_UPDATE = 'volume_extension:quota_classes:update'

POLICIES = (
    rules.rule(POLICY_GET, rules.ADMIN, 'Show the quotas of a class.',
               'GET /os-quota-class-sets/{class_name}'),
    rules.rule(POLICY_UPDATE, rules.ADMIN, 'Set quotas of a class.',
               'PUT /os-quota-class-sets/{class_name}'),
)

# SCHEMAS

UPDATE_BODY = validation.schemas({'3.0': {
    'type': 'object', 'required': ['quota_class_set'], 'additionalProperties': False,
    'properties': {'quota_class_set': {
        'type': 'object', 'additionalProperties': quota_sets.LIMIT}}}})

# handlers


def _name(call):
    name = call.path['class_name']
    if not 1 <= len(name.strip()) <= len(name) <= 255:
        raise exceptions.InvalidInput(reason='the name of a class has 1 to 255 characters.')
    return name


def _limits(call):
    names = quotas.names(call.context)
    limits = quotas.limits(call.context, names.values(), class_name=_name(call))
    return {name: limits[stored] for name, stored in names.items()}


def show(call):
    """Show the quotas of a class; what it does not say is as in the class ``default``."""
    return {'quota_class_set': {**_limits(call), 'id': _name(call)}}


def update(call):
    """Set quotas of a class; -1: no limit."""
    wanted = quota_sets.stored(call, call.body['quota_class_set'])
    quotas.set_class_limits(call.context, _name(call), wanted)
    return {'quota_class_set': _limits(call)}


# OPERATIONS

SHOW = Operation('quota_class_sets.show', policy=POLICY_GET, handler=show)
UPDATE = Operation('quota_class_sets.update', policy=POLICY_UPDATE, body=UPDATE_BODY,
                   handler=update)
