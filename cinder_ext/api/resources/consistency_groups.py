"""Consistency groups: the calls that came before groups, on groups of a group type of their own."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import microversion, pagination, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import groups as of_groups
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import group_models, group_snapshots, group_types, groups, listing

POLICIES = ()
"""Those of groups."""

# SCHEMAS

_NAMES = {'name': validation.TEXT, 'description': validation.TEXT}

CREATE_BODY = validation.schemas({'3.0': validation.wrapped('consistencygroup', {
    **_NAMES, 'volume_types': {'type': ['string', 'null'], 'maxLength': 4096},
    'availability_zone': validation.TEXT}, required=('volume_types',), others=True)})
FROM_SOURCE_BODY = validation.schemas({'3.0': validation.wrapped('consistencygroup-from-src', {
    **_NAMES, 'cgsnapshot_id': validation.TEXT, 'source_cgid': validation.TEXT}, others=True)})
UPDATE_BODY = validation.schemas({'3.0': validation.wrapped('consistencygroup', {
    **_NAMES, 'add_volumes': {'type': ['string', 'null'], 'maxLength': 4096},
    'remove_volumes': {'type': ['string', 'null'], 'maxLength': 4096}}, others=True)})
_DELETED = ('consistencygroup', 'consistency_group')
"""The second is what openstacksdk writes."""
DELETE_BODY = validation.schemas({'3.0': {'oneOf': [
    {'type': 'null'},
    {'type': 'object', 'maxProperties': 0},
    *(validation.wrapped(name, {'force': validation.BOOLEAN}, others=True) for name in _DELETED)]}})

_WORDS = ('name', 'description', 'add_volumes', 'remove_volumes')


def _any_word(wanted):
    return any(wanted.get(word) for word in _WORDS)


def _any_word_or_empty_name(wanted):
    return _any_word(wanted) or any(wanted.get(word) is not None for word in _WORDS[:2])


CHANGES = microversion.ByVersion({'3.0': _any_word, '3.6': _any_word_or_empty_name})
"""Whether a body changes anything; from 3.6 on a name or description may become empty."""

# view


def brief(row):
    """One entry of the short list."""
    return {'id': row.id, 'name': row.name}


def details(call, rows):
    """All details of some groups, in their order."""
    types = groups.volume_types_of(call.context, [row.id for row in rows])
    return [{'id': row.id, 'status': row.status, 'availability_zone': row.availability_zone,
             'created_at': moment(row.created_at), 'name': row.name,
             'description': row.description, 'volume_types': types[row.id]} for row in rows]


# handlers


def load(call):
    """The group of the path, of any group type, if the caller may know of it."""
    return groups.get(call.context, call.path['group_id'], call.scope)


def index(call):
    """List consistency groups and groups: id and name."""
    return _page(call, lambda rows: [brief(row) for row in rows])


def detail(call):
    """List consistency groups and groups with all details."""
    return _page(call, lambda rows: details(call, rows))


def _page(call, views):
    page = pagination.page(call, of_groups.SORTABLE)
    project_id = None if pagination.wants_all_projects(call) else call.context.project_id
    rows = listing.rows(call.context, group_models.Group, page, (), project_id,
                        exceptions.GroupNotFound)
    return pagination.body(call, 'consistencygroups', views(rows), rows[-1].id if rows else None,
                           page, links='consistencygroup_links')


def show(call):
    """Show a consistency group."""
    return {'consistencygroup': details(call, [call.target])[0]}


def create(call):
    """Create a consistency group; ``volume_types`` are separated by commas."""
    wanted = call.body['consistencygroup']
    names = [name.strip() for name in (wanted['volume_types'] or '').split(',') if name.strip()]
    if not names:
        raise exceptions.InvalidInput(reason='volume_types: at least one must be named.')
    row = of_groups.make(call, wanted, group_types.legacy(call.context), names)
    return {'consistencygroup': brief(row)}


def create_from_source(call):
    """Create a consistency group from another one or from a cgsnapshot."""
    wanted = call.body['consistencygroup-from-src']
    snapshot_id, group_id = wanted.get('cgsnapshot_id'), wanted.get('source_cgid')
    if bool(snapshot_id) == bool(group_id):
        raise exceptions.InvalidInput(
            reason='one of cgsnapshot_id and source_cgid must be given, and not both.')
    snapshot = group = None
    if snapshot_id:
        snapshot = group_snapshots.get(call.context, snapshot_id, call.scope)
    else:
        group = groups.get(call.context, group_id, call.scope)
    return {'consistencygroup': brief(of_groups.copy(call, wanted, snapshot, group))}


def update(call):
    """Change name or description of a consistency group, add and remove volumes."""
    wanted = call.body['consistencygroup']
    if not call.variant(wanted):
        raise exceptions.InvalidInput(
            reason='name, description, add_volumes or remove_volumes must be given.')
    of_groups.change(call, wanted)


def delete(call):
    """Delete a consistency group; with ``force`` its volumes too."""
    wanted = next(iter((call.body or {}).values()), {})
    of_groups.remove(call, pagination.truth('force', str(wanted.get('force', False))))


# OPERATIONS

LIST = Operation('consistency_groups.list', policy=of_groups.POLICY_LIST, handler=index)
LIST_DETAIL = Operation('consistency_groups.list_detail', policy=of_groups.POLICY_LIST,
                        handler=detail)
SHOW = Operation('consistency_groups.show', target=load, policy=of_groups.POLICY_GET, handler=show)
CREATE = Operation('consistency_groups.create', policy=of_groups.POLICY_CREATE, body=CREATE_BODY,
                   handler=create, success=202)
FROM_SOURCE = Operation('consistency_groups.create_from_src', policy=of_groups.POLICY_CREATE,
                        body=FROM_SOURCE_BODY, handler=create_from_source, success=202)
UPDATE = Operation('consistency_groups.update', target=load, policy=of_groups.POLICY_UPDATE,
                   body=UPDATE_BODY, variant=CHANGES, handler=update, success=202)
DELETE = Operation('consistency_groups.delete', target=load, policy=of_groups.POLICY_DELETE,
                   body=DELETE_BODY, handler=delete, success=202)
