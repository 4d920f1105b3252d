"""The flows of the operations, step by step.

*prepare* can be undone; its last step says that the operation promotes.  *promote* goes forward
only: it is derived from the rows of the members, never from what a flow remembers.  The names of
the flows and their steps are stored and must not change.
"""
# SPDX-License-Identifier: Apache-2.0

from taskflow.patterns import linear_flow

from cinder_ext.volume.replication import failback, failover, points, resync, steps

PREPARE = 'replication-prepare'
PROMOTE = 'replication-promote'
RETURN = 'replication-return'


def prepare(work):
    """Take the volumes and keep writes away from the source; a planned one ships the rest."""
    flow = linear_flow.Flow(PREPARE)
    flow.add(steps.own_failure(work), failover.take_members(work), failover.fence_members(work))
    flow.add(failover.choose_points(work) if work.force else failover.sync_members(work))
    flow.add(failover.begin_promotion(work))
    return flow


def go_back(work):
    """As prepare, for the way home: home receives first, while the volumes are in use."""
    flow = linear_flow.Flow(RETURN)
    flow.add(steps.own_failure(work), failback.prepare_home(work), failback.ship_home(work),
             failover.take_members(work), failover.fence_members(work),
             failover.sync_members(work), failover.begin_promotion(work))
    return flow


def promote(work):
    """Make the other side the one that is used."""
    flow = linear_flow.Flow(PROMOTE)
    flow.add(failover.promote_members(work))
    if not work.force:
        flow.add(failover.demote_source(work))
    flow.add(failover.connect_servers(work), failover.close_members(work),
             steps.close_operation(work))
    return flow


def _of_one_step(name, step):
    def build(work):
        flow = linear_flow.Flow(name)
        flow.add(steps.own_failure(work), step(work), steps.close_operation(work))
        return flow
    return build


DRY_RUN = 'replication-dry-run'
dry_run = _of_one_step(DRY_RUN, points.examine_members)
"""Say what would come of it."""

FLOWS = {
    'failover': ((PREPARE, prepare), (PROMOTE, promote)),
    'failback': ((RETURN, go_back), (PROMOTE, promote)),
    'reprotect': (('replication-reprotect',
                   _of_one_step('replication-reprotect', failback.turn_members)),),
    'resync': (('replication-resync', _of_one_step('replication-resync', resync.resync_members)),),
    'sync_now': (('replication-sync', _of_one_step('replication-sync', points.ship_members)),),
    'test': (('replication-test', _of_one_step('replication-test', points.clone_members)),),
}
"""By the verb: the flows, one after the other, each a name and a builder."""


def of(work):
    """The flows of an operation that are left to be run."""
    if work.dry_run:
        return ((DRY_RUN, dry_run),)
    # Forced, nothing is shipped: it is the same in both directions.
    found = FLOWS['failover' if work.force and work.verb == 'failback' else work.verb]
    return found[1:] if work.is_promoting else found
