"""How members of an operation end, and the operation itself."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log
from taskflow.types import failure as failures

from cinder_ext import exceptions
from cinder_ext.db import (
    failovers,
    operation_members,
    replication_failover,
    replication_operations,
)
from cinder_ext.states import replication as states

LOG = log.getLogger(__name__)

_UNFENCED = ('taken', 'fenced', 'synced')
"""Steps after which the source may have been fenced; at ``taken`` a fence may have begun."""


def text(fault):
    return getattr(fault, 'message', None) or str(fault)


def fail(work, failed):
    """Members that were not taken are not done.

    :param failed: a list of (Mate, exceptions.CinderExtError)
    """
    _log(work, failed)
    for some in chunks(failed):
        operation_members.fail(work.context, work.id, [(mate.volume.id, fault) for mate, fault in some])


def fail_forward(work, failed):
    """Members that were taken cannot be undone: they are to be moved again.

    :param failed: as for fail
    """
    _log(work, failed)
    for some in chunks(failed):
        failovers.fail(work.context, work.id, [(mate.volume.id, fault) for mate, fault in some])


def _log(work, failed):
    for mate, fault in failed:
        LOG.warning('operation %s (%s): volume %s: %s', work.id, work.verb, mate.volume.id,
                    text(fault))


def succeed(work, done):
    """Members are done.

    :param done: a list of (Mate, columns)
    """
    for some in chunks(done):
        operation_members.succeed(work.context, work.id, [
            (mate.volume.id, values) for mate, values in some])


def chunks(items, count=50):
    """What is stored in one transaction."""
    items = list(items)
    return [items[start:start + count] for start in range(0, len(items), count)]


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
    first = failed[0]
    put_back(work, unit, [(mate, culprits.get(mate.id) or exceptions.MemberRefused(
        id=mate.volume.id, reason=('all of its replication or none are moved, and of volume '
                                   f'{first[0].volume.id}: {text(first[1])}')))
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


def put_back(work, unit, failed):
    """The source is used again, the volumes are what they were before, and the members end.

    :param failed: a list of (Mate, fault)
    """
    stuck = {mate.id for mate, _ in unfence(work, unit.of(
        mate for mate, _ in failed))}
    free = [each for each in failed if each[0].id not in stuck]
    _log(work, free)
    for some in chunks(free):
        failovers.give_back(work.context, work.id, [(mate.volume.id, fault) for mate, fault in some])
    fail_forward(work, [each for each in failed if each[0].id in stuck])


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


def close(work, fault=None):
    """End the operation as its members ended.

    :param fault: of all members that have no result
    """
    closed = replication_operations.close(work.context, work.id, fault=fault)
    LOG.info('operation %s (%s %s %s) has ended: %s', work.id, work.verb, closed.scope,
             closed.protected_id, closed.state)


def settle_replications(work):
    """Each replication that was begun gets the state that follows from its members.  Idempotent."""
    rows = replication_operations.members(work.context, work.id)
    of_replication = {}
    for each in rows:
        of_replication.setdefault(each.replication_id, []).append(each)
    for some in chunks(replication_failover.replications_of(work.context, work.id)):
        settled = []
        for row in some:
            members = of_replication.get(row.id, [])
            moved = [each for each in members if each.step == 'promoted']
            failed = [each for each in members if each.result == 'failed']
            settled.append((row.id, _moved(work, row, moved) if moved else {},
                            failed[0] if failed else None))
        failovers.settle(work.context, work.id, work.is_home, settled)


def _moved(work, row, moved):
    """The columns of a replication whose members were all moved."""
    newest = max(moved, key=lambda each: each.epoch)
    points = [each.last_consistent_at for each in moved if each.last_consistent_at]
    values = {'source_side': None if work.is_home else row.target,
              'destination_side': row.target if work.is_home else None,
              'is_shipping': work.is_home, 'epoch': newest.epoch}
    if points:
        values |= {'point_id': newest.point_id, 'last_consistent_at': min(points)}
    return values


def is_over(work):
    return work.operation().state not in states.OPEN
