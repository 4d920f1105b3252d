"""Group types (group_types) and their group specs (group_types/{id}/group_specs)."""
# SPDX-License-Identifier: Apache-2.0

from oslo_utils import strutils

from cinder_ext import exceptions
from cinder_ext.api import filters, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import replication_specs
from cinder_ext.db import group_models, group_types, listing

SINCE = '3.11'

POLICY_CREATE = 'group:group_types:create'
POLICY_UPDATE = 'group:group_types:update'
POLICY_DELETE = 'group:group_types:delete'
POLICY_SEE_SPECS = 'group:access_group_types_specs'
POLICY_SPEC_GET = 'group:group_types_specs:get'
POLICY_SPEC_LIST = 'group:group_types_specs:get_all'
POLICY_SPEC_CREATE = 'group:group_types_specs:create'
POLICY_SPEC_UPDATE = 'group:group_types_specs:update'
POLICY_SPEC_DELETE = 'group:group_types_specs:delete'
POLICY_ANY = 'group:group_types:get'

_TYPE = '/group_types/{group_type_id}'
_SPEC = f'{_TYPE}/group_specs/{{key}}'
POLICIES = (
    # Upstream asks no policy of its own here: whoever has a token may read public group types.
    rules.rule(POLICY_ANY, rules.ANYBODY, 'List or show group types.', 'GET /group_types',
               f'GET {_TYPE}'),
    rules.rule(POLICY_CREATE, rules.ADMIN, 'Add a group type.', 'POST /group_types'),
    rules.rule(POLICY_UPDATE, rules.ADMIN, 'Change a group type.', f'PUT {_TYPE}'),
    rules.rule(POLICY_DELETE, rules.ADMIN, 'Remove a group type.', f'DELETE {_TYPE}'),
    rules.rule(POLICY_SEE_SPECS, rules.ADMIN, 'See group specs among the details of a group type.',
               'GET /group_types', f'GET {_TYPE}'),
    rules.rule(POLICY_SPEC_GET, rules.ADMIN, 'Show one group spec.', f'GET {_SPEC}'),
    rules.rule(POLICY_SPEC_LIST, rules.ADMIN, 'List group specs.', f'GET {_TYPE}/group_specs'),
    rules.rule(POLICY_SPEC_CREATE, rules.ADMIN, 'Add or change group specs.',
               f'POST {_TYPE}/group_specs'),
    rules.rule(POLICY_SPEC_UPDATE, rules.ADMIN, 'Change one group spec.', f'PUT {_SPEC}'),
    rules.rule(POLICY_SPEC_DELETE, rules.ADMIN, 'Remove one group spec.', f'DELETE {_SPEC}'),
)

# SCHEMAS

_SPECS = {'type': 'object', 'additionalProperties': False,
          'patternProperties': {r'^[a-zA-Z0-9\-_:. ]{1,255}\Z': validation.TEXT}}

CREATE_BODY = validation.schemas({SINCE: validation.wrapped('group_type', {
    'name': validation.NAME, 'description': validation.TEXT, 'is_public': validation.BOOLEAN,
    'group_specs': {'oneOf': [{'type': 'null'}, _SPECS]}}, required=('name',))})
UPDATE_BODY = validation.schemas({SINCE: validation.wrapped('group_type', {
    'name': validation.TEXT, 'description': validation.TEXT,
    'is_public': {'oneOf': [{'type': 'null'}, validation.BOOLEAN]}})})
SPECS_BODY = validation.schemas({SINCE: {
    'type': 'object', 'properties': {'group_specs': _SPECS}, 'required': ['group_specs'],
    'additionalProperties': False}})
SPEC_BODY = validation.schemas({SINCE: {**_SPECS, 'minProperties': 1, 'maxProperties': 1}})

# view

SORTABLE = ('id', 'name', 'description', 'is_public', 'created_at', 'updated_at')


def _visibility(name, column, value):
    """``is_public`` of a list: true, false, or none for both."""
    if value.strip().lower() in ('none', 'null', ''):
        return []
    return [listing.Condition(column, 'eq', pagination.truth(name, value))]


FILTERS = {'is_public': filters.Filter('is_public', _visibility)}


def view(call, row, specs):
    """A group type.

    :param specs: its group specs
    """
    shown = {'id': row.id, 'name': row.name, 'description': row.description,
             'is_public': row.is_public}
    if call.allowed(POLICY_SEE_SPECS):
        shown['group_specs'] = specs
    return shown


def _shown(call, row):
    return {'group_type': view(call, row, group_types.specs(call.context, row.id))}


# targets


def load(call):
    """The group type of the path; a private one is for administrators."""
    return visible(call, group_types.get(call.context, call.path['group_type_id']))


def load_or_default(call):
    """As load; ``default`` is the configured default group type."""
    if call.path['group_type_id'] != 'default':
        return load(call)
    name = call.conf.default_group_type
    if name is None:
        raise exceptions.GroupTypeNotFound('Default group type can not be found.')
    return visible(call, group_types.get_by_name(call.context, name))


def visible(call, row):
    """
    :raises GroupTypeNotFound: it is private and the caller no administrator
    """
    if not row.is_public and not call.context.is_admin:
        raise exceptions.GroupTypeNotFound(id=row.id)
    return row


# handlers


def index(call):
    """List the group types; administrators see private ones with ``is_public=none``."""
    page = pagination.page(call, SORTABLE)
    rows = listing.rows(call.context, group_models.GroupType, page, _conditions(call),
                        missing=exceptions.GroupTypeNotFound)
    specs = group_types.specs_of(call.context, [row.id for row in rows])
    return pagination.body(call, 'group_types', [view(call, row, specs[row.id]) for row in rows],
                           rows[-1].id if rows else None, page, links='group_type_links')


def _conditions(call):
    """Whose visibility is asked for; other filters are ignored at every version, as upstream."""
    if call.context.is_admin and 'is_public' in call.query:
        return FILTERS['is_public'].read('is_public', 'is_public', call.query['is_public'])
    return [listing.Condition('is_public', 'eq', True)]


def show(call):
    """Show a group type; ``default`` shows the configured default group type."""
    return _shown(call, call.target)


def create(call):
    """Add a group type."""
    body = call.body['group_type']
    replication_specs.refuse_bad(body.get('group_specs'), f"group type {body['name'].strip()}")
    row = group_types.create(call.context, {
        'name': body['name'].strip(), 'description': body.get('description'),
        'is_public': strutils.bool_from_string(body.get('is_public', True))},
        body.get('group_specs'))
    return _shown(call, row)


def update(call):
    """Change name, description or visibility of a group type."""
    values = {key: value for key, value in call.body['group_type'].items() if value is not None}
    if not values:
        raise exceptions.InvalidInput(
            reason='name, description, is_public or some of them must be given.')
    if 'name' in values:
        values['name'] = values['name'].strip()
        if not values['name']:
            raise exceptions.InvalidInput(reason='name: it cannot be empty.')
    if 'is_public' in values:
        values['is_public'] = strutils.bool_from_string(values['is_public'])
    return _shown(call, group_types.update(call.context, call.target.id, values))


def delete(call):
    """Remove a group type that no group has."""
    group_types.delete(call.context, call.target.id)


def list_specs(call):
    """List the group specs of a group type."""
    return {'group_specs': group_types.specs(call.context, call.target.id)}


def show_spec(call):
    """Show one group spec."""
    key, found = call.path['key'], group_types.specs(call.context, call.target.id)
    if key not in found:
        raise exceptions.GroupSpecNotFound(type_id=call.target.id, key=key)
    return {key: found[key]}


def merge_specs(call):
    """Add group specs, or change those that are there; the others stay."""
    _refuse_bad(call, call.body['group_specs'])
    group_types.set_specs(call.context, call.target.id, call.body['group_specs'])
    return call.body


def set_spec(call):
    """Add or change one group spec; the body names it once more."""
    if call.path['key'] not in call.body:
        raise exceptions.InvalidInput(reason='the request body and the URL name different keys.')
    _refuse_bad(call, call.body)
    group_types.set_specs(call.context, call.target.id, call.body)
    return call.body


def _refuse_bad(call, specs):
    replication_specs.refuse_bad(specs, f'group type {call.target.name}', lambda: (
        group_types.specs(call.context, call.target.id)))


def delete_spec(call):
    """Remove one group spec."""
    group_types.delete_spec(call.context, call.target.id, call.path['key'])


# OPERATIONS


def _of_type(name, policy, handler, body=None, success=200, target=load):
    return Operation(name, target=target, policy=policy, body=body, handler=handler,
                     success=success, since=SINCE)


LIST = Operation('group_types.list', policy=POLICY_ANY, handler=index, since=SINCE)
CREATE = Operation('group_types.create', policy=POLICY_CREATE, body=CREATE_BODY, handler=create,
                   success=202, since=SINCE)
SHOW = _of_type('group_types.show', POLICY_ANY, show, target=load_or_default)
UPDATE = _of_type('group_types.update', POLICY_UPDATE, update, UPDATE_BODY)
DELETE = _of_type('group_types.delete', POLICY_DELETE, delete, success=202)
SPECS_LIST = _of_type('group_specs.list', POLICY_SPEC_LIST, list_specs)
SPECS_MERGE = _of_type('group_specs.merge', POLICY_SPEC_CREATE, merge_specs, SPECS_BODY, 202)
SPECS_SHOW = _of_type('group_specs.show', POLICY_SPEC_GET, show_spec)
SPECS_SET = _of_type('group_specs.set', POLICY_SPEC_UPDATE, set_spec, SPEC_BODY)
SPECS_DELETE = _of_type('group_specs.delete', POLICY_SPEC_DELETE, delete_spec, success=202)
