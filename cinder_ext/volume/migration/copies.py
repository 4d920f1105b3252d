"""The copies of all links, one after the other.

They are one step of the flow.  To make a step known to taskflow, and to store that it began and
ended, takes the processor as long as a fifth of what a small link does, and a chain of hundreds of
links would be stored before its first byte is copied.  What is done is in the rows of the links.
"""
# SPDX-License-Identifier: Apache-2.0

from taskflow import states as taskflow_states

from cinder_ext.volume.migration import links


def copy_all(work, tell):
    """Copy all links that are copied here, oldest first, from where the last attempt stood.

    :param work: work.Work
    :param tell: function(name of the link's copy, RUNNING or SUCCESS), as taskflow's states
    :raises Parked: the work is to stand still

    Raises what LinkCopy.run does.  Idempotent.
    """
    # Nobody else writes the rows meanwhile: they are read once.
    rows = work.rows()
    for link in work.copied_links:
        name = f'copy-link-{link.number:04d}'
        tell(name, taskflow_states.RUNNING)
        work.control.obey()
        copy(work, link.number, rows)
        tell(name, taskflow_states.SUCCESS)
    work.target.close()
    work.progress.end_copy()


def copy(work, number, rows):
    """Copy a link to its end, unless it was before.  Idempotent.

    :param rows: the rows of all links; that of the link is kept as it is stored
    """
    link, row = work.links[number], rows[number]
    # Copied and not frozen: so leaves it a version for which these were two steps.
    if row.copied_at is not None and (row.sealed_at is not None or link.is_head):
        return
    if number and link.size_bytes > work.links[number - 1].size_bytes:
        work.target.close()
        work.destination.extend(link.destination_volume, link.size_bytes)
    links.LinkCopy(work, link, rows).run()
