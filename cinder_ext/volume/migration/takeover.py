"""What whoever takes a migration up does first: keep a predecessor that may live from the destination.

No lease stops a write that is already on its way.  So when nobody knows that
the owner before is dead, the destination gets other names: what it may still
write lies in files that nothing uses, and they are removed.  Where the
backend cannot do that, the destination is begun anew.
"""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import lease, migration_copies, session, volume_migrations
from cinder_ext.drivers import capabilities
from cinder_ext.states import migration as states
from cinder_ext.volume.migration import flow, leftovers, plan

LOG = log.getLogger(__name__)

_REASON = 'a former owner of the migration may still write to it'


def settle(work, engine):
    """Remove what former attempts noted, and settle a doubt about a former owner.  Idempotent.

    Only while links are copied does an owner write to the destination.  Before and afterwards it
    is enough that nothing it stores counts, and that the destination's service refuses it.
    """
    leftovers.remove_temporaries(work)
    record = work.record()
    if record.doubtful_attempt <= record.superseded_attempt:
        return
    for name in (flow.MOVE, flow.TIDY):
        engine.forget(name, work.flow_key)
    if record.phase == states.COPYING:
        _supersede(work, record)
        leftovers.remove_temporaries(work)
    else:
        lease.settle(work.context, work.id, record.doubtful_attempt)


def _supersede(work, record):
    """Go on with the copy under other names; where that cannot be, from its beginning."""
    for method in (_rename, _begin_anew):
        if method(work, record):
            break
    work.locate()


def _rename(work, record):
    """Whether the destination has other names and all that was copied."""
    if capabilities.Supersede.word not in work.destination.examined['capabilities']:
        return False
    rows = work.rows()
    new = [plan.renamed(link, work.fence, 'superseded') for link in work.links]
    pairs = [(old.destination, link.destination) for row, old, link in zip(
        rows, work.links, new, strict=True) if link.is_head or row.sealed_at is not None]
    # The volume is to be first; what is not sealed was never whole.
    pairs.insert(0, pairs.pop())
    _note(work, [resource for _, resource in pairs])
    try:
        found = work.destination.supersede(pairs)
    except exceptions.DriverError as fault:
        LOG.warning('migration %s: the destination of a former owner cannot be renamed, it is '
                    'begun anew: %s', work.id, fault.message)
        return False
    locations = {resource.name_id: location
                 for (_, resource), location in zip(pairs, found, strict=True)}
    _store(work, record, new, locations)
    LOG.info('migration %s: the destination has other names, %s was %s', work.id,
             new[-1].destination_name_id, record.destination_name_id)
    return True


def _begin_anew(work, record):
    """The destination has other names, and nothing was copied; the flow's steps make it."""
    new = [plan.renamed(link, work.fence, 'anew') for link in work.links]
    _forget_and_store(work.context, work, record, new)
    return True


@session.writer
def _forget_and_store(context, work, record, new):
    migration_copies.forget_copies(context, work.id)
    _store(work, record, new, {})


def _store(work, record, new, locations):
    """The names, and a note of everything that has an old one, in one transaction."""
    old = [{**leftovers.described(work, work.destination, link.destination), 'temporary': True,
            'reason': _REASON} for link in plan.newest_first(work.links)]
    kept = work.record().leftovers or []
    for link in new:
        kept = volume_migrations.without(
            kept, leftovers.described(work, work.destination, link.destination))
    lease.supersede(work.context, work.id, record.doubtful_attempt,
                    [(link.number, link.destination_name_id,
                      locations.get(link.destination_name_id)) for link in new], [*kept, *old])


def _note(work, resources):
    """Before they are made, so that whoever goes on after a kill removes them."""
    for resource in reversed(resources):
        noted = leftovers.described(work, work.destination, resource)
        volume_migrations.note_leftover(work.context, work.id, {
            **noted, 'temporary': True, 'reason': 'it replaces what a former owner writes to'})
