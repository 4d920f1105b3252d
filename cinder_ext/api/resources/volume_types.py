"""Volume types (types)."""
# SPDX-License-Identifier: Apache-2.0

from oslo_utils import strutils

from cinder_ext import exceptions
from cinder_ext.api import filters, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.db import listing, models, volume_types

POLICY_GET = 'volume_extension:type_get'
POLICY_LIST = 'volume_extension:type_get_all'
POLICY_CREATE = 'volume_extension:type_create'
POLICY_UPDATE = 'volume_extension:type_update'
POLICY_DELETE = 'volume_extension:type_delete'
POLICY_ACCESS = 'volume_extension:volume_type_access'
POLICY_SPECS = 'volume_extension:access_types_extra_specs'
POLICY_QOS = 'volume_extension:access_types_qos_specs_id'
POLICY_SENSITIVE = 'volume_extension:types_extra_specs:read_sensitive'

POLICIES = (
    rules.rule(POLICY_GET, rules.READER, 'Show a volume type.', 'GET /types/{type_id}'),
    rules.rule(POLICY_LIST, rules.READER, 'List the volume types.', 'GET /types'),
    rules.rule(POLICY_CREATE, rules.ADMIN, 'Add a volume type.', 'POST /types'),
    rules.rule(POLICY_UPDATE, rules.ADMIN, 'Change a volume type.', 'PUT /types/{type_id}'),
    rules.rule(POLICY_DELETE, rules.ADMIN, 'Remove a volume type.', 'DELETE /types/{type_id}'),
    rules.rule(POLICY_ACCESS, rules.READER, 'See whether a volume type is public.',
               'GET /types', 'GET /types/{type_id}'),
    rules.rule(POLICY_SPECS, rules.READER, 'See extra specs among the details of a volume type.',
               'GET /types', 'GET /types/{type_id}'),
    rules.rule(POLICY_QOS, rules.ADMIN, 'See the QoS specs of a volume type.',
               'GET /types', 'GET /types/{type_id}'),
    rules.rule(POLICY_SENSITIVE, rules.ADMIN, 'See every extra spec, and not only those that '
               'tell a user what a volume can do.', 'GET /types', 'GET /types/{type_id}',
               'GET /types/{type_id}/extra_specs', 'GET /types/{type_id}/extra_specs/{key}'),
)

USER_VISIBLE_SPECS = ('RESKEY:availability_zones', 'multiattach', 'replication_enabled')
"""Extra specs that everybody sees."""

# SCHEMAS

EXTRA_SPECS = {'type': 'object', 'additionalProperties': False,
               'patternProperties': {r'^[a-zA-Z0-9\-_:. ]{1,255}$': validation.TEXT}}
_DESCRIPTION = {'type': ['string', 'null'], 'maxLength': 255}

CREATE_BODY = validation.schemas({'3.0': validation.wrapped('volume_type', {
    'name': validation.NAME, 'description': _DESCRIPTION,
    'os-volume-type-access:is_public': validation.BOOLEAN,
    'extra_specs': {'oneOf': [{'type': 'null'}, EXTRA_SPECS]},
}, required=('name',))})
UPDATE_BODY = validation.schemas({'3.0': validation.wrapped('volume_type', {
    'name': {'oneOf': [{'type': 'null'}, validation.NAME]}, 'description': _DESCRIPTION,
    'is_public': {'oneOf': [{'type': 'null'}, validation.BOOLEAN]}})})

# view

SORTABLE = ('id', 'name', 'description', 'is_public', 'created_at', 'updated_at')


def _visibility(name, column, value):
    """``is_public`` of a list: true, false, or none for both."""
    if value.strip().lower() in ('none', 'null', ''):
        return []
    return [listing.Condition(column, 'eq', pagination.truth(name, value))]


FILTERS = {
    'is_public': filters.Filter('is_public', _visibility),
    'extra_specs': filters.pairs('extra_specs', since='3.52'),
}


def visible(call, specs):
    """Those of a type's extra specs that the caller may see."""
    if call.allowed(POLICY_SENSITIVE):
        return specs
    return {key: value for key, value in specs.items() if key in USER_VISIBLE_SPECS}


def view(call, row, specs):
    """A volume type.

    :param specs: its extra specs
    """
    shown = {'id': row.id, 'name': row.name, 'is_public': row.is_public,
             'description': row.description}
    if call.allowed(POLICY_SPECS):
        shown['extra_specs'] = visible(call, specs)
    if call.allowed(POLICY_QOS):
        shown['qos_specs_id'] = row.qos_specs_id
    if call.allowed(POLICY_ACCESS):
        shown['os-volume-type-access:is_public'] = row.is_public
    return shown


def _shown(call, row):
    return {'volume_type': view(call, row, volume_types.extra_specs(call.context, row.id))}


# handlers


def load(call):
    """The volume type of the path; a private one is for administrators."""
    return _for_caller(call, volume_types.get(call.context, call.path['type_id']))


def load_or_default(call):
    """As load; ``default`` is the configured default type."""
    if call.path['type_id'] != 'default':
        return load(call)
    name = call.conf.default_volume_type
    if name is None:
        raise exceptions.VolumeTypeNotFound('Default volume type can not be found.')
    return _for_caller(call, volume_types.get_by_name_or_id(call.context, name))


def _for_caller(call, row):
    if not row.is_public and not call.context.is_admin:
        raise exceptions.VolumeTypeNotFound(id=row.id)
    return row


def index(call):
    """List the volume types; administrators see private ones with ``is_public=none``.

    From 3.52 on ``extra_specs`` is a filter.
    """
    page = pagination.page(call, SORTABLE)
    rows = listing.rows(call.context, models.VolumeType, page, _conditions(call),
                        missing=exceptions.VolumeTypeNotFound,
                        metadata=(models.VolumeTypeExtraSpec, 'volume_type_id'))
    specs = volume_types.extra_specs_of(call.context, [row.id for row in rows])
    return pagination.body(call, 'volume_types', [view(call, row, specs[row.id]) for row in rows],
                           rows[-1].id if rows else None, page)


def _conditions(call):
    found = filters.conditions(call, FILTERS)
    if call.context.is_admin and 'is_public' in call.query:
        return found
    return [*(each for each in found if each.column != 'is_public'),
            listing.Condition('is_public', 'eq', True)]


def show(call):
    """Show a volume type; ``default`` shows the configured default type."""
    return _shown(call, call.target)


def create(call):
    """Add a volume type."""
    body = call.body['volume_type']
    is_public = body.get('os-volume-type-access:is_public', True)
    row = volume_types.create(call.context, {
        'name': body['name'].strip(), 'description': body.get('description'),
        'is_public': strutils.bool_from_string(is_public)}, body.get('extra_specs'))
    return _shown(call, row)


def update(call):
    """Change name, description or visibility of a volume type."""
    values = {key: value for key, value in call.body['volume_type'].items() if value is not None}
    if not values:
        raise exceptions.InvalidInput(
            reason='name, description, is_public or some of them must be given.')
    if 'name' in values:
        values['name'] = values['name'].strip()
    if 'is_public' in values:
        values['is_public'] = strutils.bool_from_string(values['is_public'])
    return _shown(call, volume_types.update(call.context, call.target.id, values))


def delete(call):
    """Remove a volume type that no volume has and that is not the default one."""
    if call.target.name == call.conf.default_volume_type:
        raise exceptions.InvalidState(
            kind='volume type', reason=f'{call.target.name} is the default volume type.')
    volume_types.delete(call.context, call.target.id)


# OPERATIONS

LIST = Operation('volume_types.list', policy=POLICY_LIST, handler=index)
SHOW = Operation('volume_types.show', target=load_or_default, policy=POLICY_GET, handler=show)
CREATE = Operation('volume_types.create', policy=POLICY_CREATE, body=CREATE_BODY, handler=create)
UPDATE = Operation('volume_types.update', target=load, policy=POLICY_UPDATE, body=UPDATE_BODY,
                   handler=update)
DELETE = Operation('volume_types.delete', target=load, policy=POLICY_DELETE, handler=delete,
                   success=202)
