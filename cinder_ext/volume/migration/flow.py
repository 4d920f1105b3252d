"""The two flows of a migration, step by step.

*move* can be undone; its last step is the commit.  *tidy* goes forward only:
a fault after the commit must not undo the commit, so it is a flow of its own.
The names of the flows and their steps are stored and must not change.
"""
# SPDX-License-Identifier: Apache-2.0

from taskflow.patterns import linear_flow

from cinder_ext.volume.migration import attached, tasks

MOVE = 'move'
TIDY = 'tidy'


def move(work, tell=lambda step, state: None):
    """Build the chain at the destination, prove it, swap the records.

    A server that uses the volume moves its guest itself; with that the records are swapped.

    :param tell: told of the copies of the links, as copies.copy_all does
    """
    flow = linear_flow.Flow(MOVE)
    flow.add(tasks.own_failure(work), tasks.create_target(work), tasks.copy_links(work, tell))
    if work.verify != 'off':
        flow.add(tasks.verify_chain(work))
    flow.add(attached.swap_server(work) if work.is_attached else tasks.swap_records(work))
    return flow


def tidy(work):
    """Remove the source: snapshots newest to oldest, then the volume."""
    flow = linear_flow.Flow(TIDY)
    flow.add(tasks.begin_tidy(work))
    if work.is_attached:
        flow.add(attached.release_source(work))
    flow.add(tasks.remove_source(work), tasks.finish_migration(work))
    return flow
