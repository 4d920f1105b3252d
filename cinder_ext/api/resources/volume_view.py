"""How a volume looks in an answer, version by version."""
# SPDX-License-Identifier: Apache-2.0

from oslo_utils import timeutils

from cinder_ext.api import microversion
from cinder_ext.db import (
    attachments,
    replications,
    session,
    volume_migrations,
    volume_properties,
)
from cinder_ext.states import attachment as attachment_states
from cinder_ext.states import replication as replication_states

HOST = 'volume_extension:volume_host_attribute'
PROJECT = 'volume_extension:volume_tenant_attribute'
MIGRATION = 'volume_extension:volume_mig_status_attribute'
IMAGE_METADATA = 'volume_extension:volume_image_metadata:show'
FIXED_KEY = '00000000-0000-0000-0000-000000000000'


COLUMNS = ('id', 'name_id', 'project_id', 'user_id', 'name', 'description', 'size', 'host',
           'availability_zone', 'status', 'migration_status', 'volume_type_id', 'snapshot_id',
           'source_volid', 'bootable', 'multiattach', 'consumes_quota', 'group_id', 'service_uuid',
           'shared_targets', 'encryption_key_id', 'replication_status', 'created_at', 'updated_at')
"""What is read of a volume to show it."""


def _always(call, row, beside):
    shown = {
        'id': row.id, 'name': row.name, 'description': row.description, 'status': row.status,
        'size': row.size, 'availability_zone': row.availability_zone,
        'created_at': moment(row.created_at), 'updated_at': moment(row.updated_at),
        'attachments': [_attachment(call, entry) for entry in beside.attachments.get(row.id, ())
                        if entry.attach_status == attachment_states.ATTACHED],
        'volume_type': beside.noted.types.get(row.volume_type_id),
        'snapshot_id': row.snapshot_id, 'source_volid': row.source_volid,
        'metadata': _metadata(row, beside.noted),
        'links': call.links.of(call.context, 'volumes', row.id),
        'user_id': row.user_id, 'bootable': str(bool(row.bootable)).lower(),
        'encrypted': row.encryption_key_id is not None,
        'replication_status': row.replication_status,
        'consistencygroup_id': row.group_id if row.group_id in beside.noted.legacy_groups else None,
        'multiattach': bool(row.multiattach),
    }
    if call.context.is_admin:
        shown['migration_status'] = row.migration_status
    return shown


def _on_request(call, row, beside):
    """What is shown when a volume is asked for, and not when it was just made or changed."""
    shown = {}
    sees_host, sees_project, sees_migration = beside.sees(call, row)
    if sees_host:
        shown['os-vol-host-attr:host'] = row.host
    if sees_project:
        shown['os-vol-tenant-attr:tenant_id'] = row.project_id
    if sees_migration:
        shown['os-vol-mig-status-attr:migstat'] = row.migration_status
        shown['os-vol-mig-status-attr:name_id'] = row.name_id
    image = beside.noted.image.get(row.id)
    if image and call.allowed(IMAGE_METADATA, row):
        shown['volume_image_metadata'] = image
    return shown


def _metadata(row, noted):
    """The owner's metadata, and what the owner may see of the service's."""
    shown, admin = noted.metadata.get(row.id, {}), noted.admin.get(row.id, {})
    return {**shown, **{key: admin[key] for key in volume_properties.VISIBLE if key in admin}}


def _provider_id(call, _row, _beside):
    return {'provider_id': None} if call.context.is_admin else {}


def _cluster_name(call, _row, _beside):
    return {'cluster_name': None} if call.context.is_admin else {}


def _shared_targets(_call, row, _beside):
    # Below 3.69 it cannot be said that nobody knows: consumers then lock.
    shared = row.shared_targets is None or bool(row.shared_targets)
    return {'shared_targets': shared, 'service_uuid': row.service_uuid}


def _key(_call, row, _beside):
    """The key's id, but not that of the key that configuration fixes: it says nothing."""
    if row.encryption_key_id in (None, FIXED_KEY):
        return {}
    return {'encryption_key_id': row.encryption_key_id}


def _progress(call, row, beside):
    """Only for administrators, while it moves, and when there is a figure."""
    if row.migration_status != 'migrating' or not call.allowed(MIGRATION, row):
        return {}
    latest = beside.migrations.get(row.id)
    if latest is None:
        return {}
    if latest.percent is not None:
        return {'migration_progress': str(latest.percent)}
    assisted = latest.method == 'driver-assisted'
    return {'migration_progress': 'driver-assisted'} if assisted else {}


def _replication(_call, row, beside):
    return {'replication': replication(beside.replications.get(row.id))}


def replication(row):
    """What protects a volume, and how far that is; None: nothing does.

    :param row: of replications.of_volumes
    """
    if row is None:
        return None
    return {'mode': row.mode, 'scope': row.scope, 'target': row.target, 'state': row.state,
            'last_consistent_at': moment(row.last_consistent_at),
            'lag_seconds': lag_seconds(row.last_consistent_at), 'rpo_seconds': row.rpo_seconds}


def lag_seconds(last_consistent_at):
    """Seconds that a replication is behind now; None while it has no point."""
    if last_consistent_at is None:
        return None
    # The clock that took the point may be ahead of this one.
    return max(0.0, round((timeutils.utcnow() - last_consistent_at).total_seconds(), 3))


VIEW = microversion.Additions({
    '3.0': _always,
    '3.13': lambda _call, row, _beside: {'group_id': row.group_id},
    '3.21': _provider_id,
    '3.48': _shared_targets,
    '3.61': _cluster_name,
    '3.63': lambda _call, row, _beside: {'volume_type_id': row.volume_type_id},
    '3.64': _key,
    '3.65': lambda _call, row, _beside: {'consumes_quota': bool(row.consumes_quota)},
    '3.69': lambda _call, row, _beside: {'shared_targets': row.shared_targets},
    '3.72': _progress,
    '3.76': _replication,
})
"""What each version adds: function(call, row, beside) -> fields."""

PROGRESS = microversion.ByVersion({'3.0': False, '3.72': True})
REPLICATION = microversion.ByVersion({'3.0': False, '3.76': True})


class _Beside:
    """What stands in other tables about some volumes; at most four statements."""

    def __init__(self, call, rows):
        context, ids = call.context, [row.id for row in rows]
        self.noted = volume_properties.beside(context, ids, [row.volume_type_id for row in rows],
                                              [row.group_id for row in rows])
        self.attachments = attachments.of_volumes(context, ids)
        moving = [row.id for row in rows if row.migration_status == 'migrating']
        self.migrations = (volume_migrations.of_volumes(context, moving)
                           if moving and call.at(PROGRESS) else {})
        protected = [row.id for row in rows
                     if row.replication_status not in replication_states.NOT_REPLICATED
                     ] if call.at(REPLICATION) else ()
        self.replications = replications.of_volumes(context, protected) if protected else {}
        self._sees = {}

    def sees(self, call, row):
        """Which of host, project and migration the caller sees; asked once per owner."""
        owner = (row.project_id, row.user_id)
        if owner not in self._sees:
            self._sees[owner] = [call.allowed(rule, row) for rule in (HOST, PROJECT, MIGRATION)]
        return self._sees[owner]


def brief(call, row):
    """One entry of the short list."""
    return {'id': row.id, 'name': row.name,
            'links': call.links.of(call.context, 'volumes', row.id)}


def changed(call, row):
    """A volume that was just made or changed."""
    with session.reading(call.context):
        beside = _Beside(call, [row])
    return _entry(call, row, beside, VIEW.upto(call.version))


def details(call, rows):
    """All details of some volumes, in their order.

    :param rows: Core rows or models.Volume
    """
    if not rows:
        return []
    beside, parts = _Beside(call, rows), VIEW.upto(call.version)
    return [{**_entry(call, row, beside, parts), **_on_request(call, row, beside)} for row in rows]


def _entry(call, row, beside, parts):
    entry = {}
    for part in parts:
        entry.update(part(call, row, beside))
    return entry


def moment(value):
    """A time as upstream writes it: with microseconds, without a zone; UTC."""
    return value.isoformat(timespec='microseconds') if value is not None else None


def _attachment(call, row):
    return {'id': row.volume_id, 'attachment_id': row.id, 'volume_id': row.volume_id,
            'server_id': row.instance_id, 'device': row.mountpoint,
            'host_name': row.attached_host if _sees_hosts(call) else None,
            'attached_at': moment(row.attached_at)}


def _sees_hosts(call):
    """Administrators, and services: an image service finds its attachment by the host."""
    return call.context.is_admin or 'service' in call.context.roles
