"""What may be asked of a migration: cancel, pause, resume, retry, its limit, its leftovers.

The phase is the command: each function changes the record in one transaction,
and the volume service that works on it looks at the record again and again.
Whoever calls wakes that service afterwards; without that it finds out by
itself.  An action that the phase does not allow is refused with the reason.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_log import log
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import messages, models, session, transition, volume_migrations, volumes
from cinder_ext.states import messages as words
from cinder_ext.states import migration as states
from cinder_ext.states import volume as volume_states

LOG = log.getLogger(__name__)

_Record = models.VolumeMigration

_AGAIN = ('operation', 'requested_policy', 'include_snapshots', 'force_copy', 'verify',
          'destination_type_id', 'lock_volume', 'yield_to_attach', 'bandwidth')
"""Options of a record that its retry has too."""

_REASONS = {
    states.SCHEDULING: 'its destination is still being chosen',
    states.PREFLIGHT: 'it is running',
    states.COPYING: 'it is running',
    states.VERIFYING: 'it is running',
    states.PAUSED: 'it is paused',
    states.SWAPPING: 'the server has been asked to move to the destination, and only the compute '
                     'service knows which of the two volumes it writes to',
    states.COMMITTING: 'it is being committed',
    states.COMMITTED: 'the volume is at its destination already',
    states.TIDYING: 'the volume is at its destination and its source is being removed',
    states.LEFTOVERS: 'the volume is at its destination already',
    states.FINISHED: 'the volume is at its destination already',
    states.REVERTING: 'it has failed and its destination is being removed',
    states.CANCELLING: 'it is being cancelled',
    states.YIELDING: 'it is being cancelled for a consumer of the volume',
    states.CANCELLED: 'it was cancelled',
    states.FAILED: 'it has failed',
    states.REFUSED: 'it was never begun',
    states.UNNEEDED: 'the type was changed in place and nothing had to move',
}
"""phase -> why an action that it does not allow is refused."""


@session.writer
def cancel(context, migration_id):
    """End a migration before its commit; what it made at the destination is removed.

    One without a destination has ended at once, and its volume is free.  Of another the source's
    service removes the destination.  One that is being cancelled, or was, stays as it is.

    :returns: models.VolumeMigration
    :raises MigrationNotFound: there is none
    :raises MigrationActionRefused: past the point of no return, or it has ended
    """
    record = volume_migrations.lock(context, migration_id)
    if record.phase in (*states.CALLED_OFF, states.CANCELLED):
        return record
    return _call_off(context, record, 'cancel', {})


@session.writer
def yield_to_attach(context, volume_id):
    """Cancel the migration of a detached volume that is about to be reserved or attached.

    Called in the transaction that does that, so that either both happen or neither.  From then
    on nothing is kept away from the volume: a copy only reads it, and what was copied is removed.

    :returns: whether there was one that yields; False leaves everything as it is
    """
    found = context.session.execute(
        sa.select(_Record)
        .where(_Record.volume_id == volume_id, _Record.yield_to_attach.is_(True),
               _Record.phase.in_((states.SCHEDULING, *states.RUNNING, states.PAUSED)))
        .with_for_update().execution_options(populate_existing=True)).scalars().first()
    if found is None:
        return False
    volume = volumes.get(context, volume_id)
    if (volume.status, volume.attach_status) != (volume_states.AVAILABLE, 'detached'):
        return False
    why = exceptions.MigrationYielded()
    _call_off(context, found, 'yield', {'error': why.message, 'error_code': why.code,
                                        'remedy': why.remedy})
    return True


def _call_off(context, record, event, why):
    if record.phase == states.SCHEDULING:
        _move(context, record, 'cancelled', 'cancel-unplaced',
              {**why, 'finished_at': timeutils.utcnow()})
        _free(context, record)
    else:
        _move(context, record, 'cancelled', event, {**why, **unpaused(record)})
    return volume_migrations.get(context, record.id)


@session.writer
def end_called_off(context, migration_id):
    """The destination of a cancelled migration was removed: close the record, free the volume.

    :raises TransitionRefused: it is not being cancelled
    """
    transition.move(context, states.MACHINE, migration_id, 'cancelled',
                    {'finished_at': timeutils.utcnow()})
    record = volume_migrations.get(context, migration_id)
    _free(context, record)
    return record


def _free(context, record):
    volume_migrations.release(context, record)
    has_yielded = record.error_code == exceptions.MigrationYielded.code
    messages.create(
        context, record.project_id, record.request_id, 'VOLUME', record.volume_id,
        words.RETYPE_VOLUME if record.operation == 'retype' else words.MIGRATE_VOLUME,
        words.MIGRATION_YIELDED if has_yielded else words.MIGRATION_CANCELLED, level='INFO')


@session.writer
def pause(context, migration_id):
    """Have a migration stand still; what was copied stays.  A paused one stays paused.

    :returns: models.VolumeMigration
    :raises MigrationNotFound: there is none
    :raises MigrationActionRefused: it does not run
    """
    record = volume_migrations.lock(context, migration_id)
    if record.phase != states.PAUSED:
        _move(context, record, 'paused', 'pause', {'paused_at': timeutils.utcnow()})
    return volume_migrations.get(context, migration_id)


@session.writer
def resume(context, migration_id):
    """Let a paused migration go on from its last checkpoint.

    :returns: models.VolumeMigration
    :raises MigrationNotFound: there is none
    :raises MigrationActionRefused: it is not paused
    """
    record = volume_migrations.lock(context, migration_id)
    is_planned = bool(volume_migrations.links(context, migration_id))
    _move(context, record, 'resumed', 'resume' if is_planned else 'resume-unplanned',
          unpaused(record))
    return volume_migrations.get(context, migration_id)


def unpaused(record):
    """Columns of a record that is no longer paused."""
    if record.paused_at is None:
        return {}
    # A clock that was set back must not shorten what was counted.
    seconds = max(0.0, (timeutils.utcnow() - record.paused_at).total_seconds())
    return {'paused_at': None, 'seconds_paused': record.seconds_paused + seconds}


@session.writer
def retry(context, migration_id):
    """Begin again what has failed, was refused or cancelled: another record, the same options.

    A destination that the scheduler chose for a new type is chosen anew.

    :returns: models.VolumeMigration, the new one, in phase ``scheduling``
    :raises MigrationNotFound: there is none
    :raises MigrationActionRefused: it did not end so, or the volume is where it was to go
    :raises MigrationActive, InvalidState, VolumeNotFound, OverLimit: as volume_migrations.start
    """
    record = volume_migrations.lock(context, migration_id)
    if record.phase not in (states.FAILED, states.CANCELLED, states.REFUSED):
        raise _refusal(record, 'retried')
    volume = volumes.get(context, record.volume_id)
    values = {name: getattr(record, name) for name in _AGAIN}
    if record.destination_type_id is None:
        values['destination_host'] = record.destination_host
        if record.destination_host in (volume.host, volume.host.partition('#')[0]):
            raise _refusal(record, 'retried', f'the volume is on {volume.host} already')
    lock = 'lock' if record.lock_volume else None
    if record.operation == 'retype':
        lock = 'retype-attached' if volume.status == volume_states.IN_USE else 'retype'
    made = volume_migrations.start(context, record.volume_id, {**values, 'retry_of': record.id}, lock)
    LOG.info('migration %s is retried as %s', migration_id, made.id)
    return made


@session.reader
def retry_cleanup(context, migration_id):
    """Whether what a migration has left may be removed now: the volume service does it when woken.

    :returns: models.VolumeMigration
    :raises MigrationNotFound: there is none
    :raises MigrationActionRefused: nothing is left, or it is not the time
    """
    record = volume_migrations.get(context, migration_id)
    _refuse_clean(record, 'cleaned up')
    return record


@session.writer
def acknowledge(context, migration_id):
    """Take what is left as it is: it is listed still, and never tried again.

    :returns: models.VolumeMigration; one that had only leftovers to wait for has finished
    :raises MigrationNotFound: there is none
    :raises MigrationActionRefused: nothing is left, or it is not the time
    """
    record = volume_migrations.lock(context, migration_id)
    if record.phase == states.FINISHED and record.leftovers:
        return record
    _refuse_clean(record, 'acknowledged')
    noted = {'leftovers': [{**each, 'acknowledged': True} for each in record.leftovers]}
    if record.phase == states.LEFTOVERS:
        _move(context, record, 'acknowledged', 'acknowledge',
              {**noted, 'finished_at': timeutils.utcnow()})
    else:
        volume_migrations.update(context, migration_id, noted)
    return volume_migrations.get(context, migration_id)


def _refuse_clean(record, action):
    if record.phase not in (states.LEFTOVERS, states.FAILED, states.CANCELLED):
        raise _refusal(record, action)
    if not volume_migrations.unacknowledged(record.leftovers):
        raise _refusal(record, action, 'it has left nothing that is still to be removed')


@session.writer
def set_bandwidth(context, migration_id, bytes_per_second):
    """Limit what a migration copies from now on.

    :param bytes_per_second: None or 0: only what is configured limits it
    :returns: models.VolumeMigration
    :raises MigrationNotFound: there is none
    :raises MigrationActionRefused: it copies nothing any more
    :raises InvalidInput: a number below zero
    """
    if bytes_per_second is not None and bytes_per_second < 0:
        raise exceptions.InvalidInput(reason='bandwidth is a number of bytes per second, 0 for none.')
    record = volume_migrations.lock(context, migration_id)
    if record.phase not in (states.SCHEDULING, *states.RUNNING, states.PAUSED):
        raise _refusal(record, 'limited')
    volume_migrations.update(context, migration_id, {'bandwidth': bytes_per_second or None})
    LOG.info('migration %s: bandwidth %s', migration_id, bytes_per_second or 'not limited')
    return volume_migrations.lock(context, migration_id)


@session.reader
def command(context, migration_id):
    """What the worker on a migration has to know again and again: one cheap statement.

    :returns: a row of phase, attempt and bandwidth; None when there is no such migration
    """
    return context.session.execute(
        sa.select(_Record.phase, _Record.attempt, _Record.bandwidth)
        .where(_Record.id == migration_id)).first()


def _move(context, record, action, event, values):
    """Let an action's event happen to a record that is held.

    :param action: a participle for the refusal: 'paused'
    """
    try:
        transition.move(context, states.MACHINE, record.id, event, values)
    except exceptions.TransitionRefused as refusal:
        raise _refusal(record, action) from refusal


def _refusal(record, action, reason=None):
    return exceptions.MigrationActionRefused(
        id=record.id, action=action, phase=record.phase, reason=reason or _REASONS[record.phase])
