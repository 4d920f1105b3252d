"""Properties of the image that a volume stands for, by POST volumes/{id}/action."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volumes as resource
from cinder_ext.db import volume_properties

SHOW = 'volume_extension:volume_image_metadata:show'
SET = 'volume_extension:volume_image_metadata:set'
REMOVE = 'volume_extension:volume_image_metadata:remove'

_CALL = 'POST /volumes/{{volume_id}}/action ({})'
POLICIES = (
    rules.rule(SHOW, rules.READER, 'See the image metadata of a volume.',
               'GET /volumes/{volume_id}', 'GET /volumes/detail',
               _CALL.format('os-show_image_metadata')),
    rules.rule(SET, rules.MEMBER, 'Set image metadata of a volume.',
               _CALL.format('os-set_image_metadata')),
    rules.rule(REMOVE, rules.MEMBER, 'Remove image metadata of a volume.',
               _CALL.format('os-unset_image_metadata')),
)

# SCHEMAS

METADATA = {'type': 'object', 'additionalProperties': False, 'patternProperties': {
    r'^[a-zA-Z0-9\-_:. /]{1,255}\Z': {'type': 'string', 'maxLength': 65535}}}

SHOW_BODY = validation.schemas({'3.0': {}})
SET_BODY = validation.schemas({'3.0': {
    'type': 'object', 'properties': {'metadata': METADATA}, 'required': ['metadata'],
    'additionalProperties': False}})
REMOVE_BODY = validation.schemas({'3.0': {
    'type': 'object', 'required': ['key'], 'additionalProperties': False,
    'properties': {'key': {'type': 'string', 'minLength': 1, 'maxLength': 255}}}})

# handlers


def show(call):
    """Show the image metadata of a volume."""
    return {'metadata': volume_properties.image(call.context, call.target.id)}


def put(call):
    """Add or change image metadata; other keys stay."""
    resource.refuse_maintenance(call)
    return {'metadata': volume_properties.set_image(call.context, call.target.id,
                                                    call.body['metadata'])}


def remove(call):
    """Remove one key of the image metadata."""
    resource.refuse_maintenance(call)
    volume_properties.drop_image(call.context, call.target.id, call.body['key'])


# OPERATIONS

ACTIONS = {
    'os-show_image_metadata': Operation(
        'volume_image_metadata.show', target=resource.load, policy=SHOW, body=SHOW_BODY,
        handler=show),
    'os-set_image_metadata': Operation(
        'volume_image_metadata.set', target=resource.load, policy=SET, body=SET_BODY, handler=put),
    'os-unset_image_metadata': Operation(
        'volume_image_metadata.remove', target=resource.load, policy=REMOVE, body=REMOVE_BODY,
        handler=remove),
}
