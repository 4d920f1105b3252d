"""The copies of the links, one after the other: the next is begun before the flow asks for it.

That a step is done is stored, the next one is begun and the record is looked at: this takes about
a fifth of what a small link does.  So a link is begun as soon as the one before it is frozen and
stored, and its step waits for the rest.  By then the flow knows less than the rows of the links,
as it does after a kill.
"""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures

from cinder_ext.volume.migration import links


class Relay:
    """Copies the links of one migration.

    :param work: work.Work
    """

    def __init__(self, work):
        self._work = work
        self._pool = self._number = self._begun = self._rows = None

    def copy(self, number):
        """Copy a link to its end, or wait for that; a link that was copied before is left alone.

        Raises what LinkCopy.run does, wherever it ran.
        """
        begun = self._begun if self._number == number else None
        if begun is None:
            self._wait()
            self._copy(number)
        else:
            begun.result()

    def begin(self, number):
        """Begin with the next link, if nothing is to be done between the two.

        Only where its source is open and being read: there the link is cheap to begin and says
        what changed.
        """
        work = self._work
        if (not work.ahead.has(number) or not work.destination.keeps_connections
                or self._grows(number)):
            return
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(1, 'next-link')
        self._number, self._begun = number, self._pool.submit(self._copy, number)

    def close(self):
        """Wait for what was begun, which must have been told to stop.  Idempotent."""
        self._wait()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _wait(self):
        """Nothing is in flight any more; a fault of it is for who copies that link again."""
        if self._begun is not None:
            self._begun.exception()
        self._number = self._begun = None

    def _copy(self, number):
        work, link = self._work, self._work.links[number]
        # Nobody else writes them meanwhile: they are read once, and anew after a fault.
        rows, self._rows = self._rows or work.rows(), None
        row = rows[number]
        # Copied and not frozen: so leaves it a version for which these were two steps.
        if row.copied_at is None or (row.sealed_at is None and not link.is_head):
            if self._grows(number):
                work.target.close()
                work.destination.extend(link.destination_volume, link.size_bytes)
            links.LinkCopy(work, link, rows).run()
        self._rows = rows

    def _grows(self, number):
        chain = self._work.links
        return bool(number) and chain[number].size_bytes > chain[number - 1].size_bytes
