"""Quality of service: limits with a name, and the volume types that have them (qos-specs)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import filters, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.db import listing, qos_specs, type_models

POLICY_LIST = 'volume_extension:qos_specs_manage:get_all'
POLICY_GET = 'volume_extension:qos_specs_manage:get'
POLICY_CREATE = 'volume_extension:qos_specs_manage:create'
POLICY_UPDATE = 'volume_extension:qos_specs_manage:update'
POLICY_DELETE = 'volume_extension:qos_specs_manage:delete'

POLICIES = (
    rules.rule(POLICY_LIST, rules.ADMIN, 'List QoS specs, or the volume types that have some.',
               'GET /qos-specs', 'GET /qos-specs/{qos_id}/associations'),
    rules.rule(POLICY_GET, rules.ADMIN, 'Show QoS specs.', 'GET /qos-specs/{qos_id}'),
    rules.rule(POLICY_CREATE, rules.ADMIN, 'Add QoS specs.', 'POST /qos-specs'),
    rules.rule(POLICY_UPDATE, rules.ADMIN, 'Change QoS specs, or which volume types have them.',
               'PUT /qos-specs/{qos_id}', 'GET /qos-specs/{qos_id}/associate',
               'GET /qos-specs/{qos_id}/disassociate', 'GET /qos-specs/{qos_id}/disassociate_all'),
    rules.rule(POLICY_DELETE, rules.ADMIN, 'Remove QoS specs, or some keys of them.',
               'DELETE /qos-specs/{qos_id}', 'PUT /qos-specs/{qos_id}/delete_keys'),
)

DEFAULT_CONSUMER = 'back-end'

# SCHEMAS

_CONSUMER = {'consumer': {'enum': ['front-end', 'back-end', 'both']}}
_KEYS = {'minLength': 1, 'maxLength': 255}

CREATE_BODY = validation.schemas({'3.0': {
    'type': 'object', 'required': ['qos_specs'], 'additionalProperties': False,
    'properties': {'qos_specs': {
        'type': 'object', 'required': ['name'], 'propertyNames': _KEYS,
        'properties': {'name': validation.NAME, **_CONSUMER},
        'additionalProperties': validation.TEXT}}}})
UPDATE_BODY = validation.schemas({'3.0': {
    'type': 'object', 'required': ['qos_specs'], 'additionalProperties': False,
    'properties': {'qos_specs': {
        'type': 'object', 'properties': _CONSUMER, 'additionalProperties': False,
        'patternProperties': {r'^[a-zA-Z0-9\-_:. /]{1,255}\Z': validation.TEXT}}}}})
KEYS_BODY = validation.schemas({'3.0': {
    'type': 'object', 'required': ['keys'], 'additionalProperties': False,
    'properties': {'keys': {'type': 'array', 'uniqueItems': True,
                            'items': {'type': 'string', **_KEYS}}}}})

# view

SORTABLE = ('id', 'name', 'consumer', 'created_at', 'updated_at')
FILTERS = {name: filters.text(name, admin=True) for name in ('id', 'name', 'consumer')}


def view(row, values):
    return {'id': row.id, 'name': row.name, 'consumer': row.consumer, 'specs': values}


def _shown(call, row):
    values = qos_specs.values_of(call.context, [row.id])[row.id]
    return {'qos_specs': view(row, values),
            'links': call.links.of(call.context, 'qos-specs', row.id)}


# handlers


def load(call):
    """The QoS specs of the path; who may not know of any is told so whatever the id is."""
    call.authorize(call.operation.policy)
    return qos_specs.get(call.context, call.path['qos_id'])


def index(call):
    """List QoS specs."""
    page = pagination.page(call, SORTABLE)
    rows = listing.rows(call.context, type_models.QosSpecs, page,
                        filters.conditions(call, FILTERS), missing=exceptions.QosSpecsNotFound)
    values = qos_specs.values_of(call.context, [row.id for row in rows])
    return pagination.body(call, 'qos_specs', [view(row, values[row.id]) for row in rows],
                           rows[-1].id if rows else None, page)


def show(call):
    """Show QoS specs."""
    return _shown(call, call.target)


def create(call):
    """Add QoS specs; every word but ``name`` and ``consumer`` is a limit."""
    values = dict(call.body['qos_specs'])
    name, consumer = values.pop('name').strip(), values.pop('consumer', DEFAULT_CONSUMER)
    return _shown(call, qos_specs.create(call.context, name, consumer, values))


def update(call):
    """Add limits, or change those that are there; the others stay."""
    values = dict(call.body['qos_specs'])
    qos_specs.update(call.context, call.target.id, values, values.pop('consumer', None))
    return call.body


def delete(call):
    """Remove QoS specs; with force=true also when volume types have them."""
    qos_specs.delete(call.context, call.target.id,
                     pagination.truth('force', call.query.get('force', '0')))


def delete_keys(call):
    """Remove some limits."""
    qos_specs.delete_keys(call.context, call.target.id, call.body['keys'])


def associations(call):
    """List the volume types that have the QoS specs."""
    return {'qos_associations': [
        {'association_type': 'volume_type', 'name': row.name, 'id': row.id}
        for row in qos_specs.associations(call.context, call.target.id)]}


def associate(call):
    """Let the volume type that ``vol_type_id`` names have the QoS specs."""
    qos_specs.associate(call.context, call.target.id, _type_id(call))


def disassociate(call):
    """Let the volume type that ``vol_type_id`` names have the QoS specs no longer."""
    qos_specs.disassociate(call.context, call.target.id, _type_id(call))


def disassociate_all(call):
    """Let no volume type have the QoS specs."""
    qos_specs.disassociate_all(call.context, call.target.id)


def _type_id(call):
    found = call.query.get('vol_type_id')
    if not found:
        raise exceptions.InvalidInput(reason='vol_type_id: a volume type must be named.')
    return found


# OPERATIONS

LIST = Operation('qos_specs.list', policy=POLICY_LIST, handler=index)
SHOW = Operation('qos_specs.show', target=load, policy=POLICY_GET, handler=show)
CREATE = Operation('qos_specs.create', policy=POLICY_CREATE, body=CREATE_BODY, handler=create)
UPDATE = Operation('qos_specs.update', target=load, policy=POLICY_UPDATE, body=UPDATE_BODY,
                   handler=update)
DELETE = Operation('qos_specs.delete', target=load, policy=POLICY_DELETE, handler=delete,
                   success=202)
DELETE_KEYS = Operation('qos_specs.delete_keys', target=load, policy=POLICY_DELETE,
                        body=KEYS_BODY, handler=delete_keys, success=202)
ASSOCIATIONS = Operation('qos_specs.associations', target=load, policy=POLICY_LIST,
                         handler=associations)
ASSOCIATE = Operation('qos_specs.associate', target=load, policy=POLICY_UPDATE,
                      handler=associate, success=202)
DISASSOCIATE = Operation('qos_specs.disassociate', target=load, policy=POLICY_UPDATE,
                         handler=disassociate, success=202)
DISASSOCIATE_ALL = Operation('qos_specs.disassociate_all', target=load, policy=POLICY_UPDATE,
                             handler=disassociate_all, success=202)
