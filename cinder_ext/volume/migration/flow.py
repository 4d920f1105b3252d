"""The two flows of a migration, step by step.

*move* can be undone; its last step is the commit.  *tidy* goes forward only:
a fault after the commit must not undo the commit, so it is a flow of its own.
The names of the flows and their steps are stored and must not change.
"""
# SPDX-License-Identifier: Apache-2.0

from taskflow.patterns import linear_flow

from cinder_ext.volume.migration import tasks

MOVE = 'move'
TIDY = 'tidy'


def move(work):
    """Build the chain at the destination, prove it, swap the records."""
    flow = linear_flow.Flow(MOVE)
    flow.add(tasks.own_failure(work), tasks.create_target(work))
    for link in work.links:
        flow.add(tasks.copy_link(work, link))
        if not link.is_head:
            flow.add(tasks.seal_link(work, link))
    if work.verify != 'off':
        flow.add(tasks.verify_chain(work))
    flow.add(tasks.swap_records(work))
    return flow


def tidy(work):
    """Remove the source: snapshots newest to oldest, then the volume."""
    flow = linear_flow.Flow(TIDY)
    flow.add(tasks.begin_tidy(work))
    for link in newest_first(work.links):
        flow.add(tasks.RemoveSource(work, link))
    flow.add(tasks.finish_migration(work))
    return flow


def newest_first(links):
    """The order of removal: snapshots newest to oldest, then the volume; none before a plan."""
    return [*(link for link in reversed(links) if not link.is_head),
            *(link for link in links if link.is_head)]
