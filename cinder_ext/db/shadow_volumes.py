"""Shadow volumes: the row by which a server is given the destination of a migrating volume.

A server that swaps its volume for another one needs an id for the other one.  Its row has the
``migration_status`` ``target:ID``, with the id of the volume that moves; it consumes no quota, is
in no list, and can be attached once, by an administrator (as whom the compute service comes), to the
one server that is asked to swap.  With the commit the
two rows change places: the shadow volume then stands for the source, until that is removed.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils, uuidutils

from cinder_ext import exceptions
from cinder_ext.db import models, session, transition, volumes
from cinder_ext.states import attachment as attachment_states
from cinder_ext.states import migration as states
from cinder_ext.states import volume as volume_states

_Attachment = models.Attachment
_Volume = models.Volume
_Record = models.VolumeMigration

NONE, RESERVED, CONNECTED, ATTACHED, REMOVED = 'none', 'reserved', 'connected', 'attached', 'removed'
"""How far a server is with a shadow volume.  ATTACHED is final: its guest writes there."""


def is_one(volume):
    """Whether a row of a volume is a shadow."""
    return (volume.migration_status or '').startswith(volumes.SHADOW)


def is_not_one():
    """The condition that leaves shadows out of a query."""
    word = _Volume.migration_status
    return sa.or_(word.is_(None), word.not_like(f'{volumes.SHADOW}%'))


@session.writer
def create(context, record, volume):
    """The shadow of a volume that moves; returns its id."""
    row = transition.insert(context, volume_states.MACHINE, {
        'id': uuidutils.generate_uuid(), 'name_id': record.destination_name_id,
        'project_id': volume.project_id, 'user_id': volume.user_id, 'name': volume.name,
        'description': volume.description, 'size': volume.size, 'host': record.destination_host,
        'availability_zone': volume.availability_zone, 'bootable': volume.bootable,
        'volume_type_id': record.destination_type_id or record.source_type_id,
        'provider_location': record.destination_location, 'consumes_quota': False,
        'encryption_key_id': volume.encryption_key_id,
    }, volume_states.AVAILABLE, also={'attach_status': 'detached',
                                      'migration_status': volumes.SHADOW + volume.id})
    return row.id


@session.reader
def record_of(context, shadow_id):
    """The migration that a shadow volume belongs to; None when there is none."""
    return context.session.execute(
        sa.select(_Record).where(_Record.shadow_volume_id == shadow_id)
        .execution_options(populate_existing=True)).scalar_one_or_none()


@session.writer
def admit(context, shadow, instance_id):
    """Refuse an attachment of a shadow volume that is not the one that was asked for.

    The shadow's row is locked by the caller.

    :raises Conflict: nobody is to have it now, or somebody has it, or another server asks
    """
    record = record_of(context, shadow.id)
    if record is None or record.phase != states.SWAPPING:
        raise exceptions.Conflict(f'volume {shadow.id} is not to be attached.')
    if instance_id != record.server_id:
        raise exceptions.Conflict(
            f'volume {shadow.id} is to be attached by server {record.server_id} only.')
    if progress(context, shadow.id) != NONE:
        raise exceptions.Conflict(f'volume {shadow.id} has been attached already.')


@session.reader
def attachments(context, shadow_id):
    """All attachments that a shadow volume has had, oldest first; removed ones too."""
    return list(context.session.execute(
        sa.select(_Attachment).where(_Attachment.volume_id == shadow_id)
        .order_by(_Attachment.created_at, _Attachment.id).with_for_update(read=True)
        .execution_options(populate_existing=True)).scalars())


@session.reader
def progress(context, shadow_id):
    """How far a server is with a shadow volume: NONE to REMOVED."""
    found = attachments(context, shadow_id)
    if any(each.attached_at is not None for each in found):
        return ATTACHED
    alive = [each for each in found if each.deleted_at is None]
    if not alive:
        return REMOVED if found else NONE
    return (RESERVED if all(each.attach_status == attachment_states.RESERVED for each in alive)
            else CONNECTED)


@session.reader
def is_written(context, attachment):
    """Whether a guest writes by an attachment of a shadow volume, taken back or not.

    So it is from the moment at which that is completed until the swap is over: what it was
    connected to is the volume's from then on, and the old attachment leads there.
    """
    if attachment.attached_at is None or not is_one(volumes.get(context, attachment.volume_id)):
        return False
    record = record_of(context, attachment.volume_id)
    return record is not None and record.phase == states.SWAPPING


@session.writer
def take_back(context, shadow_id):
    """Remove the attachments of a shadow volume: what their consumer says then comes too late."""
    now = timeutils.utcnow()
    context.session.execute(
        sa.update(_Attachment)
        .where(_Attachment.volume_id == shadow_id, _Attachment.deleted_at.is_(None))
        .values(deleted_at=now, detached_at=now, updated_at=now)
        .execution_options(synchronize_session=False))


@session.writer
def discard(context, record):
    """Remove the shadow of a migration that is over, and what hangs on it.  Idempotent."""
    if record.shadow_volume_id is None:
        return
    take_back(context, record.shadow_volume_id)
    now = timeutils.utcnow()
    context.session.execute(
        sa.update(_Volume).where(_Volume.id == record.shadow_volume_id)
        .values(deleted_at=now, terminated_at=now, updated_at=now)
        .execution_options(synchronize_session=False))


@session.writer
def change_places(context, record):
    """The commit: attachments of the shadow become the volume's, and the other way round.

    When the server has its volume by the new place, but has taken its new attachment back, the old
    attachment stays and leads to the new place.
    """
    volume_id, shadow_id = record.volume_id, record.shadow_volume_id
    olds = _of(context, volume_id)
    news = attachments(context, shadow_id)
    alive = [each for each in news if each.deleted_at is None]
    if alive:
        _give(context, [each.id for each in olds], shadow_id)
        _give(context, [each.id for each in alive], volume_id)
    else:
        told = next((each.connection_info for each in reversed(news)
                     if each.attached_at is not None), None)
        for each in olds:
            _tell(context, each, told)
    context.session.execute(
        sa.update(_Volume).where(_Volume.id == shadow_id)
        .values(host=record.source_host, name_id=record.source_name_id,
                provider_location=record.source_location, volume_type_id=record.source_type_id)
        .execution_options(synchronize_session=False))


def _of(context, volume_id):
    return list(context.session.execute(
        sa.select(_Attachment).where(_Attachment.volume_id == volume_id,
                                     _Attachment.deleted_at.is_(None))
        .with_for_update()).scalars())


def _give(context, attachment_ids, volume_id):
    context.session.execute(
        sa.update(_Attachment).where(_Attachment.id.in_(attachment_ids))
        .values(volume_id=volume_id, updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False))


def _tell(context, attachment, connection_info):
    if connection_info is None or attachment.connection_info is None:
        return
    context.session.execute(
        sa.update(_Attachment).where(_Attachment.id == attachment.id)
        .values(connection_info={**connection_info, 'attachment_id': attachment.id},
                updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False))
