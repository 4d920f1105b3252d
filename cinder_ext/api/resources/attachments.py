"""Attachments: a consumer reserves a volume, connects, says that it is done, lets go."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import detachment, filters, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volume_attach_actions
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import attachments, listing, models, volumes
from cinder_ext.states import attachment as states

POLICY_GET = 'volume:attachment_get'
POLICY_CREATE = 'volume:attachment_create'
POLICY_UPDATE = 'volume:attachment_update'
POLICY_DELETE = 'volume:attachment_delete'
POLICY_COMPLETE = 'volume:attachment_complete'
POLICY_BOOTABLE = 'volume:multiattach_bootable_volume'

POLICIES = (
    rules.rule(POLICY_GET, rules.READER, 'List and show attachments.', 'GET /attachments',
               'GET /attachments/detail', 'GET /attachments/{attachment_id}'),
    rules.rule(POLICY_CREATE, rules.MEMBER, 'Reserve or connect a volume.', 'POST /attachments'),
    rules.rule(POLICY_UPDATE, rules.MEMBER, 'Connect a reserved volume.',
               'PUT /attachments/{attachment_id}'),
    rules.rule(POLICY_DELETE, rules.MEMBER, 'Let a volume go.',
               'DELETE /attachments/{attachment_id}'),
    rules.rule(POLICY_COMPLETE, rules.MEMBER, 'Say that a volume is attached.',
               'POST /attachments/{attachment_id}/action (os-complete)'),
    rules.rule(POLICY_BOOTABLE, rules.MEMBER, 'Attach a bootable volume that is in use once more.',
               'POST /attachments'),
)

# SCHEMAS

# What becomes a column is checked; the rest of a connector is the driver's.
_CONNECTOR = {'type': 'object', 'properties': {
    'host': {'type': 'string', 'minLength': 1, 'maxLength': 255},
    'mountpoint': validation.TEXT, 'mode': {'enum': [None, 'rw', 'ro']}}}
_CREATE = {'volume_uuid': validation.UUID,
           'instance_uuid': {**validation.OPTIONAL_UUID, 'maxLength': 36},
           'connector': {**_CONNECTOR, 'type': ['object', 'null']}}
_MODE = {'mode': {'enum': ['rw', 'ro']}}

CREATE_BODY = validation.schemas({
    '3.27': validation.wrapped('attachment', _CREATE, required=('volume_uuid',)),
    '3.54': validation.wrapped('attachment', {**_CREATE, **_MODE}, required=('volume_uuid',)),
})
UPDATE_BODY = validation.schemas({'3.27': validation.wrapped(
    'attachment', {'connector': {**_CONNECTOR, 'minProperties': 1}},
    required=('connector',))})
COMPLETE_BODY = validation.schemas({'3.44': {}})
"""Clients send null, an empty text or an empty object."""

# view

SORTABLE = ('id', 'volume_id', 'instance_id', 'attach_status', 'attached_at', 'detached_at',
            'created_at', 'updated_at')
ALIASES = {'status': 'attach_status', 'instance_uuid': 'instance_id'}

FILTERS = {
    'volume_id': filters.text('volume_id'),
    'instance_id': filters.text('instance_id'),
    'status': filters.text('attach_status'),
    'attach_status': filters.text('attach_status'),
}


def summary(row):
    """An attachment in a list without details."""
    return {'id': row.id, 'status': row.attach_status, 'instance': row.instance_id,
            'volume_id': row.volume_id}


def view(row):
    """An attachment in full."""
    return {**summary(row), 'attached_at': moment(row.attached_at) or '',
            'detached_at': moment(row.detached_at) or '', 'attach_mode': row.attach_mode or 'null',
            'connection_info': _connection(row)}


def _connection(row):
    """How the consumer reaches the volume: os-brick's data beside the kind of driver."""
    info = dict(row.connection_info or {})
    if not info:
        return {}
    return {**info, **info.pop('data', {}), 'attachment_id': row.id}


# handlers


def load(call):
    """The attachment of the path, if the caller may know of it."""
    return attachments.get(call.context, call.path['attachment_id'], call.scope)


def index(call):
    """List the attachments."""
    return _list(call, summary)


def detail(call):
    """List the attachments with details."""
    return _list(call, view)


def _list(call, shape):
    page = pagination.page(call, SORTABLE, aliases=ALIASES)
    project_id = None if pagination.wants_all_projects(call) else call.context.project_id
    wanted = filters.conditions(call, FILTERS, 'attachment')
    rows = listing.rows(call.context, models.Attachment, page, wanted, project_id,
                        missing=exceptions.AttachmentNotFound)
    return pagination.body(call, 'attachments', [shape(row) for row in rows],
                           rows[-1].id if rows else None, page)


def show(call):
    """Show an attachment."""
    return {'attachment': view(call.target)}


def create(call):
    """Reserve a volume; with a connector, connect it too and answer how to reach it.

    A request with a connector that is repeated, since its answer was lost, finds its attachment.
    """
    body = call.body['attachment']
    volume = volumes.get(call.context, body['volume_uuid'], call.scope)
    if volume.multiattach and volume.bootable and volume.status == 'in-use':
        call.authorize(POLICY_BOOTABLE, volume)
    server_id, connector = body.get('instance_uuid'), body.get('connector')
    if connector:
        before = attachments.repeated(call.context, volume.id, server_id, connector)
        if before is not None:
            return {'attachment': view(_connect(call, before, connector))}
    row = attachments.reserve(call.context, volume.id, server_id, body.get('mode'))
    if connector:
        row = _connect_or_let_go(call, row, connector)
    return {'attachment': view(row)}


def _connect_or_let_go(call, row, connector):
    """Connect a new attachment; the caller never learns the id of one that could not be."""
    try:
        return _connect(call, row, connector)
    except exceptions.CinderExtError:
        # It may have been connected after all: then the volume service disconnects it, as soon as
        # it can.
        before = attachments.begin_detach(call.context, row.id)
        if before.attach_status == states.RESERVED:
            attachments.detached(call.context, row.id)
        else:
            call.tell(call.rpc.volume.discard_attachment,
                      volumes.get(call.context, row.volume_id).host, row.id)
        raise


def _connect(call, row, connector):
    host = volumes.get(call.context, row.volume_id).host
    attachments.connect(call.context, row.id, connector)
    call.ask(call.rpc.volume.connect_attachment, host, row.id)
    return attachments.get(call.context, row.id)


def update(call):
    """Connect a reserved volume and answer how to reach it.

    What was connected to another host leaves that: refused as a removal is.
    """
    connector = call.body['attachment']['connector']
    if call.target.connector and call.target.attached_host != connector.get('host'):
        detachment.refuse_if_used(call, call.target)
    volume = volumes.get(call.context, call.target.volume_id)
    if 'error' in volume.status:
        raise exceptions.Conflict(
            f'volume {volume.id} is in status {volume.status}: its attachments cannot be updated.')
    return {'attachment': view(_connect(call, call.target, connector))}


def complete(call):
    """Take note that the consumer has attached the volume: it is in use."""
    attachments.complete(call.context, call.target.id)


def delete(call):
    """Disconnect the consumer; the answer lists the volume's other attachments.

    Refused while a server uses it, unless a service asks.  Of one that is gone: 404, which the
    compute service takes for a success.
    """
    detachment.refuse_if_used(call, call.target)
    remaining = volume_attach_actions.remove(call, call.target)
    return {'attachments': [summary(each) for each in remaining]}


# OPERATIONS

LIST = Operation('attachments.list', policy=POLICY_GET, handler=index, since='3.27')
LIST_DETAIL = Operation('attachments.list_detail', policy=POLICY_GET, handler=detail, since='3.27')
SHOW = Operation('attachments.show', target=load, policy=POLICY_GET, handler=show, since='3.27')
CREATE = Operation('attachments.create', policy=POLICY_CREATE, body=CREATE_BODY, handler=create,
                   since='3.27')
UPDATE = Operation('attachments.update', target=load, policy=POLICY_UPDATE, body=UPDATE_BODY,
                   handler=update, since='3.27')
DELETE = Operation('attachments.delete', target=load, policy=POLICY_DELETE, handler=delete,
                   since='3.27')
ACTIONS = {
    'os-complete': Operation('attachments.os-complete', target=load, policy=POLICY_COMPLETE,
                             body=COMPLETE_BODY, handler=complete, success=204, since='3.44'),
}
