"""The way of one migration through its phases: each phase says what is next.

Whoever takes a migration up, at its beginning or after a crash, calls ``go``;
where it stands is read from the record.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import functools

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import migration_claims, migration_copies, migration_facts, volume_migrations
from cinder_ext.states import migration as states
from cinder_ext.volume import engine as engines
from cinder_ext.volume.migration import (
    attached,
    flow,
    leftovers,
    outcome,
    plan,
    preflight,
    preflight_attached,
    preflight_room,
    takeover,
)
from cinder_ext.volume.migration import work as works

LOG = log.getLogger(__name__)


def go(tools, engine, context, migration_id):
    """Take a migration as far as it goes: to its end, or to what is left for later.

    :param tools: work.Tools
    :param engine: volume.engine.Engine
    :raises Parked: the service is stopping, the record says that it is to stand still, the
        database is away, or another process has taken it over

    Does nothing while another process owns it.
    """
    with tools.ownership.held(
            context, migration_id,
            lambda: has_work(volume_migrations.get(context, migration_id))) as fence:
        if fence is not None:
            with contextlib.closing(works.Work(tools, context, migration_id, fence)) as work:
                _owned(work, engine)


def _owned(work, engine):
    """Go on until somebody else owns it."""
    with engines.parked_without_database(f'migration {work.id}'):
        try:
            _go(work, engine)
        except exceptions.RecordLost as fault:
            if not work.is_superseded():
                raise
            LOG.warning('%s has a successor and stands still: %s', work.fence, fault.message)
            raise engines.Parked from fault


def _go(work, engine):
    """Go on with a migration that this process owns."""
    takeover.settle(work, engine)
    store = {'migration_id': work.id}
    if work.record().phase == states.PREFLIGHT:
        _prepare(work)
    if work.record().phase in states.MOVING:
        _move(work, engine, store)
    if work.record().phase in states.TIDY:
        engine.forget(flow.MOVE, work.flow_key)
        _tidy(work, engine, store)
    elif work.record().phase in _UNDONE and has_work(work.record()):
        leftovers.retry(work)


_UNDONE = (states.FAILED, states.CANCELLED)


def has_work(record):
    """Whether anything is to be done for a record now."""
    if record.phase in _UNDONE:
        return bool(volume_migrations.unacknowledged(record.leftovers))
    return record.phase in (*states.MOVING, *states.TIDY)


def _prepare(work):
    """Prepare, unless it is paused or called off meanwhile."""
    try:
        prepare(work)
    except exceptions.TransitionRefused:
        if work.record().phase not in (states.PAUSED, *states.CALLED_OFF):
            raise


def _move(work, engine, store):
    """Run the flow; what began to be undone is undone to its end by the record alone."""
    if work.record().phase not in states.UNDOING:
        try:
            engine.run(flow.MOVE, work.flow_key, lambda: flow.move(
                work, functools.partial(engine.tell, flow.MOVE, work.flow_key)), store)
        except engines.Parked:
            if work.tools.stopping.is_set() or not _is_called_off(work):
                raise
    if work.record().phase in states.UNDOING:
        engine.forget(flow.MOVE, work.flow_key)
        _undo(work)


def _is_called_off(work):
    return work.record().phase in states.CALLED_OFF and not work.is_superseded()


def _undo(work):
    """Remove the destination, newest to oldest, and close the record.  Idempotent."""
    work.let_go()
    leftovers.remove_temporaries(work)
    attached.disconnect(work)
    leftovers.remove_destination(work)
    migration_copies.forget_copies(work.context, work.id)
    outcome.end_undone(work)


def _tidy(work, engine, store):
    leftovers.remove_temporaries(work)
    engine.run(flow.TIDY, work.flow_key, lambda: flow.tidy(work), store)


def prepare(work):
    """Preflight, claim and plan.  A failed preflight leaves no trace but the record."""
    record = work.record()
    # Before the pool is asked what it has left: what was written since counts twice, not never.
    seen = migration_claims.outstanding(work.context, record.destination_host, work.id)
    subject = preflight_attached.asked(migration_facts.subject_of(work.context, record), record,
                                       work.tools.compute, work.context)
    verify = record.verify or work.conf.migration.verify
    found = preflight.examine(record, subject,
                              preflight.Ends(work.source, work.destination), verify, seen)
    checks = found.checks
    if not preflight.failed(checks):
        checks = _claimed(work, record, subject, found, {'verify': verify, 'seen': seen})
    if preflight.failed(checks):
        volume_migrations.update(work.context, work.id, {'checks': preflight.documents(checks)})
        fault = preflight.refusal(checks)
        outcome.fail(work.context, work.id, fault.message, fault.code, fault.remedy)


def _claimed(work, record, subject, found, how):
    """Store the plan with its claim.

    :returns: the checks: those found, or one of room failed, since another migration was first
    """
    links = plan.chain(subject.volume, subject.snapshots, record)
    totals = preflight_attached.copied_bytes(subject, found.totals)
    planned = [{**plan.columns(link), 'bytes_total': total}
               for link, total in zip(links, totals, strict=True)]
    lacking = migration_claims.save_plan(work.context, record, planned, {
        'method': found.method, 'bytes_total': sum(totals), 'percent': 0,
        **preflight_attached.columns(subject), 'checks': preflight.documents(found.checks),
        'promises': work.destination.examined['promises'], 'verify': how['verify']},
        found.claim, found.room, how['seen'])
    if lacking:
        return preflight_room.refused(found.checks, lacking, found.room, found.claim)
    LOG.info('migration %s of volume %s: %d links, %d bytes to look at, %s', work.id,
             record.volume_id, len(links), sum(totals), found.method)
    return found.checks
