"""Volume types (types)."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from oslo_utils import strutils

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import replication_specs
from cinder_ext.db import default_types, listing, models, volume_types

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
    rules.rule(POLICY_ACCESS, rules.MEMBER, 'See whether a volume type is public.',
               'GET /types', 'GET /types/{type_id}', 'POST /types'),
    rules.rule(POLICY_SPECS, rules.READER, 'See extra specs among the details of a volume type.',
               'GET /types', 'GET /types/{type_id}'),
    rules.rule(POLICY_QOS, rules.ADMIN, 'See the QoS specs of a volume type.',
               'GET /types', 'GET /types/{type_id}'),
    rules.rule(POLICY_SENSITIVE, rules.ADMIN, 'See every extra spec, and not only those that '
               'tell a user what a volume can do.', 'GET /types', 'GET /types/{type_id}',
               'GET /types/{type_id}/extra_specs', 'GET /types/{type_id}/extra_specs/{key}'),
)

ZONES = 'RESKEY:availability_zones'
"""Extra spec with the zones, separated by commas, in which a type's volumes may be."""

USER_VISIBLE_SPECS = (ZONES, 'multiattach', 'replication_enabled')
"""Extra specs that everybody sees."""

# SCHEMAS

_PREFIX = 'os-volume-type-access:'
_ACCESS = f'{_PREFIX}is_public'
_OPTIONAL_BOOLEAN = {'oneOf': [{'type': 'null'}, validation.BOOLEAN]}
EXTRA_SPECS = {'type': 'object', 'additionalProperties': False,
               'patternProperties': {r'^[a-zA-Z0-9\-_:.]{1,255}\Z': validation.TEXT}}
_FIRST_SPECS = {'type': 'object', 'additionalProperties': False,
                'patternProperties': {r'^[a-zA-Z0-9\-_:. /]{1,255}\Z': validation.TEXT}}
_DESCRIPTION = {'type': ['string', 'null'], 'maxLength': 255}

CREATE_BODY = validation.schemas({'3.0': validation.wrapped('volume_type', {
    'name': validation.NAME, 'description': _DESCRIPTION,
    _ACCESS: validation.BOOLEAN,
    'extra_specs': {'oneOf': [{'type': 'null'}, _FIRST_SPECS]},
}, required=('name',))})
UPDATE_BODY = validation.schemas({'3.0': validation.wrapped('volume_type', {
    'name': {'oneOf': [{'type': 'null'}, validation.NAME]}, 'description': _DESCRIPTION,
    'is_public': _OPTIONAL_BOOLEAN, _ACCESS: _OPTIONAL_BOOLEAN})})
"""openstacksdk names the visibility as answers do."""

# view

SORTABLE = ('id', 'name', 'description', 'is_public', 'created_at', 'updated_at')


def _visibility(name, column, value):
    """``is_public`` of a list: true, false, or none for both."""
    if value.strip().lower() in ('none', 'null', ''):
        return []
    return [listing.Condition(column, 'eq', pagination.truth(name, value))]


def _specs(name, column, value):
    """Extra specs that a type has; of availability zones one may be named of several."""
    return [dataclasses.replace(each, comparison='has like') if each.value[0] == ZONES else each
            for each in filters.pairs(column).read(name, column, value)]


FILTERS = {
    'is_public': filters.Filter('is_public', _visibility),
    'extra_specs': filters.Filter('extra_specs', _specs, since='3.52',
                                  tables=((models.VolumeTypeExtraSpec, 'volume_type_id'),)),
    'name': filters.text('name', admin=True),
    'description': filters.text('description', admin=True),
    'id': filters.text('id', admin=True),
}

UNKNOWN = microversion.ByVersion({'3.0': 'ignored', '3.52': 'refused'})


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
        shown[_ACCESS] = row.is_public
    return shown


def _shown(call, row):
    return {'volume_type': view(call, row, volume_types.extra_specs(call.context, row.id))}


def _managed(call, row):
    """What an administrator sees of a type that was just made or changed."""
    return {'id': row.id, 'name': row.name, 'is_public': row.is_public,
            'description': row.description,
            'extra_specs': volume_types.extra_specs(call.context, row.id)}


# handlers


def load(call):
    """The volume type of the path, if the caller may use it."""
    return volume_types.get(call.context, call.path['type_id'], call.scope)


def load_or_default(call):
    """As load; ``default`` is the type of volumes for which none is named."""
    if call.path['type_id'] != 'default':
        return load(call)
    row = default_types.effective(call.context, call.context.project_id,
                                  call.conf.default_volume_type)
    if row is None:
        raise exceptions.VolumeTypeNotFound('Default volume type can not be found.')
    return row


def chosen(call, name, origin):
    """The type that a new volume gets.

    :param name: name or id that was asked for, or None
    :param origin: row of the snapshot or volume that it is made from, or None
    :returns: (models.VolumeType, extra specs); (None, {}) for no type
    :raises VolumeTypeNotFound: there is none that the caller may use
    """
    name = name or getattr(origin, 'volume_type_id', None)
    if name:
        row = volume_types.get_by_name_or_id(call.context, name, call.scope)
    else:
        row = default_types.effective(call.context, call.context.project_id,
                                      call.conf.default_volume_type)
    return row, volume_types.extra_specs(call.context, row.id) if row is not None else {}


def index(call):
    """List the volume types that the caller may use.

    Administrators see private ones with ``is_public=none``.  From 3.52 on ``extra_specs`` is a
    filter.
    """
    page = pagination.page(call, SORTABLE)
    rows = listing.rows(call.context, models.VolumeType, page, _conditions(call),
                        missing=exceptions.VolumeTypeNotFound)
    specs = volume_types.extra_specs_of(call.context, [row.id for row in rows])
    return pagination.body(call, 'volume_types', [view(call, row, specs[row.id]) for row in rows],
                           rows[-1].id if rows else None, page, links='volume_type_links')


def _conditions(call):
    """Private types that the caller's project may use are among the public ones."""
    found = filters.conditions(call, FILTERS, 'volume_type', UNKNOWN)
    asked = [each for each in found if each.column == 'is_public']
    found = [each for each in found if each.column != 'is_public']
    if call.context.is_admin and 'is_public' in call.query and not any(
            each.value for each in asked):
        return [*found, *asked]
    return [*found, volume_types.usable_by(call.context.project_id)]


def show(call):
    """Show a volume type; ``default`` shows the configured default type."""
    return _shown(call, call.target)


def create(call):
    """Add a volume type."""
    body = call.body['volume_type']
    is_public = body.get(_ACCESS, True)
    replication_specs.refuse_bad(body.get('extra_specs'), f"volume type {body['name'].strip()}")
    row = volume_types.create(call.context, {
        'name': body['name'].strip(), 'description': body.get('description'),
        'is_public': strutils.bool_from_string(is_public)}, body.get('extra_specs'))
    shown = _managed(call, row)
    if call.allowed(POLICY_ACCESS):
        shown[_ACCESS] = row.is_public
    return {'volume_type': shown}


def update(call):
    """Change name, description or visibility of a volume type."""
    values = {key.removeprefix(_PREFIX): value
              for key, value in call.body['volume_type'].items() if value is not None}
    if not values:
        raise exceptions.InvalidInput(
            reason='name, description, is_public or some of them must be given.')
    if 'name' in values:
        values['name'] = values['name'].strip()
    if 'is_public' in values:
        values['is_public'] = strutils.bool_from_string(values['is_public'])
    return {'volume_type': _managed(call, volume_types.update(call.context, call.target.id,
                                                              values))}


def delete(call):
    """Remove a volume type that nothing has and that is not a default one."""
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
