"""Takes an operation of replication up and brings it to its end."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import backend_failovers, replication_operations
from cinder_ext.volume import engine as engines
from cinder_ext.volume.replication import flow, outcome, participants, steps
from cinder_ext.volume.replication import work as works

LOG = log.getLogger(__name__)


def go(tools, engine, context, operation_id):
    """Work on an operation, from where its record says that it stands.

    Does nothing while another process owns it, and when it has ended.

    :param tools: volume.replication.tools.Tools
    :param engine: volume.engine.Engine
    :param context: of an administrator; with the fence of the operation's lease, or the lease is
        taken
    :raises Parked: it is to be resumed: the service is stopping, the database is away, another
        process has taken it up, or it promotes and was interrupted
    """
    with works.held(tools, context, operation_id) as held:
        if held is None:
            return
        work = works.Work(tools, held, operation_id)
        with steps.parked_when_it_must_wait(work):
            _go(work, engine)


def _go(work, engine):
    if outcome.is_over(work):
        return
    asked = replication_operations.run(work.context, work.id)
    LOG.info('operation %s (%s %s %s) is worked on', work.id, work.verb, asked.scope,
             asked.protected_id)
    try:
        participants.find(work)
        work = _decided(work)
    except exceptions.CinderExtError as fault:
        if isinstance(fault, exceptions.RecordLost):
            raise
        backend_failovers.give_back(work.context, work.operation())
        outcome.close(work, fault)
        return
    for name, build in flow.of(work):
        if not engine.run(name, work.flow_key, lambda build=build: build(work), {}):
            break
    if not outcome.is_over(work):
        LOG.warning('operation %s was interrupted; it will be taken up again', work.id)
        raise engines.Parked


def _decided(work):
    """The same, forced or not, where that was left to the service: a caller could not say it."""
    if not work.facts.get(backend_failovers.FORCE_IF_NEEDED):
        return work
    is_dead = any(not _answers(work, unit) for unit in work.units(None))
    backend_failovers.decide_force(work.context, work.id, is_dead)
    return works.Work(work.tools, work.context, work.id)


def _answers(work, unit):
    """Whether the source of a replication says anything."""
    try:
        work.driver(unit).side(unit.mates[0].member.volume, unit.source)
    except exceptions.BackendDown:
        return False
    except exceptions.DriverError as fault:
        LOG.info('operation %s: the source of volume %s answers with a fault: %s', work.id,
                 unit.mates[0].volume.id, fault.message)
    return True
