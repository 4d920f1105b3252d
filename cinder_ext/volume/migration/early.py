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
import queue
import threading
import typing

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, digests, runs, units, verify
from cinder_ext.volume.migration import plan

LOG = log.getLogger(__name__)

WORKERS = 2
"""Each has a buffer of units.UNIT_BYTES."""

_MOST_HELD_BYTES = 64 * values.MIB
"""Of digests of links that are not read back yet; a link that would exceed it is left for the end."""


class _Abandoned(Exception):
    """There is no time for it now."""


class _Part(typing.NamedTuple):
    """What is to be read back of one link: as with Early.begin."""

    link: plan.Link
    digest_map: digests.DigestMap
    blocks: digests.BlockSet
    written: runs.Runs | None

    @property
    def held_bytes(self):
        return self.digest_map.blocks * digests.DIGEST_BYTES

    def device(self, path):
        """verify.Device of it."""
        parts, known = ([], ()) if self.written is None else self.written.within(self.blocks)
        others = [block for block in self.blocks if block not in known]
        return verify.Device(path, self.link.size_bytes, self.digest_map, others,
                             self.link.title, parts)


class Early:
    """The links of one migration that are read back before their time, in one pass.

    While one is read the next is connected, and the one before is let go.  Only where the
    destination's snapshots are cheap to connect, while its volume stays so, where the source says
    what changed, and where no bandwidth is kept.

    :param work: work.Work
    :ivar how: how the page cache was passed; None while nothing was read
    :ivar read_bytes: read back so far; of a link that is done all bytes of its blocks
    """

    def __init__(self, work):
        self._work = work
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._parts = queue.SimpleQueue()
        self._pool = self._pass = self._last = None
        self._held_bytes = self._done_bytes = self._compared = self._compared_done = 0
        self._opened, self._equal, self._lengths = {}, {}, {}
        self.how = None
        self.read_bytes = 0

    def begin(self, link, digest_map, blocks, written=None):
        """A link is frozen at the destination: read back what no later one changes.

        :param link: plan.Link with its location there
        :param digest_map: DigestMap with what it holds; not changed any more
        :param blocks: indices of what is to be read back
        :param written: runs.Runs of what was written of them; None where whole blocks are to be
            read
        """
        if not self._is_due(link):
            return
        part = _Part(link, digest_map, digests.BlockSet(
            block for block in blocks if self._last[block] <= link.number), written)
        if not part.blocks or not self._hold(part.held_bytes):
            return
        if self._pass is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(1, 'read-back')
            self._pass = self._pool.submit(self._read)
        self._parts.put(part)

    def _hold(self, count):
        """Count bytes of digests; whether there is room for them."""
        with self._lock:
            if count > 0 and self._held_bytes + count > _MOST_HELD_BYTES:
                return False
            self._held_bytes += count
        return True

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

    def _read(self):
        """Read back what comes; what cannot be read is for the verification to find.

        :raises VerifyFailed: a link does not hold what it should
        """
        buffers = [blockio.buffer(units.UNIT_BYTES) for _ in range(WORKERS)]
        try:
            verify.verify_devices(self._devices(), control=self, on_progress=self._progress,
                                  on_done=self._end, workers=WORKERS, buffers=buffers)
        except exceptions.VerifyFailed:
            raise
        except (_Abandoned, exceptions.CinderExtError, OSError) as fault:
            LOG.debug('migration %s: the rest is read back at the end: %r', self._work.id, fault)
        finally:
            self._over.set()
            for _, opened in self._opened.values():
                self._is_let_go(opened)

    def _devices(self):
        """Yield a verify.Device of each part, opened, until there are no more."""
        while (part := self._parts.get()) is not None:
            self.check(0)
            with contextlib.ExitStack() as opened:
                try:
                    device = part.device(opened.enter_context(self._work.destination.sealed(
                        part.link)))
                    opened.callback(device.close)
                    device.open()
                except (exceptions.CinderExtError, OSError) as fault:
                    LOG.debug('migration %s: %s is read back at the end: %r', self._work.id,
                              part.link.title, fault)
                    self._hold(-part.held_bytes)
                    continue
                self._opened[device] = part, opened.pop_all()
            yield device

    def _progress(self, compared):
        self._compared = compared
        self.read_bytes = self._done_bytes + compared - self._compared_done

    def _end(self, device):
        """A link is equal: let go of it.  One that cannot be let go of is left for the end."""
        part, opened = self._opened.pop(device)
        self._hold(-part.held_bytes)
        if not self._is_let_go(opened):
            return
        number = part.link.number
        self.how = device.how
        self._lengths[number] = part.digest_map.length_of(part.blocks)
        self._done_bytes += self._lengths[number]
        self._compared_done = self._compared
        self.read_bytes = self._done_bytes
        self._equal[number] = part.blocks

    def _is_let_go(self, opened):
        try:
            opened.close()
        except (exceptions.CinderExtError, OSError) as fault:
            LOG.debug('migration %s: a snapshot stays connected: %s', self._work.id, fault)
            return False
        return True

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
        self._parts.put(None)
        while self._pass is not None and not self._pass.done():
            control.check(0)
            concurrent.futures.wait([self._pass], timeout=0.1)
            on_progress(self.read_bytes)
        if self._pass is not None:
            self._pass.result()

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
        self._parts.put(None)
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None
