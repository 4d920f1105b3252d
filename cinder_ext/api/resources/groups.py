"""Groups of volumes: create, copy, list, show, update; what is done to one by POST action."""
# SPDX-License-Identifier: Apache-2.0

from oslo_utils import strutils

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import availability_zones, replication_specs
from cinder_ext.api.resources import group_types as of_types
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import (
    group_models,
    group_replication,
    group_requests,
    group_snapshots,
    group_types,
    groups,
    listing,
    volume_types,
)
from cinder_ext.states import group as states

POLICY_LIST = 'group:get_all'
POLICY_CREATE = 'group:create'
POLICY_GET = 'group:get'
POLICY_UPDATE = 'group:update'
POLICY_PROJECT = 'group:group_project_attribute'
POLICY_DELETE = 'group:delete'
POLICY_RESET = 'group:reset_status'
POLICY_ENABLE = 'group:enable_replication'
POLICY_DISABLE = 'group:disable_replication'
POLICY_FAILOVER = 'group:failover_replication'
POLICY_TARGETS = 'group:list_replication_targets'

_ACTION = 'POST /groups/{{group_id}}/action ({})'
POLICIES = (
    rules.rule(POLICY_LIST, rules.READER, 'List groups.', 'GET /groups', 'GET /groups/detail'),
    rules.rule(POLICY_CREATE, rules.MEMBER, 'Create a group.', 'POST /groups',
               'POST /groups/action (create-from-src)'),
    rules.rule(POLICY_GET, rules.READER, 'Show a group.', 'GET /groups/{group_id}'),
    rules.rule(POLICY_UPDATE, rules.MEMBER, 'Change a group.', 'PUT /groups/{group_id}'),
    rules.rule(POLICY_PROJECT, rules.ADMIN, 'See the project of a group.',
               'GET /groups/{group_id}', 'GET /groups/detail'),
    rules.rule(POLICY_DELETE, rules.MEMBER, 'Delete a group.', _ACTION.format('delete')),
    rules.rule(POLICY_RESET, rules.ADMIN, 'Set the status of a group.',
               _ACTION.format('reset_status')),
    rules.rule(POLICY_ENABLE, rules.MEMBER, 'Let a group be replicated.',
               _ACTION.format('enable_replication')),
    rules.rule(POLICY_DISABLE, rules.MEMBER, 'Let a group be replicated no longer.',
               _ACTION.format('disable_replication')),
    rules.rule(POLICY_FAILOVER, rules.MEMBER, 'Fail a replicated group over.',
               _ACTION.format('failover_replication')),
    rules.rule(POLICY_TARGETS, rules.MEMBER, 'List where a group can be failed over to.',
               _ACTION.format('list_replication_targets')),
)

# SCHEMAS: of actions what stands under the action's name

_NAMES = {'name': validation.TEXT, 'description': validation.TEXT}


def _object(properties, **more):
    return {'type': 'object', 'properties': properties, 'additionalProperties': False, **more}


CREATE_BODY = validation.schemas({'3.13': validation.wrapped('group', {
    **_NAMES, 'group_type': validation.NAME, 'availability_zone': validation.TEXT,
    'volume_types': {'type': 'array', 'minItems': 1, 'uniqueItems': True,
                     'items': {'type': 'string', 'maxLength': 255}},
}, required=('group_type', 'volume_types'))})
UPDATE_BODY = validation.schemas({'3.13': validation.wrapped('group', {
    **_NAMES, 'add_volumes': validation.TEXT, 'remove_volumes': validation.TEXT}, least=1)})
_SOURCES = ('group_snapshot_id', 'source_group_id')
FROM_SOURCE_BODY = validation.schemas({'3.14': _object(
    {**_NAMES, **dict.fromkeys(_SOURCES, {'oneOf': [{'type': 'null'}, validation.UUID]})},
    oneOf=[{'required': [name], 'properties': {name: {'type': 'string'}}} for name in _SOURCES])})
"""Exactly one of them; openstacksdk sends the other one as null."""
DELETE_BODY = validation.schemas({'3.13': _object({'delete-volumes': validation.BOOLEAN})})
STATUS = {'type': 'string', 'maxLength': 32,
          'pattern': f"^(?i:{'|'.join(states.RESETTABLE)})\\Z"}
"""Any case, as upstream."""
RESET_BODY = validation.schemas({'3.20': _object({'status': STATUS}, required=['status'])})

# view

FILTERS = {
    'id': filters.text('id'),
    'name': filters.text('name'),
    'status': filters.text('status'),
    'group_type_id': filters.text('group_type_id'),
    'availability_zone': filters.text('availability_zone'),
    'group_snapshot_id': filters.text('group_snapshot_id'),
    'source_group_id': filters.text('source_group_id'),
    'host': filters.text('host', admin=True),
    'project_id': filters.text('project_id', admin=True),
    # No filter: it asks for the volumes of each group.
    'list_volume': filters.Filter('id', lambda _name, _column, _value: [], is_open=True),
}

NAMES = microversion.ByVersion({'3.0': None, '3.31': 'group'})
"""Whose page of filter_names.py says what projects may filter by; before, they had every filter."""

SORTABLE = ('id', 'name', 'status', 'group_type_id', 'availability_zone', 'created_at',
            'updated_at')


def _always(_call, row, beside):
    return {'id': row.id, 'status': row.status, 'availability_zone': row.availability_zone,
            'created_at': moment(row.created_at), 'name': row.name,
            'description': row.description, 'group_type': row.group_type_id,
            'volume_types': beside.types[row.id]}


def _sources(_call, row, _beside):
    return {'group_snapshot_id': row.group_snapshot_id, 'source_group_id': row.source_group_id}


def _volumes(_call, row, beside):
    return {} if beside.volumes is None else {'volumes': beside.volumes[row.id]}


def _project(call, row, _beside):
    return {'project_id': row.project_id} if call.allowed(POLICY_PROJECT) else {}


def _replication_status(_call, row, beside):
    return {'replication_status': beside.replication[row.id]}


VIEW = microversion.Additions({
    '3.13': _always,
    '3.14': _sources,
    '3.25': _volumes,
    '3.38': _replication_status,
    '3.58': _project,
})
"""What each version adds: function(call, row, beside) -> fields."""

SHOWS_REPLICATION = microversion.ByVersion({'3.0': False, '3.38': True})
LISTS_VOLUMES = microversion.ByVersion({'3.0': False, '3.25': True})


class _Beside:
    """What stands in other tables about some groups; one statement each."""

    def __init__(self, call, rows):
        ids = [row.id for row in rows]
        self.types = groups.volume_types_of(call.context, ids)
        self.volumes = groups.volume_ids_of(call.context, ids) if _wants_volumes(call) else None
        self.replication = (group_replication.statuses(call.context, ids)
                            if call.at(SHOWS_REPLICATION) else {})


def _wants_volumes(call):
    """Whether ``list_volume`` is true; a word that means neither is false, as upstream."""
    return call.at(LISTS_VOLUMES) and strutils.bool_from_string(call.query.get('list_volume'))


def brief(_call, row):
    """A group in a list without details."""
    return {'id': row.id, 'name': row.name}


def details(call, rows):
    """All details of some groups, in their order."""
    beside, parts, shown = _Beside(call, rows), VIEW.upto(call.version), []
    for row in rows:
        entry = {}
        for part in parts:
            entry.update(part(call, row, beside))
        shown.append(entry)
    return shown


# handlers


def load(call):
    """The group of the path, if the caller may know of it."""
    return known(call, call.path['group_id'])


def known(call, group_id):
    """A group that the caller may know of.

    :raises InvalidInput: it is a consistency group, which has calls of its own
    """
    found = groups.get(call.context, group_id, call.scope)
    refuse_legacy(call, found.group_type_id)
    return found


def refuse_legacy(call, group_type_id):
    """
    :raises InvalidInput: the group type is that of consistency groups
    """
    if group_type_id == group_types.legacy_id(call.context):
        raise exceptions.InvalidInput(
            reason=f'group type {group_type_id} is that of consistency groups, for which there are '
                   'consistencygroups and cgsnapshots.')


def index(call):
    """List groups: id and name."""
    return _page(call, lambda rows: [brief(call, row) for row in rows])


def detail(call):
    """List groups with all details; from 3.25 with their volumes if list_volume is true."""
    return _page(call, lambda rows: details(call, rows))


def _page(call, views):
    page = pagination.page(call, SORTABLE)
    project_id = None if pagination.wants_all_projects(call) else call.context.project_id
    wanted = [*filters.conditions(call, FILTERS, call.at(NAMES)), group_types.not_legacy()]
    rows = listing.rows(call.context, group_models.Group, page, wanted, project_id,
                        exceptions.GroupNotFound)
    return pagination.body(call, 'groups', views(rows), rows[-1].id if rows else None, page,
                           links='group_links')


def show(call):
    """Show a group; from 3.25 with its volumes if list_volume is true."""
    return {'group': details(call, [call.target])[0]}


def create(call):
    """Create an empty group; the scheduler chooses a backend that fits all its volume types."""
    wanted = call.body['group']
    group_type = of_types.visible(
        call, group_types.get_by_name_or_id(call.context, wanted['group_type']))
    refuse_legacy(call, group_type.id)
    return {'group': brief(call, make(call, wanted, group_type.id, wanted['volume_types']))}


def make(call, wanted, group_type_id, type_names):
    """Record a new group and have it placed.

    :param wanted: name, description and availability_zone, where they are given
    :param type_names: names or ids of volume types
    :returns: group_models.Group
    """
    types = [volume_types.get_by_name_or_id(call.context, name, call.scope).id
             for name in type_names]
    replication_specs.refuse_of_group(call, group_type_id, types)
    row = groups.create(call.context, {
        **owned(call, wanted), 'group_type_id': group_type_id,
        'availability_zone': availability_zones.chosen(
            call, wanted.get('availability_zone'), {}, None)}, types)
    call.tell(call.rpc.scheduler.create_group, row.id)
    return row


def owned(call, wanted):
    """Owner, name and description of a new group."""
    return {'project_id': call.context.project_id, 'user_id': call.context.user_id,
            **named(wanted)}


def named(wanted):
    """Name and description, without spaces around them, where they are given."""
    return {name: wanted[name] and wanted[name].strip()
            for name in ('name', 'description') if name in wanted}


def create_from_source(call):
    """Create a group whose volumes have the content of another group or of a group snapshot."""
    snapshot, group = _source(call)
    refuse_legacy(call, (snapshot or group).group_type_id)
    return {'group': brief(call, copy(call, call.body, snapshot, group))}


def _source(call):
    """(group snapshot, group): the one that the body names."""
    if call.body.get('group_snapshot_id') is not None:
        return group_snapshots.get(call.context, call.body['group_snapshot_id'], call.scope), None
    return None, groups.get(call.context, call.body['source_group_id'], call.scope)


def copy(call, wanted, snapshot, group):
    """Record a group that is to be made from a group snapshot, or from a group, and tell its backend.

    :returns: group_models.Group
    """
    values = owned(call, wanted)
    if snapshot is not None:
        row = group_requests.create_from_snapshot(call.context, snapshot, values)
    else:
        row = group_requests.create_from_group(call.context, group.id, values)
    call.tell(call.rpc.volume.create_group, row.host, row.id)
    return row


def update(call):
    """Change name or description of a group, add volumes to it and remove volumes from it."""
    change(call, call.body['group'])


def change(call, wanted):
    """Do to the target what the words of a body ask for."""
    group_requests.update(call.context, call.target.id, named(wanted),
                          _ids(wanted.get('add_volumes')), _ids(wanted.get('remove_volumes')))


def _ids(text):
    """Ids that are separated by commas."""
    return [part.strip() for part in (text or '').split(',') if part.strip()]


def delete(call):
    """Delete a group; with delete-volumes its volumes too."""
    remove(call, pagination.truth('delete-volumes', str(call.body.get('delete-volumes', False))))


def remove(call, delete_volumes):
    """Record the removal of the target and tell its backend."""
    host = call.target.host
    group_requests.begin_delete(call.context, call.target.id, delete_volumes)
    if host is not None:
        call.tell(call.rpc.volume.delete_group, host, call.target.id)


def reset_status(call):
    """Set the status of a group; nothing else happens to it."""
    groups.reset_status(call.context, call.target.id, call.body['status'].lower())


# OPERATIONS


def _action(name, policy, handler, body, since):
    return Operation(f'groups.{name}', target=load, policy=policy, body=body, handler=handler,
                     success=202, since=since)


LIST = Operation('groups.list', policy=POLICY_LIST, handler=index, since='3.13')
LIST_DETAIL = Operation('groups.list_detail', policy=POLICY_LIST, handler=detail, since='3.13')
SHOW = Operation('groups.show', target=load, policy=POLICY_GET, handler=show, since='3.13')
CREATE = Operation('groups.create', policy=POLICY_CREATE, body=CREATE_BODY, handler=create,
                   success=202, since='3.13')
UPDATE = Operation('groups.update', target=load, policy=POLICY_UPDATE, body=UPDATE_BODY,
                   handler=update, success=202, since='3.13')
FROM_SOURCE = {
    'create-from-src': Operation('groups.create-from-src', policy=POLICY_CREATE,
                                 body=FROM_SOURCE_BODY, handler=create_from_source, success=202,
                                 since='3.14'),
}
ACTIONS = {
    'delete': _action('delete', POLICY_DELETE, delete, DELETE_BODY, '3.13'),
    'reset_status': _action('reset_status', POLICY_RESET, reset_status, RESET_BODY, '3.20'),
}
