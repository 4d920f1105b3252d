"""What a backend has that could become snapshots; managing it; letting snapshots go.

``/os-snapshot-manage`` is the older path of ``/manageable_snapshots``.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import manageable_volumes, snapshots
from cinder_ext.db import managed, volumes
from cinder_ext.db import snapshots as records

LIST_MANAGEABLE = 'snapshot_extension:list_manageable'
MANAGE = 'snapshot_extension:snapshot_manage'
UNMANAGE = 'snapshot_extension:snapshot_unmanage'

POLICIES = (
    rules.rule(LIST_MANAGEABLE, rules.ADMIN, 'List what could become snapshots.',
               'GET /manageable_snapshots', 'GET /manageable_snapshots/detail',
               'GET /os-snapshot-manage', 'GET /os-snapshot-manage/detail'),
    rules.rule(MANAGE, rules.ADMIN, 'Manage what a backend has.', 'POST /manageable_snapshots',
               'POST /os-snapshot-manage'),
    rules.rule(UNMANAGE, rules.ADMIN, 'Let a snapshot go.',
               'POST /snapshots/{snapshot_id}/action (os-unmanage)'),
)

# SCHEMAS

MANAGE_BODY = validation.schemas({'3.0': validation.wrapped('snapshot', {
    'name': validation.TEXT, 'description': validation.TEXT, 'volume_id': validation.UUID,
    'metadata': validation.OPTIONAL_METADATA, 'ref': manageable_volumes.REFERENCE},
    required=('ref', 'volume_id'))})
UNMANAGE_BODY = validation.schemas({'3.0': {}})
"""Clients send null or an empty object."""

# view

BRIEF = (*manageable_volumes.BRIEF, 'source_reference')
DETAILS = (*manageable_volumes.DETAILS, 'source_reference')

# handlers


def index(call):
    """List what a backend has that could become snapshots."""
    return _list(call, BRIEF)


def detail(call):
    """List it with details: why not, and whose it is."""
    return _list(call, DETAILS)


def _list(call, fields):
    return {'manageable-snapshots': manageable_volumes.entries(
        call, call.rpc.volume.get_manageable_snapshots, fields)}


def create(call):
    """Manage what a backend has: it becomes a snapshot of a volume that is named.

    The driver checks ``ref``: what cannot be managed ends in error with a user message.
    """
    body = call.body['snapshot']
    volume = volumes.get(call.context, body['volume_id'], call.scope)
    manageable_volumes.refuse_managed(call, body['ref'])
    manageable_volumes.service_of_volume(call, volume)
    row = managed.create_snapshot(
        call.context, {'volume_id': volume.id, 'name': body.get('name'),
                       'description': body.get('description')}, body.get('metadata'), body['ref'])
    call.tell(call.rpc.volume.manage_snapshot, volume.host, row.id)
    return {'snapshot': snapshots.summary(call, row, records.metadata(call.context, row.id))}


def unmanage(call):
    """Let a snapshot go: its record is removed, its content stays on the backend."""
    host = volumes.get(call.context, call.target.volume_id).host
    managed.begin_unmanage_snapshot(call.context, call.target.id)
    call.tell(call.rpc.volume.unmanage_snapshot, host, call.target.id)


# OPERATIONS

LIST = Operation('manageable_snapshots.list', policy=LIST_MANAGEABLE, handler=index, since='3.8')
LIST_DETAIL = Operation('manageable_snapshots.list_detail', policy=LIST_MANAGEABLE, handler=detail,
                        since='3.8')
CREATE = Operation('manageable_snapshots.create', policy=MANAGE, body=MANAGE_BODY, handler=create,
                   success=202, since='3.8')
OLD_LIST = Operation('os-snapshot-manage.list', policy=LIST_MANAGEABLE, handler=index)
OLD_LIST_DETAIL = Operation('os-snapshot-manage.list_detail', policy=LIST_MANAGEABLE,
                            handler=detail)
OLD_CREATE = Operation('os-snapshot-manage.create', policy=MANAGE, body=MANAGE_BODY,
                       handler=create, success=202)
ACTIONS = {
    'os-unmanage': Operation('manageable_snapshots.unmanage', target=snapshots.load,
                             policy=UNMANAGE, body=UNMANAGE_BODY, handler=unmanage, success=202),
}
