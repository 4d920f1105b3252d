"""Volumes: create, list, show, update, delete, sum up."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules, validation
from cinder_ext.api.operation import MIGRATING, Operation
from cinder_ext.api.resources import (
    availability_zones,
    replication_specs,
    type_rules,
    volume_types,
    volume_view,
)
from cinder_ext.db import (
    group_requests,
    groups,
    listing,
    managed,
    models,
    session,
    shadow_volumes,
    snapshots,
    type_encryptions,
    volume_requests,
    volumes,
)
from cinder_ext.states import volume as states

POLICIES = (
    rules.rule('volume:create', rules.MEMBER, 'Create a volume.', 'POST /volumes'),
    rules.rule('volume:create_from_image', rules.MEMBER, 'Create a volume from an image.',
               'POST /volumes'),
    rules.rule('volume:get', rules.READER, 'Show a volume.', 'GET /volumes/{volume_id}'),
    rules.rule('volume:get_all', rules.READER, 'List volumes or their sums.', 'GET /volumes',
               'GET /volumes/detail', 'GET /volumes/summary'),
    rules.rule('volume:update', rules.MEMBER, 'Update a volume or its bootable flag.',
               'PUT /volumes/{volume_id}', 'POST /volumes/{volume_id}/action (os-set_bootable)'),
    rules.rule('volume:delete', rules.MEMBER, 'Delete a volume.', 'DELETE /volumes/{volume_id}'),
    rules.rule('volume:force_delete', rules.ADMIN, 'Delete a volume whatever its status.',
               'DELETE /volumes/{volume_id}'),
    rules.rule('volume:multiattach', rules.MEMBER, 'Create a multiattach volume.',
               'POST /volumes'),
    rules.rule('volume_extension:volume_host_attribute', rules.ADMIN, 'See where a volume is.',
               'GET /volumes/{volume_id}', 'GET /volumes/detail'),
    rules.rule('volume_extension:volume_tenant_attribute', rules.READER,
               'See the project of a volume.', 'GET /volumes/{volume_id}', 'GET /volumes/detail'),
    rules.rule('volume_extension:volume_mig_status_attribute', rules.ADMIN,
               'See the migration status of a volume.', 'GET /volumes/{volume_id}',
               'GET /volumes/detail'),
)

# SCHEMAS

_NAMES = {'name': validation.TEXT, 'description': validation.TEXT,
          'display_name': validation.TEXT, 'display_description': validation.TEXT}
_ORIGINS = {'snapshot_id': validation.OPTIONAL_UUID, 'source_volid': validation.OPTIONAL_UUID,
            'consistencygroup_id': validation.OPTIONAL_UUID,
            'image_id': validation.TEXT, 'imageRef': validation.TEXT}
_CREATE = {**_NAMES, **_ORIGINS,
           'volume_type': validation.TEXT, 'metadata': validation.OPTIONAL_METADATA,
           'size': {'oneOf': [{'type': 'null'}, *validation.SIZE['oneOf']]},
           'availability_zone': validation.TEXT,
           'multiattach': {'enum': [None, *validation.BOOLEAN['enum']]}}
_CREATE_313 = {**_CREATE, 'group_id': validation.TEXT}
_CREATE_347 = {**_CREATE_313, 'backup_id': validation.OPTIONAL_UUID}
_HINTS = {'OS-SCH-HNT:scheduler_hints': {'type': ['object', 'null']}}
_UPDATE = {**_NAMES, 'metadata': validation.METADATA}

CREATE_BODY = validation.schemas({
    '3.0': validation.wrapped('volume', _CREATE, others=True, beside=_HINTS),
    '3.13': validation.wrapped('volume', _CREATE_313, others=True, beside=_HINTS),
    '3.47': validation.wrapped('volume', _CREATE_347, others=True, beside=_HINTS),
    '3.53': validation.wrapped('volume', _CREATE_347, beside=_HINTS),
})
UPDATE_BODY = validation.schemas({
    '3.0': validation.wrapped('volume', _UPDATE),
    '3.53': validation.wrapped('volume', _UPDATE, least=1),
})

FILTERS = {
    'id': filters.text('id'),
    'name': filters.text('name'),
    'display_name': filters.text('name', word='name'),
    'description': filters.text('description'),
    'status': filters.text('status'),
    'size': filters.number('size'),
    'bootable': filters.lax_flag('bootable', until='3.2'),
    'multiattach': filters.lax_flag('multiattach', until='3.2'),
    'metadata': filters.pairs(tables=((models.VolumeMetadata, 'volume_id'),
                                      (models.VolumeAdminMetadata, 'volume_id'))),
    'glance_metadata': filters.pairs('glance_metadata', since='3.4', tables=(
        (models.VolumeImageMetadata, 'volume_id'),)),
    'availability_zone': filters.text('availability_zone'),
    'snapshot_id': filters.text('snapshot_id'),
    'source_volid': filters.text('source_volid'),
    'user_id': filters.text('user_id'),
    'volume_type_id': filters.text('volume_type_id'),
    'attach_status': filters.text('attach_status'),
    'migration_status': filters.nullable('migration_status'),
    'replication_status': filters.nullable('replication_status'),
    'host': filters.text('host'),
    'project_id': filters.text('project_id'),
    'group_id': filters.text('group_id', since='3.10'),
    'created_at': filters.time('created_at', since='3.60'),
    'updated_at': filters.time('updated_at', since='3.60'),
    'consumes_quota': filters.flag('consumes_quota', since='3.65'),
}
"""All are for administrators; which of them are for others is in filter_names.py."""

SORTABLE = frozenset({'id', 'name', 'status', 'size', 'created_at', 'updated_at', 'bootable',
                      'availability_zone', 'volume_type_id', 'host', 'user_id', 'project_id',
                      'attach_status', 'migration_status', 'launched_at', 'snapshot_id',
                      'source_volid', 'description', 'group_id', 'multiattach',
                      'replication_status'})
ALIASES = {'display_name': 'name'}

WITH_COUNT = microversion.ByVersion({'3.0': False, '3.45': True})
SUMMARY_METADATA = microversion.ByVersion({'3.0': False, '3.36': True})
GROUPS = microversion.ByVersion({'3.0': ('consistencygroup_id',),
                                 '3.13': ('consistencygroup_id', 'group_id')})
"""Words for the group of a new volume; the last that is given counts."""
FORCE = microversion.ByVersion({'3.0': False, '3.23': True})

# targets


def load(call):
    """The volume of the path, if the caller may know of it."""
    return volumes.get(call.context, call.path['volume_id'], call.scope)


def _load_shown(call):
    """As load, but what of it is shown only."""
    return volumes.row(call.context, call.path['volume_id'], volume_view.COLUMNS, call.scope)


# handlers


def index(call):
    """List volumes: id, name, links."""
    return _page(call, lambda rows: [volume_view.brief(call, row) for row in rows], ('id', 'name'))


def detail(call):
    """List volumes with all details."""
    return _page(call, lambda rows: volume_view.details(call, rows), volume_view.COLUMNS)


def _page(call, views, columns):
    page = pagination.page(call, SORTABLE, aliases=ALIASES)
    wanted = _conditions(call)
    project_id = None if pagination.wants_all_projects(call) else call.context.project_id
    rows = listing.rows(call.context, models.Volume, page, wanted, project_id,
                        exceptions.VolumeNotFound, columns=columns)
    document = pagination.body(call, 'volumes', views(rows), rows[-1].id if rows else None, page)
    if call.at(WITH_COUNT) and pagination.truth('with_count', call.query.get('with_count', '0')):
        document['count'] = listing.count(call.context, models.Volume, wanted, project_id)
    return document


def _conditions(call):
    found = filters.conditions(call, FILTERS, 'volume')
    if not call.context.is_admin:
        # What the service makes for itself is nobody's business.
        found.append(listing.Condition('consumes_quota', 'eq', True))
    found.append(listing.Condition('migration_status', 'clause', shadow_volumes.is_not_one()))
    return found


def summary(call):
    """Show how many volumes the project has, and their GiB in all."""
    project_id = None if pagination.wants_all_projects(call) else call.context.project_id
    hidden = call.context.is_admin
    count, size = volume_requests.totals(call.context, project_id, hidden)
    shown = {'total_count': count, 'total_size': size}
    if call.at(SUMMARY_METADATA):
        shown['metadata'] = volume_requests.metadata_words(call.context, project_id, hidden)
    return {'volume-summary': shown}


def show(call):
    """Show a volume."""
    return {'volume': volume_view.details(call, [call.target])[0]}


def create(call):
    """Create a volume: empty, from a snapshot or from another volume.

    The row is written first; the scheduler then chooses a backend.
    """
    wanted = call.body['volume']
    _refuse_unserved(call, wanted)
    with session.reading(call.context):
        snapshot, source, values = _wanted(call, wanted)
    volume = _record(call, snapshot, source, values, wanted.get('metadata'))
    call.tell(call.rpc.scheduler.create_volume, volume.id)
    return {'volume': volume_view.changed(call, volume)}


def _wanted(call, wanted):
    """Row of the snapshot and of the volume that it is made from, and the columns of a new volume."""
    snapshot, source = _origin(call, wanted)
    type_, specs = volume_types.chosen(call, wanted.get('volume_type'), snapshot or source)
    group_id = next((wanted[name] for name in call.at(GROUPS) if wanted.get(name)), None)
    values = {
        'project_id': call.context.project_id, 'user_id': call.context.user_id,
        'name': _text(wanted, 'name', 'display_name'),
        'description': _text(wanted, 'description', 'display_description'),
        'size': _size(wanted.get('size'), snapshot, source),
        'availability_zone': availability_zones.chosen(
            call, _group_zone(call, group_id) or wanted.get('availability_zone'), specs,
            _zone(call, snapshot, source)),
        'bootable': _is_bootable(call, snapshot, source),
        **_type(call, type_, specs),
    }
    type_rules.refuse_size(specs, values['size'])
    replication_specs.refuse_of_volume(call, getattr(type_, 'name', None), specs, group_id)
    if group_id:
        values['group_id'] = group_id
    hints = call.body.get('OS-SCH-HNT:scheduler_hints')
    if hints:
        values['request'] = {'scheduler_hints': hints}
    return snapshot, source, values


def _is_bootable(call, snapshot, source):
    """As the volume that it is made from; a snapshot's volume is there as long as the snapshot."""
    if snapshot is not None:
        source = volumes.get(call.context, snapshot.volume_id)
    return source is not None and bool(source.bootable)


def _record(call, snapshot, source, values, metadata):
    if values.get('group_id'):
        return group_requests.create_volume(call.context, snapshot, source, values, metadata)
    if snapshot is not None:
        return volume_requests.create_from_snapshot(call.context, snapshot, values, metadata)
    if source is not None:
        return volume_requests.create_from_volume(call.context, source, values, metadata)
    return volumes.create(call.context, values, metadata)


def _refuse_unserved(call, wanted):
    if wanted.get('imageRef') or wanted.get('image_id'):
        call.authorize('volume:create_from_image')
    for name, what in (('imageRef', 'images'), ('image_id', 'images'), ('backup_id', 'backups')):
        if wanted.get(name):
            raise exceptions.InvalidInput(reason=f'{name}: this service has no {what}.')
    multiattach = wanted.get('multiattach')
    if multiattach is not None and pagination.truth('multiattach', str(multiattach)):
        raise exceptions.InvalidInput(
            reason='multiattach: name a volume type whose extra specs allow it instead.')


def _origin(call, wanted):
    if wanted.get('snapshot_id') and wanted.get('source_volid'):
        raise exceptions.InvalidInput(reason='snapshot_id and source_volid exclude each other.')
    if wanted.get('snapshot_id'):
        return snapshots.get(call.context, wanted['snapshot_id'], call.scope), None
    if wanted.get('source_volid'):
        return None, volumes.get(call.context, wanted['source_volid'], call.scope)
    return None, None


def _size(size, snapshot, source):
    """GiB, at least what the source has."""
    origin = snapshot or source
    if size is None:
        if origin is None:
            raise exceptions.InvalidInput(reason='size: a volume needs a size of at least 1 GiB.')
        return origin.size
    if origin is not None and int(size) < origin.size:
        raise exceptions.InvalidInput(
            reason=f'Volume size {int(size)} GiB cannot be smaller than the {origin.size} GiB of '
                   f'what it is made from.')
    return int(size)


def _zone(call, snapshot, source):
    """Availability zone of the volume that one is made from; None without one."""
    if snapshot is not None:
        source = volumes.get(call.context, snapshot.volume_id)
    return getattr(source, 'availability_zone', None)


def _group_zone(call, group_id):
    """Availability zone of the group that a volume is to be in; its volumes are nowhere else."""
    if not group_id:
        return None
    return groups.get(call.context, group_id, call.context.project_id).availability_zone


def _type(call, type_, specs):
    """The columns that follow from the volume type."""
    if type_ is None:
        return {'volume_type_id': None}
    refuse_encrypted(call, type_)
    multiattach = specs.get('multiattach') == '<is> True'
    if multiattach:
        call.authorize('volume:multiattach')
    return {'volume_type_id': type_.id, 'multiattach': multiattach}


def refuse_encrypted(call, volume_type):
    """
    :raises InvalidInput: volumes of the type are encrypted, and there is nowhere to keep a key
    """
    if type_encryptions.get(call.context, volume_type.id) is not None:
        raise exceptions.InvalidInput(
            reason=f'volume type {volume_type.name} is encrypted, and this service has no key '
                   'manager.')


def _text(wanted, *names):
    for name in names:
        if wanted.get(name) is not None:
            return wanted[name].strip()
    return None


def update(call):
    """Change a volume's name or description, or replace its metadata."""
    refuse_maintenance(call)
    wanted, values = call.body['volume'], {}
    for column in ('name', 'description'):
        for name in (column, f'display_{column}'):
            if name in wanted:
                values[column] = _text(wanted, name)
    volumes.update(call.context, call.target.id, values)
    if 'metadata' in wanted:
        volume_requests.set_metadata(call.context, call.target.id, wanted['metadata'], replace=True)
    return {'volume': volume_view.changed(call, load(call))}


def refuse_maintenance(call):
    """
    :raises InvalidState: the target is locked for a migration
    """
    if call.target.status == states.MAINTENANCE:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {call.target.id} cannot be changed during maintenance.')


def delete(call):
    """Delete a volume; with cascade=true its snapshots too."""
    force = call.at(FORCE) and pagination.truth('force', call.query.get('force', '0'))
    if force:
        call.authorize('volume:force_delete', call.target)
    remove(call, force, pagination.truth('cascade', call.query.get('cascade', '0')))


def remove(call, force, cascade):
    """Record the removal of the target and tell its backend.

    What could not be managed is the operator's, not ours: only its record is removed.
    """
    if call.target.status == states.ERROR_MANAGING:
        managed.forget(call.context, call.target.id)
        return
    host = call.target.host
    doomed = volume_requests.begin_delete(call.context, call.target.id, force, cascade)
    if host is None:
        return
    for snapshot_id in doomed:
        call.tell(call.rpc.volume.delete_snapshot, host, snapshot_id)
    call.tell(call.rpc.volume.delete_volume, host, call.target.id)


# OPERATIONS

LIST = Operation('volumes.list', policy='volume:get_all', handler=index, reads=True)
LIST_DETAIL = Operation('volumes.list_detail', policy='volume:get_all', handler=detail, reads=True)
SUMMARY = Operation('volumes.summary', policy='volume:get_all', handler=summary, since='3.12')
SHOW = Operation('volumes.show', target=_load_shown, policy='volume:get', handler=show, reads=True)
CREATE = Operation('volumes.create', policy='volume:create', body=CREATE_BODY, handler=create,
                   success=202)
UPDATE = Operation('volumes.update', target=load, policy='volume:update', body=UPDATE_BODY,
                   handler=update)
DELETE = Operation('volumes.delete', target=load, policy='volume:delete', handler=delete,
                   success=202, migrating=MIGRATING)
