"""Reads snapshots back at the destination while later links are copied.

A block is read back after the last write of the migration that could have
touched it, also one that shares blocks with it: so what a later link changes
is left for the verification at the end, as is all of which that is not known.
Nothing is stored of it: after a restart the verification reads everything.

Of a block of which some pages were written, those are read: the others were
never written, or by an earlier link, of which the whole block is read at the
end.
"""
# SPDX-License-Identifier: Apache-2.0

import array
import concurrent.futures
import contextlib
import threading

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, digests, units, verify

LOG = log.getLogger(__name__)

WORKERS = 2
"""Each has a buffer of units.UNIT_BYTES."""

_MOST_HELD_BYTES = 64 * values.MIB
"""Of digests of links that are not read back yet; a link that would exceed it is left for the end."""


class _Abandoned(Exception):
    """There is no time for it now."""


class Early:
    """The links of one migration that are read back before their time, one after the other.

    Only where the destination's snapshots are cheap to connect, while its volume stays so, where
    the source says what changed, and where no bandwidth is kept.

    :param work: work.Work
    :ivar how: how the page cache was passed; None while nothing was read
    :ivar read_bytes: read back so far; of a link that is done all bytes of its blocks
    """

    def __init__(self, work):
        self._work = work
        self._over = threading.Event()
        self._condition = threading.Condition()
        self._pool = self._last = self._fault = self._buffers = None
        self._pending, self._held_bytes = 0, 0
        self._equal, self._lengths = {}, {}
        self.how = None
        self.read_bytes = 0

    def begin(self, link, digest_map, blocks, runs=None):
        """A link is frozen at the destination: read back what no later one changes.

        :param link: plan.Link with its location there
        :param digest_map: DigestMap with what it holds; not changed any more
        :param blocks: indices of what is to be read back
        :param runs: runs.Runs of what was written of them; None where whole blocks are to be read
        """
        held = digest_map.blocks * digests.DIGEST_BYTES
        if not self._is_due(link) or self._held_bytes + held > _MOST_HELD_BYTES:
            return
        mine = digests.BlockSet(block for block in blocks if self._last[block] <= link.number)
        if not mine:
            return
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(1, 'read-back')
            self._buffers = [blockio.buffer(units.UNIT_BYTES) for _ in range(WORKERS)]
        with self._condition:
            self._pending += 1
            self._held_bytes += held
        self._pool.submit(self._one, link, digest_map, mine, runs, held)

    def _is_due(self, link):
        work = self._work
        if (self._over.is_set() or link.is_head or work.is_limited
                or not (work.destination.is_direct and work.destination.keeps_connections)):
            return False
        if self._last is None:
            self._last = self._last_links()
        return bool(self._last)

    def _last_links(self):
        """Number of the last link that changes it, for each block; empty when that is not known."""
        links = self._work.copied_links
        found = array.array('L', bytes(
            array.array('L').itemsize * -(-links[-1].size_bytes // values.BLOCK_BYTES)))
        for link in links[1:]:
            try:
                changed = self._work.changed(link)
            except exceptions.DriverError:
                changed = None
            if changed is None:
                return []
            for part in units.coalesced(changed, values.BLOCK_BYTES, link.size_bytes):
                for block in range(part.offset // values.BLOCK_BYTES,
                                   -(-part.end // values.BLOCK_BYTES)):
                    found[block] = link.number
        return found

    def _one(self, link, digest_map, blocks, runs, held):  # noqa: PLR0917
        """Read one link back; what cannot be read is for the verification to find."""
        try:
            self._read(link, digest_map, blocks, runs)
        except exceptions.VerifyFailed as fault:
            self._fault = fault
            self._over.set()
        except (_Abandoned, exceptions.CinderExtError, OSError) as fault:
            LOG.debug('migration %s: %s is read back at the end: %r', self._work.id, link.title,
                      fault)
        finally:
            with self._condition:
                self._pending -= 1
                self._held_bytes -= held
                self._condition.notify_all()

    def _read(self, link, digest_map, blocks, runs):
        self.check(0)
        before = self.read_bytes
        parts, known = ([], ()) if runs is None else runs.within(blocks)
        others = [block for block in blocks if block not in known]

        def progress(read):
            self.read_bytes = before + read

        with contextlib.ExitStack() as opened:
            path = opened.enter_context(self._work.destination.sealed(link))
            device = verify.Device(path, link.size_bytes, digest_map, others, link.title, parts)
            opened.callback(device.close)
            device.open()
            verify.verify_devices([device], control=self, on_progress=progress, workers=WORKERS,
                                  buffers=self._buffers)
        self.how = device.how
        self._lengths[link.number] = digest_map.length_of(blocks)
        self.read_bytes = before + self._lengths[link.number]
        self._equal[link.number] = blocks

    def check(self, length):
        """The control of the reading.

        :raises _Abandoned: the work stops, or a limit is set
        """
        if self._over.is_set() or self._work.tools.stopping.is_set() or self._work.is_limited:
            raise _Abandoned

    def wait(self, control, on_progress):
        """Return when all that was begun has been read.

        :param control: asked meanwhile; may raise
        :param on_progress: called meanwhile with the bytes read so far
        :raises VerifyFailed: a link does not hold what it should
        """
        while True:
            control.check(0)
            with self._condition:
                if not self._pending:
                    break
                self._condition.wait(0.1)
            on_progress(self.read_bytes)
        if self._fault is not None:
            raise self._fault

    def left(self, number, blocks):
        """Those of a link's blocks that were not read back: indices in the same order."""
        equal = self._equal.get(number, ())
        return [block for block in blocks if block not in equal]

    def length(self, number):
        """Bytes of a link that were read back."""
        return self._lengths.get(number, 0)

    def close(self):
        """Let go of everything, at most a unit later.  Idempotent."""
        self._over.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = self._buffers = None
