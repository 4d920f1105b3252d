"""How a migration moves through its phases and ends: record, message, log."""
# SPDX-License-Identifier: Apache-2.0

from oslo_db import exception as oslo_db_exception
from oslo_log import log
from oslo_utils import timeutils
from taskflow.types import failure as failures

from cinder_ext import exceptions
from cinder_ext.db import away, messages, migration_actions, session, transition, volume_migrations
from cinder_ext.states import messages as words
from cinder_ext.states import migration as states

LOG = log.getLogger(__name__)

DATABASE_FAULTS = (oslo_db_exception.DBError, *away.FAULTS)
"""What a lost connection looks like; the transaction may have been committed."""

DATABASE_AWAY = away.FAULTS
"""What passes, a full disk of the database among it; nothing can be decided before."""

_DETAILS = {
    exceptions.PreflightFailed.code: words.PREFLIGHT_FAILED,
    exceptions.VerifyFailed.code: words.VERIFY_FAILED,
    exceptions.NoSpace.code: words.DESTINATION_FULL,
}


def enter(work, event, values=None):
    """Move the record; entering a phase again is no error."""
    transition.move(work.context, states.MACHINE, work.id, event, values)


def is_committed(work):
    """Whether the volume is at its destination, by the record."""
    return work.record().phase in (*states.TIDY, states.FINISHED)


def begin_revert(work, flow_failures):
    """Note that the destination is being removed, and why.

    :param flow_failures: taskflow's failures by step
    :returns: False when the record is committed: nothing may be undone then
    """
    record = work.record()
    if record.phase in (*states.TIDY, states.FINISHED):
        LOG.error('migration %s is committed; its undoing is refused', work.id)
        return False
    if record.phase not in states.UNDOING:
        try:
            enter(work, 'revert', {**_explained(flow_failures),
                                    **migration_actions.unpaused(record)})
        except exceptions.TransitionRefused:
            # It was called off in this moment: undone it is, too.
            if work.record().phase not in states.UNDOING:
                raise
    return True


def end_undone(work):
    """The destination was removed: close the record, free the volume, tell its owner."""
    record = work.record()
    if record.phase in (states.FAILED, states.CANCELLED):
        return
    if record.phase in states.CALLED_OFF:
        migration_actions.end_called_off(work.context, work.id)
        LOG.info('migration %s of volume %s is cancelled', work.id, record.volume_id)
        return
    fail(work.context, work.id, record.error or 'unknown', record.error_code, record.remedy)


@session.writer
def fail(context, migration_id, error, code, remedy):
    """End a migration as failed, with a message for the volume's owner, in one transaction."""
    record = volume_migrations.fail(context, migration_id, 'fail', error, code, remedy)
    _tell(context, record, _DETAILS.get(code, words.MIGRATION_FAILED), remedy)
    LOG.error('migration %s of volume %s failed: %s %s', migration_id, record.volume_id, error,
              remedy)


def finish(work):
    """Close the record when nothing is left at the source; else leave it to be tried again."""
    record = work.record()
    if record.phase == states.FINISHED:
        return
    if record.leftovers:
        _leave(work.context, record)
    else:
        enter(work, 'finish', {'finished_at': timeutils.utcnow()})
        LOG.info('migration %s of volume %s has finished at %s', work.id, record.volume_id,
                 record.destination_host)


@session.writer
def _leave(context, record):
    remedy = ('The volume is whole at its destination. What is listed as leftovers is removed '
              'as soon as its backend lets it be.')
    transition.move(context, states.MACHINE, record.id, 'leave', {'remedy': remedy})
    if record.remedy != remedy:
        _tell(context, record, words.LEFTOVERS, None)
    LOG.warning('migration %s left %d things at %s', record.id, len(record.leftovers),
                record.source_host)


def _tell(context, record, detail, text):
    action = words.RETYPE_VOLUME if record.operation == 'retype' else words.MIGRATE_VOLUME
    if detail == words.LEFTOVERS:
        action = words.TIDY_MIGRATION
    messages.create(context, record.project_id, record.request_id, 'VOLUME', record.volume_id,
                    action, detail, text or None)


def _explained(flow_failures):
    """What the record says of the first failure: text, code, remedy.

    After a restart a failure has only the names of its error's classes and its text.
    """
    failure = next(iter((flow_failures or {}).values()), None)
    if not isinstance(failure, failures.Failure):
        return _columns('unknown', exceptions.MigrationError)
    fault = failure.exception
    if isinstance(fault, exceptions.CinderExtError):
        return _columns(fault.message, fault)
    names = (name.rpartition('.')[2] for name in failure)
    kinds = (getattr(exceptions, name, None) for name in names)
    # The text of an error that came from another service ends with its traceback.
    return _columns(failure.exception_str.partition('\n')[0],
                    next(filter(None, kinds), exceptions.MigrationError))


def _columns(text, kind):
    return {'error': text, 'error_code': kind.code, 'remedy': kind.remedy}
