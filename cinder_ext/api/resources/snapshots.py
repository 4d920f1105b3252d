"""Snapshots, and the actions on them."""
# SPDX-License-Identifier: Apache-2.0

from oslo_utils import strutils

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules, validation
from cinder_ext.api.operation import MIGRATING, Operation
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import (
    assisted_reports,
    listing,
    models,
    snapshots,
    volume_requests,
    volumes,
)
from cinder_ext.states import assisted
from cinder_ext.states import snapshot as states

POLICY_LIST = 'volume:get_all_snapshots'
POLICY_EXTENDED = 'volume_extension:extended_snapshot_attributes'
POLICY_CREATE = 'volume:create_snapshot'
POLICY_GET = 'volume:get_snapshot'
POLICY_UPDATE = 'volume:update_snapshot'
POLICY_DELETE = 'volume:delete_snapshot'
POLICY_RESET = 'volume_extension:snapshot_admin_actions:reset_status'
POLICY_FORCE_DELETE = 'volume_extension:snapshot_admin_actions:force_delete'
POLICY_REPORT = 'snapshot_extension:snapshot_actions:update_snapshot_status'

_ACTION = 'POST /snapshots/{{snapshot_id}}/action ({})'
POLICIES = (
    rules.rule(POLICY_LIST, rules.READER, 'List the snapshots.', 'GET /snapshots',
               'GET /snapshots/detail'),
    rules.rule(POLICY_EXTENDED, rules.READER, 'See progress and project of a snapshot.',
               'GET /snapshots/{snapshot_id}', 'GET /snapshots/detail'),
    rules.rule(POLICY_CREATE, rules.MEMBER, 'Take a snapshot.', 'POST /snapshots'),
    rules.rule(POLICY_GET, rules.READER, 'Show a snapshot.', 'GET /snapshots/{snapshot_id}'),
    rules.rule(POLICY_UPDATE, rules.MEMBER, 'Rename a snapshot.', 'PUT /snapshots/{snapshot_id}'),
    rules.rule(POLICY_DELETE, rules.MEMBER, 'Remove a snapshot.',
               'DELETE /snapshots/{snapshot_id}'),
    rules.rule(POLICY_RESET, rules.ADMIN, 'Set the status of a snapshot.',
               _ACTION.format('os-reset_status')),
    rules.rule(POLICY_FORCE_DELETE, rules.ADMIN, 'Remove a snapshot whatever its status.',
               _ACTION.format('os-force_delete')),
    # Upstream lets every member report; any of them could then end a merge that still runs.
    rules.rule(POLICY_REPORT, f'{rules.SERVICE} or rule:{rules.LEGACY_REPORTERS}',
               'Report what a compute service has done for a snapshot.',
               _ACTION.format('os-update_snapshot_status')),
)

# SCHEMAS

_NAMES = {'name': validation.TEXT, 'display_name': validation.TEXT,
          'description': validation.TEXT, 'display_description': validation.TEXT}
_CREATE = validation.wrapped('snapshot', {
    **_NAMES, 'volume_id': validation.OPTIONAL_UUID, 'force': validation.BOOLEAN,
    'metadata': validation.OPTIONAL_METADATA}, required=('volume_id',))
_UPDATE = validation.wrapped('snapshot', _NAMES)
_UPDATE['properties']['snapshot']['minProperties'] = 1

CREATE_BODY = validation.schemas({'3.0': _CREATE})
UPDATE_BODY = validation.schemas({'3.0': _UPDATE})
RESET_BODY = validation.schemas({'3.0': {
    'type': 'object', 'properties': {'status': validation.words(states.RESETTABLE)},
    'required': ['status'], 'additionalProperties': False}})
_REPORT = {
    'type': 'object', 'required': ['status'], 'additionalProperties': False,
    'properties': {
        'status': {'type': 'string', 'minLength': 1, 'maxLength': 255},
        'progress': {'oneOf': [{'type': 'null'},
                               {'type': 'string', 'pattern': '^(100|[0-9]{1,2})%$'}]}}}
REPORT_BODY = validation.schemas({'3.0': _REPORT, '3.75': {
    **_REPORT, 'properties': {**_REPORT['properties'],
                              'compute_snapshot_status': {'enum': list(assisted.TOKENS)}}}})


def _when_forced(body):
    """Below 3.66 a snapshot of an attached volume needs ``force``."""
    return strutils.bool_from_string(body.get('force', False))


def _always(body):
    """From 3.66 on it needs nothing, and a ``force`` that is not true is refused."""
    if not strutils.bool_from_string(body.get('force', True)):
        raise exceptions.InvalidInput(
            reason="'force' is not served from version 3.66 on; a snapshot of a volume in use "
                   'needs none.')
    return True


IN_USE_TOO = microversion.ByVersion({'3.0': _when_forced, '3.66': _always})

# view

_COLUMNS = ('id', 'status', 'volume_id', 'size', 'created_at', 'updated_at')
SORTABLE = microversion.ByVersion({'3.0': _COLUMNS, '3.30': (*_COLUMNS, 'name')})
ALIASES = {'display_name': 'name'}
"""The old word for the name has been a sort key at every version."""

FILTERS = {
    'name': filters.text('name'),
    'display_name': filters.text('name', word='name'),
    'description': filters.text('description'),
    'status': filters.text('status'),
    'volume_id': filters.text('volume_id'),
    'id': filters.text('id'),
    'user_id': filters.text('user_id'),
    'metadata': filters.pairs(since='3.22'),
    'availability_zone': filters.text('availability_zone', via=('volume_id', models.Volume)),
    'host': filters.text('host', via=('volume_id', models.Volume)),
    'project_id': filters.text('project_id'),
    'consumes_quota': filters.flag('consumes_quota', since='3.65'),
}
"""All are for administrators; which of them are for others is in filter_names.py."""

ADDITIONS = microversion.Additions({
    '3.14': lambda row: {'group_snapshot_id': row.group_snapshot_id},
    '3.41': lambda row: {'user_id': row.user_id},
    '3.65': lambda row: {'consumes_quota': row.consumes_quota},
})
"""What a version adds to the details of a snapshot, from its row."""

WITH_COUNT = microversion.ByVersion({'3.0': False, '3.45': True})


def summary(_call, row, metadata):
    """A snapshot in a list without details."""
    return {'id': row.id, 'name': row.name, 'description': row.description,
            'created_at': moment(row.created_at), 'updated_at': moment(row.updated_at),
            'volume_id': row.volume_id, 'status': row.status, 'size': row.size,
            'metadata': metadata}


def view(call, row, metadata):
    """A snapshot in full."""
    shown = _core(call, row, metadata)
    if call.allowed(POLICY_EXTENDED, row):
        shown['os-extended-snapshot-attributes:progress'] = row.progress
        shown['os-extended-snapshot-attributes:project_id'] = row.project_id
    return shown


def _core(call, row, metadata):
    shown = summary(call, row, metadata)
    for addition in ADDITIONS.upto(call.version):
        shown.update(addition(row))
    return shown


def _changed(call, row):
    """A snapshot that was just made or changed: without what is shown on request only."""
    return {'snapshot': _core(call, row, snapshots.metadata(call.context, row.id))}


# handlers


def load(call):
    """The snapshot of the path, if the caller may know of it."""
    return snapshots.get(call.context, call.path['snapshot_id'], call.scope)


def load_reported(call):
    """As load; a service that is no administrator is of another project than the snapshot."""
    is_service = 'service' in call.context.roles
    return snapshots.get(call.context, call.path['snapshot_id'],
                         None if is_service else call.scope)


def index(call):
    """List the snapshots."""
    return _list(call, summary)


def detail(call):
    """List the snapshots with details."""
    return _list(call, view)


def _list(call, shape):
    page = pagination.page(call, call.at(SORTABLE), aliases=ALIASES)
    wanted = _conditions(call)
    project_id = None if pagination.wants_all_projects(call) else call.context.project_id
    rows = listing.rows(call.context, models.Snapshot, page, wanted, project_id,
                        missing=exceptions.SnapshotNotFound, metadata=_METADATA)
    metadata = snapshots.metadata_of(call.context, [row.id for row in rows])
    answer = pagination.body(call, 'snapshots',
                             [shape(call, row, metadata[row.id]) for row in rows],
                             rows[-1].id if rows else None, page)
    if call.at(WITH_COUNT) and pagination.truth('with_count', call.query.get('with_count', '0')):
        answer['count'] = listing.count(call.context, models.Snapshot, wanted, project_id,
                                        metadata=_METADATA)
    return answer


_METADATA = (models.SnapshotMetadata, 'snapshot_id')


def _conditions(call):
    found = filters.conditions(call, FILTERS, 'snapshot')
    if not call.context.is_admin:
        # What the service makes for itself is nobody's business.
        found.append(listing.Condition('consumes_quota', 'eq', True))
    return found


def show(call):
    """Show a snapshot."""
    row = call.target
    return {'snapshot': view(call, row, snapshots.metadata(call.context, row.id))}


def create(call):
    """Take a snapshot of a volume.

    Below 3.66 a volume in use needs ``force``; from then on it needs none.
    """
    body = call.body['snapshot']
    volume = volumes.get(call.context, body['volume_id'], call.scope)
    row = snapshots.create(call.context, {'volume_id': volume.id, **_named(body)},
                           body.get('metadata'), force=call.variant(body))
    call.tell(call.rpc.volume.create_snapshot, volume.host, row.id)
    return _changed(call, row)


def _named(body):
    values = {}
    for column in ('name', 'description'):
        for word in (f'display_{column}', column):
            if word in body:
                values[column] = body[word] and body[word].strip()
    return values


def update(call):
    """Change name or description of a snapshot."""
    snapshots.update(call.context, call.target.id, _named(call.body['snapshot']))
    return _changed(call, load(call))


def delete(call):
    """Remove a snapshot."""
    _delete(call, force=False)


def force_delete(call):
    """Remove a snapshot whatever its status."""
    _delete(call, force=True)


def _delete(call, force):
    volume = volumes.get(call.context, call.target.volume_id)
    snapshots.begin_delete(call.context, call.target.id, force)
    call.tell(call.rpc.volume.delete_snapshot, volume.host, call.target.id)


def reset_status(call):
    """Set the status of a snapshot; nothing else happens to it."""
    volume_requests.reset_snapshot_status(call.context, call.target.id,
                                          call.body['status'].lower())


def report(call):
    """Take a compute service's report on a snapshot that is being made or removed.

    From 3.75 on ``compute_snapshot_status`` says what has come of it; without, a ``progress`` of
    90% says that the compute service is done.
    """
    is_work = assisted_reports.take(
        call.context, call.target.id, call.body['status'], call.body.get('progress'),
        call.body.get('compute_snapshot_status'))
    if is_work:
        volume = volumes.get(call.context, call.target.volume_id)
        call.tell(call.rpc.volume.complete_snapshot, volume.host, call.target.id)


# OPERATIONS

LIST = Operation('snapshots.list', policy=POLICY_LIST, handler=index)
LIST_DETAIL = Operation('snapshots.list_detail', policy=POLICY_LIST, handler=detail)
SHOW = Operation('snapshots.show', target=load, policy=POLICY_GET, handler=show)
CREATE = Operation('snapshots.create', policy=POLICY_CREATE, body=CREATE_BODY,
                   variant=IN_USE_TOO, handler=create, success=202, migrating=MIGRATING)
UPDATE = Operation('snapshots.update', target=load, policy=POLICY_UPDATE, body=UPDATE_BODY,
                   handler=update)
DELETE = Operation('snapshots.delete', target=load, policy=POLICY_DELETE, handler=delete,
                   success=202)
ACTIONS = {
    'os-reset_status': Operation(
        'snapshots.os-reset_status', target=load, policy=POLICY_RESET, body=RESET_BODY,
        handler=reset_status, success=202),
    'os-force_delete': Operation(
        'snapshots.os-force_delete', target=load, policy=POLICY_FORCE_DELETE,
        handler=force_delete, success=202),
    'os-update_snapshot_status': Operation(
        'snapshots.os-update_snapshot_status', target=load_reported, policy=POLICY_REPORT,
        body=REPORT_BODY, handler=report, success=202),
}
