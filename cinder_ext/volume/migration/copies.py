"""The copies of all links, one after the other.

They are one step of the flow.  To make a step known to taskflow, and to store that it began and
ended, takes the processor as long as a fifth of what a small link does, and a chain of hundreds of
links would be stored before its first byte is copied.  What is done is in the rows of the links.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from taskflow import states as taskflow_states

from cinder_ext import exceptions
from cinder_ext.volume import engine
from cinder_ext.volume.migration import links


def copy_all(work, tell):
    """Copy all links that are copied here, oldest first, from where the last attempt stood.

    :param work: work.Work
    :param tell: function(name of the link's copy, RUNNING or SUCCESS), as taskflow's states.  A
        small link that is copied may be stored with later ones
    :raises Parked: the work is to stand still

    Raises what LinkCopy.run does.  Idempotent.
    """
    # Nobody else writes the rows meanwhile: they are read once.
    rows, copied = work.rows(), None
    try:
        for link in work.copied_links:
            name = f'copy-link-{link.number:04d}'
            tell(name, taskflow_states.RUNNING)
            work.control.obey()
            copied = copy_unstored(work, link.number, rows)
            tell(name, taskflow_states.SUCCESS)
    except engine.Parked:
        # What the destination cannot put on its medium now is copied again.
        with contextlib.suppress(exceptions.DriverError):
            work.unstored.store()
        raise
    work.unstored.store()
    work.target.close()
    if copied is not None and link.is_head:
        # Not before: a second connection of the volume, taken back, takes back the first too.
        copied.read_early()
    work.early.all_copied()
    work.progress.end_copy()


def copy(work, number, rows):
    """Copy a link to its end, unless it was before, and store that.  Idempotent.

    :param rows: the rows of all links; that of the link is kept as it is stored
    """
    copy_unstored(work, number, rows)
    work.unstored.store()


def copy_unstored(work, number, rows):
    """As copy(); what is stored of a small link may wait for later ones.

    :returns: links.LinkCopy; None when it was copied before
    """
    link, row = work.links[number], rows[number]
    # Copied and not frozen: so leaves it a version for which these were two steps.
    if row.copied_at is not None and (row.sealed_at is not None or link.is_head):
        return None
    if number and link.size_bytes > work.links[number - 1].size_bytes:
        work.unstored.store()
        work.target.close()
        work.destination.extend(link.destination_volume, link.size_bytes)
    made = links.LinkCopy(work, link, rows)
    made.run()
    return made
