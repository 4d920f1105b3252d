"""What is looked at, and put right, when attachments are reconciled with what is really used.

Whatever is changed here is compared first with what was seen: what has moved since is left alone.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import datetime
import uuid

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext.db import attachments, connections, models, session, shadow_volumes, volumes
from cinder_ext.states import attachment as states
from cinder_ext.states import migration as migration_states
from cinder_ext.states import volume as volume_states

_Attachment = models.Attachment
_Record = models.VolumeMigration
_Link = models.MigrationLink
_Snapshot = models.Snapshot
_Volume = models.Volume

FOLLOWING = (volume_states.AVAILABLE, volume_states.RESERVED, volume_states.ATTACHING,
             volume_states.DETACHING, volume_states.IN_USE)
"""Statuses of a volume that follow from its attachments."""
PASSING = (volume_states.ATTACHING, volume_states.DETACHING)
"""Statuses that a consumer sets before it changes attachments."""
_WORKING = (*migration_states.MOVING, *migration_states.TIDY, migration_states.PAUSED)
_AT_REST = (volume_states.AVAILABLE, volume_states.IN_USE, volume_states.ERROR)


@session.reader
def candidates(context, host=None, attachment_id=None):
    """Attachments to be looked at: neither going already, nor of a volume that is swapped.

    :param host: only those of volumes of ``host@backend``
    :param attachment_id: only this one
    :returns: a list of models.Attachment, oldest first
    """
    swapped = sa.select(_Record.volume_id).where(_Record.phase == migration_states.SWAPPING)
    query = (sa.select(_Attachment).join(_Volume, _Volume.id == _Attachment.volume_id)
             .where(_Attachment.deleted_at.is_(None), _Attachment.attach_status != states.DETACHING,
                    shadow_volumes.is_not_one(), _Attachment.volume_id.not_in(swapped)))
    if attachment_id is not None:
        query = query.where(_Attachment.id == attachment_id)
    query = _of_host(query, host).order_by(_Attachment.created_at, _Attachment.id)
    return list(context.session.execute(
        query.execution_options(populate_existing=True)).scalars())


@session.writer
def let_go(context, seen):
    """Have an attachment removed that is as it was seen.

    The volume service disconnects one that has a connector, with its next sweep.

    :param seen: models.Attachment as candidates() gave it
    :returns: whether it was; False when it is another by now
    """
    volumes.lock(context, seen.volume_id)
    if [_state(each) for each in candidates(context, attachment_id=seen.id)] != [_state(seen)]:
        return False
    before = attachments.begin_detach(context, seen.id)
    if before.connector is None:
        attachments.detached(context, seen.id)
    return True


def _state(attachment):
    return (attachment.attach_status, attachment.volume_id, attachment.instance_id,
            attachment.connector)


@session.reader
def differing(context, host=None, volume_id=None):
    """Volumes whose status does not follow from their attachments.

    :returns: a list of (models.Volume, a list of its attachments)
    """
    is_attached = sa.exists().where(_Attachment.volume_id == _Volume.id,
                                    _Attachment.deleted_at.is_(None))
    word = _Volume.migration_status
    query = sa.select(_Volume).where(
        _Volume.deleted_at.is_(None), _Volume.status.in_(FOLLOWING),
        sa.or_(_Volume.status != volume_states.AVAILABLE, is_attached,
               _Volume.attach_status != 'detached'),
        sa.or_(word.is_(None), word.not_in(volumes.MIGRATING)), shadow_volumes.is_not_one())
    if volume_id is not None:
        query = query.where(_Volume.id == volume_id)
    found = list(context.session.execute(
        _of_host(query, host).order_by(_Volume.created_at, _Volume.id)
        .execution_options(populate_existing=True)).scalars())
    theirs = attachments.of_volumes(context, [each.id for each in found])
    return [(each, theirs[each.id]) for each in found if _differs(each, theirs[each.id])]


def _differs(volume, its_attachments):
    event, is_attached = attachments.derived(its_attachments)
    wanted = volume_states.MACHINE.row(event).target
    if volume.status in PASSING and volume.status != wanted:
        # Said by a consumer before; how long ago, the caller looks.
        return True
    is_reserved = any(each.attach_status == states.RESERVED for each in its_attachments)
    is_right = volume.status == wanted or (
        volume.status == volume_states.RESERVED and is_reserved)
    return not is_right or (volume.attach_status == 'attached') != is_attached


@session.writer
def settle(context, volume_id):
    """Set a volume's statuses from its attachments, if they differ still; returns whether."""
    volumes.lock(context, volume_id)
    if not differing(context, volume_id=volume_id):
        return False
    attachments.settle(context, volume_id)
    return True


@session.reader
def noted_hosts(context, host=None, seconds=0):
    """Hosts connected by the old calls to volumes that nobody has: volume id -> list.

    :param seconds: for so long at least
    """
    key = models.VolumeAdminMetadata.key
    then = timeutils.utcnow() - datetime.timedelta(seconds=seconds)
    query = (sa.select(_Volume.id, key)
             .join(models.VolumeAdminMetadata, models.VolumeAdminMetadata.volume_id == _Volume.id)
             .where(_Volume.deleted_at.is_(None), _Volume.status == volume_states.AVAILABLE,
                    models.VolumeAdminMetadata.created_at <= then,
                    key.startswith(connections.PREFIX, autoescape=True)))
    found = collections.defaultdict(list)
    for volume_id, name in context.session.execute(_of_host(query, host).order_by(key)):
        found[volume_id].append(name.removeprefix(connections.PREFIX))
    return dict(found)


@session.reader
def unused_names(context, name_ids):
    """Which names of volumes and snapshots on a backend nobody has a reason to reach.

    No attachment, no migration that has work to do, and nothing that is being made or changed.

    :param name_ids: a list of what the backend's names are built from
    :returns: a set
    """
    found = set(name_ids)
    if not found:
        return found
    return found - _attached(context) - _migrating(context) - _busy(context, found)


def _attached(context):
    rows = context.session.execute(
        sa.select(_Volume.id, _Volume.name_id)
        .join(_Attachment, _Attachment.volume_id == _Volume.id)
        .where(_Attachment.deleted_at.is_(None)))
    return {name for row in rows for name in row} | set(noted_names(context))


def noted_names(context):
    """Names of the volumes that the old calls have connected somewhere."""
    rows = context.session.execute(
        sa.select(_Volume.id, _Volume.name_id)
        .join(models.VolumeAdminMetadata, models.VolumeAdminMetadata.volume_id == _Volume.id)
        .where(models.VolumeAdminMetadata.key.startswith(connections.PREFIX, autoescape=True)))
    return [name for row in rows for name in row]


def _migrating(context):
    """Names at both ends of migrations, and of the temporary volumes that they have noted."""
    found = set()
    records = context.session.execute(
        sa.select(_Record.id, _Record.source_name_id, _Record.destination_name_id,
                  _Record.leftovers).where(_Record.phase.in_(_WORKING))).all()
    for record in records:
        found |= {record.source_name_id, record.destination_name_id}
        found |= {each.get('name_id') for each in record.leftovers or []}
    links = context.session.execute(
        sa.select(_Link.source_name_id, _Link.destination_name_id)
        .where(_Link.migration_id.in_([record.id for record in records])))
    return found | {name for row in links for name in row}


def _busy(context, names):
    """Names of volumes that something is done with, and of their snapshots."""
    busy = context.session.execute(
        sa.select(_Volume.id, _Volume.name_id)
        .where(_Volume.deleted_at.is_(None), _Volume.status.not_in(_AT_REST))).all()
    of_volumes = {name for row in busy for name in row}
    of_snapshots = context.session.execute(
        sa.select(_Snapshot.id, _Snapshot.name_id).join(_Volume, _Volume.id == _Snapshot.volume_id)
        .where(_Snapshot.deleted_at.is_(None),
               sa.or_(_Snapshot.id.in_(names), _Snapshot.name_id.in_(names)),
               sa.or_(_Volume.status.not_in(_AT_REST), _Snapshot.status.not_in(
                   ('available', 'error')))))
    return of_volumes | {name for row in of_snapshots for name in row} | _reverting(context)


def _reverting(context):
    """Names of the temporary volumes through which snapshots are written back."""
    rows = context.session.execute(
        sa.select(_Snapshot.id, _Snapshot.name_id).join(_Volume, _Volume.id == _Snapshot.volume_id)
        .where(_Snapshot.deleted_at.is_(None), _Volume.status == volume_states.REVERTING))
    return {str(uuid.uuid5(uuid.UUID(row.name_id or row.id), 'revert')) for row in rows}


@session.writer
def while_unused(context, name_id, act):
    """Do something about a name that is unused still; meanwhile nothing begins with its volume.

    :param act: called without arguments, in the transaction that holds the volume's row: it must
        be quick and may be repeated
    :returns: whether it was done
    """
    for volume_id in _volumes_named(context, name_id):
        volumes.lock(context, volume_id)
    if name_id not in unused_names(context, [name_id]):
        return False
    act()
    return True


def _volumes_named(context, name_id):
    of_volumes = sa.select(_Volume.id).where(
        sa.or_(_Volume.id == name_id, _Volume.name_id == name_id))
    of_snapshots = sa.select(_Snapshot.volume_id).where(
        sa.or_(_Snapshot.id == name_id, _Snapshot.name_id == name_id))
    return sorted({*context.session.execute(of_volumes).scalars(),
                   *context.session.execute(of_snapshots).scalars()})


def _of_host(query, host):
    if host is None:
        return query
    return query.where(_Volume.host.startswith(host + '#', autoescape=True))
