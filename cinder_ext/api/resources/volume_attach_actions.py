"""Attaching by POST volumes/{id}/action: how consumers did it before attachments (3.27)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import detachment, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volumes as resource
from cinder_ext.db import attach_requests, attachments, volumes
from cinder_ext.states import volume as volume_states

ACTION = 'volume_extension:volume_actions:{}'
READONLY = 'volume:update_readonly_flag'
FORCE_DETACH = 'volume_extension:volume_admin_actions:force_detach'

_CALL = 'POST /volumes/{{volume_id}}/action ({})'
POLICIES = (
    *(rules.rule(ACTION.format(name), rules.MEMBER, description, _CALL.format(f'os-{name}'))
      for name, description in (
          ('attach', 'Note that a volume is attached.'),
          ('detach', 'Note that a volume is detached.'),
          ('reserve', 'Keep a volume for a consumer.'),
          ('unreserve', 'Undo a reservation.'),
          ('begin_detaching', 'Say that a volume is about to be detached.'),
          ('roll_detaching', 'Say that a volume stays attached after all.'),
          ('initialize_connection', 'Connect a volume to a host.'),
          ('terminate_connection', 'Disconnect a volume from a host.'))),
    rules.rule(READONLY, rules.MEMBER, 'Say whether a volume may only be read.',
               _CALL.format('os-update_readonly_flag')),
    rules.rule(FORCE_DETACH, rules.ADMIN, 'Disconnect and detach a volume.',
               _CALL.format('os-force_detach')),
)

# SCHEMAS: of what stands under the action's name


def _object(properties, **more):
    return {'type': 'object', 'properties': properties, 'additionalProperties': False, **more}


# What is looked at is checked; the rest of a connector is the driver's.
_CONNECTOR = {'type': 'object', 'properties': {
    'host': {'type': 'string', 'maxLength': 255}, 'enforce_multipath': validation.BOOLEAN}}
_OPTIONAL_CONNECTOR = {**_CONNECTOR, 'type': ['object', 'null']}

ATTACH_BODY = validation.schemas({'3.0': _object({
    'instance_uuid': {**validation.UUID, 'maxLength': 36},
    'mountpoint': {'type': 'string', 'minLength': 1, 'maxLength': 255},
    'host_name': {'type': 'string', 'maxLength': 255},
    'mode': {'type': 'string', 'enum': ['rw', 'ro']}},
    required=['mountpoint'], anyOf=[{'required': ['instance_uuid']}, {'required': ['host_name']}])})
DETACH_BODY = validation.schemas({'3.0': _object(
    {'attachment_id': validation.OPTIONAL_UUID}, type=['object', 'null'])})
ANY_BODY = validation.schemas({'3.0': {}})
"""Clients send null, an empty text or an empty object."""
CONNECT_BODY = validation.schemas({'3.0': _object({'connector': _CONNECTOR},
                                                  required=['connector'])})
DISCONNECT_BODY = validation.schemas({'3.0': _object({'connector': _OPTIONAL_CONNECTOR},
                                                     required=['connector'])})
FORCE_DETACH_BODY = validation.schemas({'3.0': _object(
    {'connector': _OPTIONAL_CONNECTOR, 'attachment_id': validation.TEXT})})
READONLY_BODY = validation.schemas({'3.0': _object({'readonly': validation.BOOLEAN},
                                                   required=['readonly'])})

# handlers


def attach(call):
    """Note that a server or a host has attached the volume: it is in use."""
    body = call.body
    consumer = {'instance_id': body.get('instance_uuid'), 'attached_host': body.get('host_name')}
    attach_requests.attach(call.context, call.target.id, consumer, body['mountpoint'],
                           body.get('mode', 'rw'))


def detach(call):
    """Note that a consumer has let the volume go."""
    _detach(call, (call.body or {}).get('attachment_id'))


def _detach(call, attachment_id):
    volume = call.target
    if volume.status == volume_states.MAINTENANCE:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume.id} cannot be detached during maintenance.')
    found = attach_requests.chosen(call.context, volume.id, attachment_id, call.scope)
    detachment.refuse_if_used(call, found)
    if found is None:
        attachments.settle(call.context, volume.id)
        return
    remove(call, found)


def remove(call, attachment):
    """Remove an attachment, and have the backend disconnect what it had connected for it.

    :returns: the volume's remaining attachments
    """
    # As it is now: it may have been connected since the request was let in.
    before = attachments.begin_detach(call.context, attachment.id)
    if before.connector:
        call.ask(call.rpc.volume.disconnect_attachment,
                 volumes.get(call.context, before.volume_id).host, before.id)
    return attachments.detached(call.context, before.id)


def reserve(call):
    """Keep the volume for a consumer that will attach it."""
    attach_requests.reserve(call.context, call.target.id)


def unreserve(call):
    """Undo a reservation; without one nothing happens."""
    attach_requests.unreserve(call.context, call.target.id)


def begin_detaching(call):
    """Say that the volume is about to be detached."""
    attach_requests.begin_detaching(call.context, call.target.id)


def roll_detaching(call):
    """Say that the volume stays attached after all."""
    attach_requests.roll_detaching(call.context, call.target.id)


def initialize_connection(call):
    """Connect the volume to a host and answer how to reach it."""
    volumes.hold(call.context, call.target.id, 'be connected', attach_requests.CONNECTABLE)
    return {'connection_info': call.ask(call.rpc.volume.initialize_connection, call.target.host,
                                        call.target.id, call.body['connector'])}


def terminate_connection(call):
    """Disconnect the volume from a host."""
    detachment.refuse_if_any_used(call, call.target.id)
    _disconnect(call)


def _disconnect(call):
    call.ask(call.rpc.volume.terminate_connection, call.target.host, call.target.id,
             call.body.get('connector') or {})
    attach_requests.unreserve(call.context, call.target.id)


def force_detach(call):
    """Disconnect the volume and remove an attachment, after a detach that went wrong."""
    attachment_id = call.body.get('attachment_id')
    found = attach_requests.chosen(call.context, call.target.id, attachment_id,
                                   call.scope)
    detachment.refuse_if_used(call, found)
    _disconnect(call)
    _detach(call, attachment_id)


def update_readonly_flag(call):
    """Say whether consumers may only read the volume."""
    attach_requests.set_readonly(call.context, call.target.id,
                                 pagination.truth('readonly', str(call.body['readonly'])))


# OPERATIONS


def _action(name, handler, body, policy=None, success=202):
    return Operation(f'volume_actions.{name}', target=resource.load, body=body, handler=handler,
                     policy=policy or ACTION.format(name), success=success)


ACTIONS = {
    'os-attach': _action('attach', attach, ATTACH_BODY),
    'os-detach': _action('detach', detach, DETACH_BODY),
    'os-reserve': _action('reserve', reserve, ANY_BODY),
    'os-unreserve': _action('unreserve', unreserve, ANY_BODY),
    'os-begin_detaching': _action('begin_detaching', begin_detaching, ANY_BODY),
    'os-roll_detaching': _action('roll_detaching', roll_detaching, ANY_BODY),
    'os-initialize_connection': _action('initialize_connection', initialize_connection,
                                        CONNECT_BODY, success=200),
    'os-terminate_connection': _action('terminate_connection', terminate_connection,
                                       DISCONNECT_BODY),
    'os-force_detach': _action('force_detach', force_detach, FORCE_DETACH_BODY, FORCE_DETACH),
    'os-update_readonly_flag': _action('update_readonly_flag', update_readonly_flag,
                                       READONLY_BODY, READONLY),
}
