"""Quotas of projects (os-quota-sets): limits, what is used of them, defaults."""
# SPDX-License-Identifier: Apache-2.0

import types

from cinder_ext import exceptions
from cinder_ext.api import pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.db import quotas

POLICY_SHOW = 'volume_extension:quotas:show'
POLICY_UPDATE = 'volume_extension:quotas:update'
POLICY_DELETE = 'volume_extension:quotas:delete'

POLICIES = (
    rules.rule(POLICY_SHOW, rules.READER, 'Show the quotas of a project.',
               'GET /os-quota-sets/{project_id}', 'GET /os-quota-sets/{project_id}/defaults'),
    rules.rule(POLICY_UPDATE, rules.ADMIN, 'Set quotas of a project.',
               'PUT /os-quota-sets/{project_id}'),
    rules.rule(POLICY_DELETE, rules.ADMIN, 'Give a project the default quotas again.',
               'DELETE /os-quota-sets/{project_id}'),
)

NO_QUOTAS = ('id', 'tenant_id')
"""Words that may stand beside the limits, as an answer has them."""

# SCHEMAS

LIMIT = {'type': ['integer', 'string'], 'minimum': quotas.UNLIMITED, 'maximum': validation.MAX_INT,
         'pattern': r'^(-1|[0-9]{1,10})\Z'}
UPDATE_BODY = validation.schemas({'3.0': {
    'type': 'object', 'required': ['quota_set'], 'additionalProperties': False,
    'properties': {'quota_set': {
        'type': 'object', 'minProperties': 1,
        'properties': dict.fromkeys(NO_QUOTAS, {}), 'additionalProperties': LIMIT}}}})

# handlers


def load(call):
    """The project of the path; whether there is one is the identity service's business."""
    return types.SimpleNamespace(project_id=a_project(call.path['target_id']))


def a_project(word):
    """A word that can be the id of a project.

    :raises InvalidInput: it is empty or longer than its column
    """
    if not 1 <= len(word.strip()) <= len(word) <= 255:
        raise exceptions.InvalidInput(reason='a project id has 1 to 255 characters.')
    return word


def _names(call):
    """Resources on the wire -> in the database; of the types those that the caller may know."""
    return quotas.names(call.context, call.scope)


def show(call):
    """Show the quotas of a project; with ``usage=true`` also what is used of each."""
    project_id, names = call.target.project_id, _names(call)
    limits = quotas.limits(call.context, names.values(), project_id)
    shown = {name: limits[stored] for name, stored in names.items()}
    if pagination.truth('usage', call.query.get('usage', '0')):
        used = quotas.usage(call.context, project_id)
        shown = {name: {'limit': shown[name], 'in_use': used[stored], 'reserved': 0}
                 for name, stored in names.items()}
    return {'quota_set': {**shown, 'id': project_id}}


def defaults(call):
    """Show the quotas that a project has without its own."""
    return {'quota_set': {**_limits(call), 'id': call.target.project_id}}


def _limits(call, **whose):
    names = _names(call)
    limits = quotas.limits(call.context, names.values(), **whose)
    return {name: limits[stored] for name, stored in names.items()}


def update(call):
    """Set quotas of a project; -1: no limit.  One below what is used is refused."""
    project_id = call.target.project_id
    wanted = {name: limit for name, limit in call.body['quota_set'].items()
              if name not in NO_QUOTAS}
    quotas.set_limits(call.context, project_id, stored(call, wanted))
    return {'quota_set': _limits(call, project_id=project_id)}


def stored(call, wanted):
    """Limits of a body as the database has them.

    :raises InvalidInput: a resource or volume type that there is not, or a limit that is too large
    """
    names = quotas.names(call.context)
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise exceptions.InvalidInput(
            reason=f"no such quotas: {', '.join(unknown)[:255]}.")
    limits = {names[name]: int(limit) for name, limit in wanted.items()}
    if max(limits.values(), default=0) > validation.MAX_INT:
        raise exceptions.InvalidInput(reason=f'a quota is at most {validation.MAX_INT}.')
    return limits


def delete(call):
    """Give a project the default quotas again."""
    quotas.forget_limits(call.context, call.target.project_id)


# OPERATIONS

SHOW = Operation('quota_sets.show', target=load, policy=POLICY_SHOW, handler=show)
DEFAULTS = Operation('quota_sets.defaults', target=load, policy=POLICY_SHOW, handler=defaults)
UPDATE = Operation('quota_sets.update', target=load, policy=POLICY_UPDATE, body=UPDATE_BODY,
                   handler=update)
DELETE = Operation('quota_sets.delete', target=load, policy=POLICY_DELETE, handler=delete)
