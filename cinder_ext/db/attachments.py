"""Attachments: one row per consumer of a volume; the volume's status follows from them.

Every change locks the volume's row first and sets its status in the same
transaction: that of what remains (``derived``).  A volume that is not multiattach has one
attachment per host, and perhaps one without a host beside: its server is moving.
"""
# SPDX-License-Identifier: Apache-2.0

import functools

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    compact,
    migration_actions,
    models,
    server_moves,
    session,
    shadow_volumes,
    transition,
    volume_properties,
    volumes,
)
from cinder_ext.states import attachment as states
from cinder_ext.states import migration as migration_states
from cinder_ext.states import volume as volume_states

_Attachment = models.Attachment
_Volume = models.Volume

_HELD = (volume_states.AVAILABLE, volume_states.RESERVED, volume_states.ATTACHING,
         volume_states.DETACHING, volume_states.IN_USE)
"""Statuses of a volume that has, or may get, attachments."""
_MOVING = (volume_states.RESERVED, volume_states.ATTACHING, volume_states.IN_USE,
           volume_states.RETYPING)
"""Statuses of a volume whose server may get one more attachment, for another host."""

_SHOWN = compact.of_table(_Attachment.__table__, (
    'id', 'volume_id', 'instance_id', 'mountpoint', 'attached_host', 'attach_status',
    'attached_at'))


@session.reader
def get(context, attachment_id, project_id=None):
    """One attachment.

    :param project_id: only if it belongs to this project
    :raises AttachmentNotFound: there is none, or it was removed
    """
    query = sa.select(_Attachment).where(_Attachment.id == attachment_id,
                                         _Attachment.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(_Attachment.project_id == project_id)
    found = context.session.execute(
        query.execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise exceptions.AttachmentNotFound(id=attachment_id)
    return found


@session.reader
def of_volume(context, volume_id):
    """A volume's attachments, oldest first."""
    return list(context.session.execute(_of_volume(volume_id)).scalars())


def _of_volume(volume_id):
    return (sa.select(_Attachment)
            .where(_Attachment.volume_id == volume_id, _Attachment.deleted_at.is_(None))
            .order_by(_Attachment.created_at, _Attachment.id)
            .execution_options(populate_existing=True))


def _latest_of_volume(context, volume_id):
    """As of_volume, but what is committed now: MariaDB's plain reads show the transaction's start."""
    return list(context.session.execute(_of_volume(volume_id).with_for_update()).scalars())


@session.reader
def of_volumes(context, volume_ids):
    """Attachments of several volumes in one statement: volume id -> list, oldest first.

    Rows without connector and connection info, which are long and not shown in lists.
    """
    found = {volume_id: [] for volume_id in volume_ids}
    as_document = compact.is_compact(context)
    rows = context.session.execute(_of_volumes(as_document), {'volume_ids': list(found)})
    for row in _SHOWN.rows(rows, as_document):
        found[row.volume_id].append(row)
    return found


@functools.cache
def _of_volumes(as_document):
    """Made once: making a statement costs what its execution does."""
    table = _Attachment.__table__.c
    return (sa.select(*_SHOWN.selected(as_document))
            .where(table.volume_id.in_(sa.bindparam('volume_ids', expanding=True)),
                   table.deleted_at.is_(None))
            .order_by(table.created_at, table.id))


@session.writer
def reserve(context, volume_id, instance_id=None, attach_mode=None):
    """Keep a volume for a consumer; attachment and volume become ``reserved``.

    A volume that a server has is given to the same server once more (it may be moving between
    hosts), also during its migration (server_moves.py); its status stays.  A read-only volume is
    attached read only.  A migration that is to yield is cancelled.

    :returns: models.Attachment
    :raises MigrationActive: the volume is being migrated
    :raises InvalidState: the volume's status does not allow it
    :raises VolumeNotFound: there is no such volume
    """
    migration_actions.yield_to_attach(context, volume_id)
    _admit(context, volume_id, instance_id, volume_states.MACHINE.states)
    volume = volumes.get(context, volume_id)
    if shadow_volumes.is_one(volume):
        shadow_volumes.admit(context, volume, instance_id)
    allowed = ((volume_states.AVAILABLE, volume_states.IN_USE) if volume.multiattach
               else (volume_states.AVAILABLE,))
    if volume.status in allowed:
        transition.move(context, volume_states.MACHINE, volume_id, 'reserve')
    elif not _same_server(context, volume, instance_id):
        raise exceptions.InvalidState(
            kind='volume', reason=(f'volume {volume_id} cannot be reserved: its status is '
                                   f"{volume.status}, expected one of {', '.join(allowed)}."))
    if volume_properties.is_readonly(context, volume_id):
        attach_mode = 'ro'
    return transition.insert(context, states.MACHINE, {
        'volume_id': volume_id, 'project_id': volume.project_id, 'instance_id': instance_id,
        'attach_mode': attach_mode})


def _admit(context, volume_id, instance_id, statuses):
    """Lock a volume that may be attached by a server.

    :raises MigrationActive, InvalidState, VolumeNotFound: it may not
    """
    try:
        volumes.hold(context, volume_id, 'be attached', statuses, even_shadow=context.is_admin)
    except exceptions.MigrationActive:
        volumes.lock(context, volume_id)
        if not server_moves.is_admitted(context, volume_id, instance_id):
            raise


def _same_server(context, volume, instance_id):
    if instance_id is None or volume.status not in _MOVING:
        return False
    return any(each.instance_id == instance_id for each in _latest_of_volume(context, volume.id))


@session.reader
def repeated(context, volume_id, instance_id, connector):
    """The attachment that a request to reserve and connect has made before, if it is repeated.

    :returns: models.Attachment, or None
    """
    return next((each for each in of_volume(context, volume_id)
                 if instance_id is not None and each.instance_id == instance_id
                 and each.attach_status == states.ATTACHING and each.connector == connector), None)


@session.writer
def connect(context, attachment_id, connector):
    """Store the consumer's connector; the attachment becomes ``attaching``.

    Nothing is exported yet: the volume service reads the connector from the row.  Idempotent.
    What is attached stays so, and stays on its host.  What was connected to another host and
    never attached leaves that: a new attachment that is ``detaching`` stands for the old host.

    :param connector: os-brick's document; ``host``, ``mountpoint`` and ``mode`` are kept as columns
    :returns: models.Attachment
    :raises MigrationActive, InvalidState: of the volume
    :raises Conflict: another attachment has it connected to that host, or it is attached elsewhere
    :raises AttachmentNotFound: there is no such attachment
    """
    attachment = _hold(context, attachment_id)
    _refuse_host(context, attachment, connector.get('host'))
    columns = {'connector': connector, 'attached_host': connector.get('host'),
               'mountpoint': connector.get('mountpoint'),
               'attach_mode': attachment.attach_mode or connector.get('mode') or 'rw'}
    if attachment.attach_status == states.ATTACHED:
        _update(context, attachment_id, columns)
    else:
        if attachment.connector and attachment.attached_host != connector.get('host'):
            _leave_host(context, attachment)
            columns['connection_info'] = sa.null()
        transition.move(context, states.MACHINE, attachment_id, 'connect', columns,
                        (_Attachment.deleted_at.is_(None),))
    _derive(context, attachment.volume_id)
    return get(context, attachment_id)


def _refuse_host(context, attachment, host):
    """A volume that is not multiattach has one connection per host; what is attached stays there."""
    if attachment.attach_status == states.ATTACHED and attachment.attached_host not in (None, host):
        raise exceptions.Conflict(
            f'attachment {attachment.id} is attached to host {attachment.attached_host}: another '
            'host needs another attachment.')
    if volumes.get(context, attachment.volume_id).multiattach:
        return
    for other in _latest_of_volume(context, attachment.volume_id):
        if (other.id != attachment.id and other.connector and other.attached_host == host
                and other.attach_status in (states.ATTACHING, states.ATTACHED)):
            raise exceptions.Conflict(
                f'volume {attachment.volume_id} is already connected to host '
                f'{other.attached_host} by attachment {other.id}.')


def _leave_host(context, attachment):
    """Have an attachment's host disconnected, since it is going to be connected to another one."""
    kept = {name: getattr(attachment, name) for name in (
        'volume_id', 'project_id', 'instance_id', 'attached_host', 'mountpoint', 'attach_mode',
        'connector', 'connection_info')}
    row = transition.insert(context, states.MACHINE, kept)
    transition.move(context, states.MACHINE, row.id, 'detach')


def _update(context, attachment_id, columns):
    context.session.execute(
        sa.update(_Attachment)
        .where(_Attachment.id == attachment_id, _Attachment.deleted_at.is_(None))
        .values(**columns, updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False))


@session.writer
def store_connection(context, attachment_id, connection_info, connector=None):
    """Keep what the backend gave out for an attachment that is being connected.

    :param connector: for which it was given out; None: not looked at
    :raises AttachmentNotFound: it was removed meanwhile, or given another connector; the caller
        disconnects
    """
    row = _held_row(context, attachment_id)
    if row is None or row.attach_status not in (states.ATTACHING, states.ATTACHED) or (
            connector is not None and row.connector != connector):
        raise exceptions.AttachmentNotFound(id=attachment_id)
    _update(context, attachment_id, {'connection_info': connection_info})


def _held_row(context, attachment_id):
    return context.session.execute(
        sa.select(_Attachment)
        .where(_Attachment.id == attachment_id, _Attachment.deleted_at.is_(None))
        .with_for_update().execution_options(populate_existing=True)).scalar_one_or_none()


@session.writer
def connect_failed(context, attachment_id, connector=None):
    """The backend could not connect it: ``error_attaching``; the volume follows the others.

    What is attached stays so.

    :param connector: as for store_connection: with another one by now, nothing happens
    """
    attachment = _held(context, attachment_id)
    if connector is None or attachment.connector == connector:
        transition.try_move(context, states.MACHINE, attachment_id, 'connect-failed')
        _derive(context, attachment.volume_id)


@session.writer
def complete(context, attachment_id):
    """The consumer is done: attachment ``attached``, volume ``in-use``.  Idempotent.

    :returns: models.Attachment
    :raises MigrationActive, InvalidState: of the volume or of the attachment
    :raises AttachmentNotFound: there is no such attachment
    """
    attachment = _hold(context, attachment_id)
    _event(context, attachment, 'complete', {
        'attached_at': attachment.attached_at or timeutils.utcnow()},
        (_Attachment.deleted_at.is_(None),))
    _derive(context, attachment.volume_id)
    return get(context, attachment_id)


@session.writer
def begin_detach(context, attachment_id):
    """Let a removal begin: attachment ``detaching``.  Idempotent.

    The volume keeps its status until the backend has disconnected it (``detached``).

    :returns: models.Attachment as it was before
    :raises AttachmentNotFound: there is no such attachment
    """
    attachment = _held(context, attachment_id)
    context.session.expunge(attachment)
    _event(context, attachment, 'detach')
    return attachment


@session.writer
def detached(context, attachment_id):
    """Remove an attachment; the volume's status follows from those that remain.

    Idempotent.

    :returns: the volume's remaining attachments, oldest first
    :raises AttachmentNotFound: there never was such an attachment
    """
    row = context.session.execute(
        sa.select(_Attachment).where(_Attachment.id == attachment_id)).scalar_one_or_none()
    if row is None:
        raise exceptions.AttachmentNotFound(id=attachment_id)
    if row.deleted_at is None:
        _held(context, attachment_id)
        now = timeutils.utcnow()
        context.session.execute(
            sa.update(_Attachment)
            .where(_Attachment.id == attachment_id, _Attachment.deleted_at.is_(None))
            .values(deleted_at=now, detached_at=now, updated_at=now)
            .execution_options(synchronize_session=False))
        volume_properties.drop_admin(context, row.volume_id, volume_properties.ATTACHED_MODE)
        _derive(context, row.volume_id)
        transition.note(context, 'attachment', attachment_id, 'deleted')
    return of_volume(context, row.volume_id)


@session.writer
def let_go(context, volume_id):
    """Remove all of a volume's attachments, whatever their consumers do: an administrator's word."""
    for each in of_volume(context, volume_id):
        detached(context, each.id)


@session.writer
def settle(context, volume_id):
    """Set a volume's statuses from its attachments: for a consumer that was not noted."""
    volumes.lock(context, volume_id)
    _derive(context, volume_id)


@session.writer
def detach_failed(context, attachment_id):
    """The backend could not disconnect it: ``error_detaching``; it may be detached again."""
    attachment = _held(context, attachment_id)
    transition.move(context, states.MACHINE, attachment_id, 'detach-failed')
    _derive(context, attachment.volume_id)


@session.reader
def unfinished(context, host):
    """A backend's attachments that are to be removed and still exist, oldest first.

    :param host: ``host@backend``
    :returns: rows of id and volume_id
    """
    return context.session.execute(
        sa.select(_Attachment.id, _Attachment.volume_id)
        .join(_Volume, _Volume.id == _Attachment.volume_id)
        .where(_Attachment.deleted_at.is_(None), _Attachment.attach_status == states.DETACHING,
               _Volume.host.startswith(host + '#', autoescape=True))
        .order_by(_Attachment.created_at, _Attachment.id)).all()


def _hold(context, attachment_id):
    """Lock the attachment's volume where it may be attached."""
    attachment = get(context, attachment_id)
    _admit(context, attachment.volume_id, attachment.instance_id, _HELD)
    return get(context, attachment_id)


def _held(context, attachment_id):
    """Lock the attachment's volume whatever its status: letting go is always allowed."""
    volumes.lock(context, get(context, attachment_id).volume_id)
    return get(context, attachment_id)


def _event(context, attachment, event, values=None, where=()):
    try:
        transition.move(context, states.MACHINE, attachment.id, event, values, where)
    except exceptions.TransitionRefused as refusal:
        raise exceptions.InvalidState(
            kind='attachment', reason=(
                f'attachment {attachment.id} cannot {event}: its status is '
                f"{refusal.facts['current']}, expected one of {refusal.facts['expected']}.")
        ) from refusal


def _derive(context, volume_id):
    """Set the volume's statuses from its attachments.

    A status that has nothing to do with attachments (``error``, ``retyping``) stays.  So do both
    while a server swaps the volume: it lets the old place go before the new one is the volume's.
    """
    if _is_swapped(context, volume_id):
        return
    event, is_attached = derived(_latest_of_volume(context, volume_id))
    transition.try_move(context, volume_states.MACHINE, volume_id, event)
    transition.move(context, volume_states.ATTACH, volume_id,
                    'attached' if is_attached else 'detached')


def _is_swapped(context, volume_id):
    record = models.VolumeMigration
    return context.session.execute(
        sa.select(record.id).where(record.volume_id == volume_id,
                                   record.phase == migration_states.SWAPPING)
        .limit(1).with_for_update(read=True)).first() is not None


def derived(remaining):
    """What a volume's attachments make of it: (event of its status, whether it is attached).

    What is being detached, or could not be, is attached until it is gone.

    :param remaining: rows with attach_status and attached_at
    """
    found = {each.attach_status for each in remaining}
    if states.ATTACHED in found or any(
            each.attached_at is not None and each.attach_status in states.LEAVING
            for each in remaining):
        return 'attached', True
    if states.ATTACHING in found:
        return 'connect', False
    return ('still-reserved' if found else 'detached'), False
