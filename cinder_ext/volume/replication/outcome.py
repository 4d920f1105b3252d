"""How members of an operation end, and the operation itself."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log
from taskflow.types import failure as failures

from cinder_ext import exceptions
from cinder_ext.db import backend_failovers, failovers, operation_members
from cinder_ext.states import replication as states

LOG = log.getLogger(__name__)

_UNFENCED = ('taken', 'fenced', 'synced')
"""Steps after which the source may have been fenced; at ``taken`` a fence may have begun."""


def explained(fault):
    """What a record says of a fault: columns."""
    if isinstance(fault, exceptions.CinderExtError):
        return {'error': fault.message, 'error_code': fault.code, 'remedy': fault.remedy or None}
    return {'error': str(fault), 'error_code': exceptions.CinderExtError.code, 'remedy': None}


def fail(work, failed):
    """Members are not done.

    :param failed: a list of (Mate, fault)
    """
    ended = {mate.id: ('member-failed', explained(fault)) for mate, fault in failed}
    for mate, fault in failed:
        LOG.warning('operation %s (%s): volume %s: %s', work.id, work.verb, mate.volume.id,
                    explained(fault)['error'])
    operation_members.end(work.context, ended)


def succeed(work, done):
    """Members are done.

    :param done: Mate -> columns
    """
    operation_members.end(work.context, {
        mate.id: ('member-done', values) for mate, values in done.items()})


def drop(work, unit, failed):
    """Members of a unit cannot go on, and nothing of it is promoted: they are put back and end.

    Where all are moved or none, the others are put back too.

    :param failed: a list of (Mate, fault)
    """
    if not failed:
        return
    culprits = {mate.id: fault for mate, fault in failed}
    mates = unit.mates if work.is_strict(unit) else [
        mate for mate in unit.mates if mate.id in culprits]
    put_back(work, unit.of(mates))
    first = failed[0]
    fail(work, [(mate, culprits.get(mate.id) or exceptions.MemberRefused(
        id=mate.volume.id, reason=('all of its replication or none are moved, and of volume '
                                   f'{first[0].volume.id}: {explained(first[1])["error"]}')))
        for mate in mates])


def drop_all(work, failed):
    """As drop, for members of several units.

    :param failed: a list of ((Unit, Mate), fault)
    """
    if not failed:
        return
    now = {unit.replication.id: unit for unit in work.units()}
    of_unit = {}
    for (unit, mate), fault in failed:
        of_unit.setdefault(unit.replication.id, []).append((mate, fault))
    for key, faults in of_unit.items():
        drop(work, now[key], faults)


def put_back(work, unit):
    """The source is used again, and the volumes are what they were before."""
    not_freed = unfence(work, unit)
    failovers.give_back(work.context, [mate.row for mate in unit.mates if mate.row.step],
                        {mate.id for mate, _ in not_freed})
    for mate, fault in not_freed:
        LOG.error('operation %s: volume %s stays fenced at its source: %s', work.id,
                  mate.volume.id, explained(fault)['error'])


def unfence(work, unit):
    """Take the fences of the source back.

    :returns: a list of (Mate, fault): those for which it could not be done
    """
    driver = work.driver(unit)
    _, failed = work.each(
        lambda mate: driver.unfence(mate.member, unit.source, mate.row.epoch - 1),
        [mate for mate in unit.mates if mate.row.step in _UNFENCED])
    return failed


def of_failure(flow_failures):
    """The fault that a flow was reverted for.

    After a restart a failure has only the names of its error's classes and its text.
    """
    failure = next(iter((flow_failures or {}).values()), None)
    if not isinstance(failure, failures.Failure):
        return exceptions.CinderExtError('unknown')
    if isinstance(failure.exception, exceptions.CinderExtError):
        return failure.exception
    return exceptions.CinderExtError(failure.exception_str.partition('\n')[0] or 'unknown')


def refuse(work, fault):
    """The operation cannot be done at all: every member that is not done has failed."""
    fail(work, [(mate, fault) for unit in work.units() for mate in unit.mates])
    left = operation_members.of_operation(work.context, work.id, ('pending',))
    operation_members.end(work.context, {
        row.id: ('member-failed', explained(fault)) for row in left})
    backend_failovers.give_back(work.context, work.operation())
    close(work, explained(fault))


def close(work, values=None):
    """End the operation."""
    state = operation_members.close(work.context, work.id, values)
    LOG.info('operation %s (%s %s %s) has ended: %s', work.id, work.verb,
             work.operation().scope, work.operation().protected_id, state)


def end_replications(work):
    """Each replication that was taken gets the state that follows from its members. Idempotent."""
    former = work.facts.get('former', {})
    rows = operation_members.of_operation(work.context, work.id)
    found = operation_members.replications(work.context, list(former))
    for replication_id, row in found.items():
        members = [each for each in rows if each.replication_id == replication_id]
        _end_replication(work, row, former[replication_id], members)


def _end_replication(work, row, former, members):
    moved = [each for each in members if each.step in ('promoted', 'kept')]
    failed = [each for each in members if each.result == 'failed' and each.step]
    left = operation_members.volumes(work.context, [each.volume_id for each in members])
    stuck = [each for each in failed if each.volume_id in left
             and left[each.volume_id].replication_status == 'failover-error']
    if stuck or (moved and failed):
        failovers.end_replication(work.context, row.id, 'failover-failed', {
            'error': failed[0].error, 'error_code': failed[0].error_code,
            'remedy': 'See the members of the operation; then ask for it again.'})
    elif moved:
        failovers.end_replication(work.context, row.id, *_moved(work, row, moved))
    else:
        failovers.give_back_replication(work.context, row.id, former)


def _moved(work, row, moved):
    """The event and the columns of a replication whose members were all moved."""
    is_back = work.verb == 'failback'
    newest = max(moved, key=lambda each: each.epoch)
    points = [each.last_consistent_at for each in moved if each.last_consistent_at]
    target = row.target
    values = {'source_side': None if is_back else target,
              'destination_side': target if is_back else None, 'is_shipping': is_back,
              'epoch': newest.epoch,
              'conditions': conditions(row, split_brain=None, completed=None)}
    if points:
        values |= {'point_id': newest.point_id, 'last_consistent_at': min(points)}
    return ('failed-back' if is_back else 'failed-over'), values


def conditions(row, **words):
    """The conditions of a replication with some of them set; None takes one away."""
    found = {**(row.conditions or {}), **words}
    return {word: fact for word, fact in found.items() if fact is not None}


def event_of(work):
    """The event of a volume that is where the operation brought it."""
    return 'failed-back' if work.verb == 'failback' else 'failed-over'


def is_over(work):
    return work.operation().state not in states.OPEN
