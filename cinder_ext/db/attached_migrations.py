"""The commit of an attached volume's migration, and the way to it: three transactions.

``begin_swap`` is the point of no return: from then on a server may move its guest.  ``commit`` and
``go_back`` end that; whoever comes first wins, and the other finds it done.  Both lock the shadow
volume's row, as every attachment of it does, so that they see how far the server is.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_log import log
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    models,
    session,
    shadow_volumes,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.states import attachment as attachment_states
from cinder_ext.states import migration as states

LOG = log.getLogger(__name__)

_Record = models.VolumeMigration


@session.writer
def begin_swap(context, migration_id, attempt):
    """A server will be asked to move its guest: the shadow volume is there from now on.

    Idempotent.

    :param attempt: number of the caller's
    :returns: models.VolumeMigration
    :raises TransitionRefused: it was cancelled or paused, or another attempt has begun
    :raises InvalidState: the volume has other attachments than the one of the server
    """
    record = _held(context, migration_id)
    values = {}
    if record.shadow_volume_id is None:
        attachment_id = _the_one_attachment(context, record)
        volume = volumes.get(context, record.volume_id)
        values = {'shadow_volume_id': shadow_volumes.create(context, record, volume),
                  'swap_requested_at': timeutils.utcnow(), 'percent': None,
                  'compute': {**(record.compute or {}), 'requests': 0,
                              'attachment_id': attachment_id}}
    transition.move(context, states.MACHINE, migration_id, 'swap', values,
                    (_Record.attempt == attempt,))
    return volume_migrations.get(context, migration_id)


def _the_one_attachment(context, record):
    """Id of the attachment of the server; not the one that it began with, if it has moved since."""
    found = attachments.of_volume(context, record.volume_id)
    if ([(each.instance_id, each.attach_status) for each in found]
            != [(record.server_id, attachment_states.ATTACHED)]):
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {record.volume_id} is not attached to server '
                                  f'{record.server_id} alone, or the server is moving.')
    return found[0].id


@session.writer
def commit(context, migration_id):
    """THE COMMIT of an attached volume: the guest is at the destination.  Idempotent.

    Not bound to an attempt: whoever learns of it, the API too, writes it down.

    :returns: models.VolumeMigration
    :raises TransitionRefused: it has gone back
    :raises InvalidState: no server has said that it uses the destination
    """
    record = _held(context, migration_id)
    if record.phase in (*states.TIDY, states.FINISHED):
        return record
    if shadow_volumes.progress(context, record.shadow_volume_id) != shadow_volumes.ATTACHED:
        raise exceptions.InvalidState(
            kind='volume', reason=f'no server uses volume {record.shadow_volume_id}.')
    transition.move(context, states.MACHINE, migration_id, 'commit')
    shadow_volumes.change_places(context, record)
    volume_migrations.swap(context, migration_id, record.attempt)
    attachments.settle(context, record.volume_id)
    volume_migrations.release(context, record)
    return volume_migrations.get(context, migration_id)


@session.writer
def go_back(context, migration_id, error, code, remedy, even_connected=False):
    """The server stays with the source: the destination is to be removed.  Idempotent.

    :param even_connected: also when the server has been told how to reach the destination
    :returns: whether it goes back; False when the guest is at the destination, or may be
    """
    record = _held(context, migration_id)
    if record.phase in (*states.UNDOING, states.FAILED, states.CANCELLED):
        return True
    stays = {shadow_volumes.ATTACHED} | (set() if even_connected else {shadow_volumes.CONNECTED})
    if (record.phase != states.SWAPPING
            or shadow_volumes.progress(context, record.shadow_volume_id) in stays):
        return False
    transition.move(context, states.MACHINE, migration_id, 'revert',
                    {'error': error, 'error_code': code, 'remedy': remedy})
    shadow_volumes.take_back(context, record.shadow_volume_id)
    attachments.settle(context, record.volume_id)
    return True


def report(context, volume_id, shadow_id, has_failed, wake):
    """Take note of how a swap ended, as the compute service or an administrator says.

    :param wake: called with the record when there is something to be done about it
    :returns: the id under which the server has its volume
    :raises InvalidState: no such migration waits for it, or it went the other way
    :raises VolumeNotFound: there is and was no such shadow volume
    """
    record = _of_shadow(context, volume_id, shadow_id)
    if record is None:
        volumes.get(context, shadow_id)
        raise exceptions.InvalidState(
            kind='volume', reason=f'no migration of volume {volume_id} waits for a server.')
    fault = exceptions.SwapFailed(reason='the compute service reports an error.')
    if not has_failed or not go_back(context, record.id, fault.message, fault.code, fault.remedy,
                                     even_connected=True):
        _commit(context, record, has_failed)
    wake(record)
    return volume_id


@session.reader
def _of_shadow(context, volume_id, shadow_id):
    return context.session.execute(
        sa.select(_Record).where(_Record.volume_id == volume_id,
                                 _Record.shadow_volume_id == shadow_id)).scalar_one_or_none()


def _commit(context, record, has_failed):
    if has_failed:
        LOG.warning('migration %s: an error is reported of a swap that has happened', record.id)
    try:
        commit(context, record.id)
    except exceptions.TransitionRefused as refusal:
        raise exceptions.InvalidState(
            kind='volume', reason=f'migration {record.id} of volume {record.volume_id} has ended '
                                  'without the new volume.') from refusal


def _held(context, migration_id):
    """The record as it is now, with the rows of the volume and of its shadow locked."""
    # Locked before anything is read: what is read then is what is committed now.
    volume_migrations.update(context, migration_id, {})
    record = volume_migrations.get(context, migration_id)
    volumes.lock(context, record.volume_id)
    if record.shadow_volume_id is not None:
        volumes.lock(context, record.shadow_volume_id)
    return record


@session.writer
def note_request(context, migration_id, attempt, compute):
    """Store what is known of the request to swap.

    :raises RecordLost: another attempt has begun, or the swap is over
    """
    changed = context.session.execute(
        sa.update(_Record)
        .where(_Record.id == migration_id, _Record.attempt == attempt,
               _Record.phase == states.SWAPPING)
        .values(compute=compute, updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False)).rowcount
    if not changed:
        raise exceptions.RecordLost(
            id=migration_id, phase=volume_migrations.get(context, migration_id).phase,
            expected=f'{states.SWAPPING} in attempt {attempt}')


@session.reader
def has_swapped(context, volume_id):
    """Whether the guest of a volume that is being swapped is at the destination already."""
    shadow_id = context.session.execute(
        sa.select(_Record.shadow_volume_id)
        .where(_Record.volume_id == volume_id, _Record.phase == states.SWAPPING)).scalar()
    return (shadow_id is not None
            and shadow_volumes.progress(context, shadow_id) == shadow_volumes.ATTACHED)
