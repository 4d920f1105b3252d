"""Encryption of a volume type (types/{id}/encryption)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volume_types as resource
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import type_encryptions

POLICY = 'volume_extension:volume_type_encryption'
POLICY_GET = f'{POLICY}:get'
POLICY_CREATE = f'{POLICY}:create'
POLICY_UPDATE = f'{POLICY}:update'
POLICY_DELETE = f'{POLICY}:delete'

_ITEM = '/types/{type_id}/encryption/{key}'
POLICIES = (
    rules.rule(POLICY, rules.ADMIN, 'All of the encryption of volume types; not asked for itself, '
               'the four rules below it are.', 'GET /types/{type_id}/encryption'),
    rules.rule(POLICY_GET, rules.ADMIN, 'Show the encryption of a volume type.',
               'GET /types/{type_id}/encryption', f'GET {_ITEM}'),
    rules.rule(POLICY_CREATE, rules.ADMIN, 'Let the volumes of a type be encrypted.',
               'POST /types/{type_id}/encryption'),
    rules.rule(POLICY_UPDATE, rules.ADMIN, 'Change the encryption of a volume type.',
               f'PUT {_ITEM}'),
    rules.rule(POLICY_DELETE, rules.ADMIN, 'Remove the encryption of a volume type.',
               f'DELETE {_ITEM}'),
)

# SCHEMAS

_FIELDS = {
    'key_size': {'oneOf': [{'type': 'null'},
                           {'type': 'integer', 'minimum': 0, 'maximum': validation.MAX_INT},
                           {'type': 'string', 'pattern': r'^[0-9]{1,9}\Z'}]},
    'provider': {'type': 'string', 'maxLength': 255},
    'control_location': {'enum': ['front-end', 'back-end']},
    'cipher': validation.TEXT,
}
CREATE_BODY = validation.schemas({'3.0': validation.wrapped(
    'encryption', _FIELDS, required=('provider', 'control_location'), others=True)})
UPDATE_BODY = validation.schemas({'3.0': validation.wrapped('encryption', _FIELDS, others=True)})

# view


def view(row):
    """Everything about it; an empty object when there is none."""
    if row is None:
        return {}
    return {'volume_type_id': row.volume_type_id, 'encryption_id': row.encryption_id,
            **{name: getattr(row, name) for name in _FIELDS},
            'created_at': moment(row.created_at), 'updated_at': moment(row.updated_at),
            'deleted': False, 'deleted_at': None}


# handlers


def index(call):
    """Show the encryption of a volume type; an empty object when it has none."""
    return view(type_encryptions.get(call.context, call.target.id))


def show(call):
    """Show one of its fields."""
    key, found = call.path['key'], index(call)
    if key not in found:
        raise exceptions.EncryptionNotFound(type_id=call.target.id)
    return {key: found[key]}


def create(call):
    """Let the volumes of a type be encrypted; refused when there are some already."""
    values = _values(call)
    row = type_encryptions.create(call.context, call.target.id, values)
    return {'encryption': {**values, 'volume_type_id': row.volume_type_id,
                           'encryption_id': row.encryption_id}}


def update(call):
    """Change how volumes of a type are encrypted; refused when there are some."""
    values = _values(call)
    type_encryptions.update(call.context, call.target.id, values)
    return {'encryption': values}


def _values(call):
    found = {name: value for name, value in call.body['encryption'].items() if name in _FIELDS}
    if found.get('key_size') is not None:
        found['key_size'] = int(found['key_size'])
    return found


def delete(call):
    """Let the volumes of a type be plain; refused when there are some."""
    type_encryptions.delete(call.context, call.target.id)


# OPERATIONS

SHOW = Operation('type_encryption.show', target=resource.load, policy=POLICY_GET, handler=index)
SHOW_ITEM = Operation('type_encryption.show_item', target=resource.load, policy=POLICY_GET,
                      handler=show)
CREATE = Operation('type_encryption.create', target=resource.load, policy=POLICY_CREATE,
                   body=CREATE_BODY, handler=create)
UPDATE = Operation('type_encryption.update', target=resource.load, policy=POLICY_UPDATE,
                   body=UPDATE_BODY, handler=update)
DELETE = Operation('type_encryption.delete', target=resource.load, policy=POLICY_DELETE,
                   handler=delete, success=202)
