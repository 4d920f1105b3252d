"""Reads snapshots back at the destination while later links are copied.

A block is read back after the last write of the migration that could have
touched it, also one that shares blocks with it: what a later link changes is
read when that link is frozen too, and what the head changes when it is copied.
What is not known is left for the verification at the end.  Nothing is stored
of it: after a restart the verification reads everything.

Of a block of which some pages were written, those are read: the others were
never written, or by an earlier link, of which they are read after this one was
frozen.
"""
# SPDX-License-Identifier: Apache-2.0

import array
import collections
import concurrent.futures
import contextlib
import queue
import threading
import typing

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, digests, units, verify

LOG = log.getLogger(__name__)

WORKERS = 4
"""While links are copied.  Each has a buffer of units.UNIT_BYTES."""

_MOST_HELD_BYTES = 64 * values.MIB
"""Of digests that are not compared yet; what would exceed it is left for the end."""

_EXCERPT_BYTES = 192
"""About so much memory takes each digest that waits for a later link."""

_RUN_BYTES = 768
"""And this what is known of one place that was written."""

_MOST_CONNECTED = 32
"""So many snapshots are kept connected until later links are frozen."""

_AHEAD = 3
"""So many parts are connected at most while one is read."""


class _Abandoned(Exception):
    """There is no time for it now."""


class _Frozen:
    """A link that is frozen at the destination: connected for its first part, let go after its last.

    :ivar parts: how many are still to be read
    :ivar until: number of the last link that has to be frozen for that
    :ivar equal: digests.BlockSet of what was read back
    :ivar length: bytes of it; of a block of which only pages are read all
    """

    def __init__(self, link):
        self.link = link
        self.parts = 1
        self.until = link.number
        self.equal, self.length = digests.BlockSet(), 0
        self._first, self._opened = None, contextlib.ExitStack()

    def device(self, part, destination):
        """An opened verify.Device of a part."""
        if self._first is None:
            self._open(part, destination)
        found = part.device(self._first.path)
        found.share(self._first)
        return found

    def _open(self, part, destination):
        """Connect it.  What is kept of it holds no digests: they would be those of the whole volume."""
        with contextlib.ExitStack() as opened:
            path = opened.enter_context(destination.sealed(self.link))
            first = verify.Device(path, self.link.size_bytes, digests.Excerpt(part.digests, ()), ())
            opened.callback(first.close)
            first.open()
            self._first, self._opened = first, opened.pop_all()

    @property
    def is_connected(self):
        return self._first is not None

    def let_go(self):
        """Idempotent."""
        self._first = None
        self._opened.close()


class _Part(typing.NamedTuple):
    """What is to be read back of one link at one time.

    :ivar digests: DigestMap, or Excerpt of it
    :ivar runs: runs.Run, what is to be read of some of its blocks
    :ivar others: those that are to be read whole
    :ivar held_bytes: of memory, until it is read
    """

    frozen: _Frozen
    digests: typing.Any
    blocks: digests.BlockSet
    length: int
    runs: list
    others: digests.BlockSet
    held_bytes: int

    def device(self, path):
        """verify.Device of it."""
        link = self.frozen.link
        return verify.Device(path, link.size_bytes, self.digests, self.others, link.title, self.runs)


def _within(written, blocks):
    """What is read of some blocks: a list of runs.Run, and the BlockSet of those read whole."""
    return ([], blocks) if written is None else written.within(blocks)


class Early:
    """The links of one migration that are read back before their time, in one pass.

    While one is read the next is connected.  Only where the destination's snapshots are cheap to
    connect, while its volume stays so, where the source says what changed, and where no bandwidth
    is kept.

    :param work: work.Work
    :ivar how: how the page cache was passed; None while nothing was read
    :ivar read_bytes: read back so far; of a link that is done all bytes of its blocks
    """

    def __init__(self, work):
        self._work = work
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._queue = queue.SimpleQueue()
        self._pool = self._pass = self._last = self._calls = None
        self._held_bytes = self._done_bytes = self._compared = self._compared_done = 0
        self._frozen, self._waiting, self._opened = {}, {}, {}
        self._buffers = queue.SimpleQueue()
        self._is_helped = False
        self.how = None
        self.read_bytes = 0

    def begin(self, link, digest_map, blocks, written=None):
        """A link is frozen at the destination, or the head is copied: read what no later one changes.

        What a later one changes is read when that is frozen.

        :param link: plan.Link with its location there
        :param digest_map: DigestMap with what it holds; not changed any more
        :param blocks: indices of what is to be read back
        :param written: runs.Runs of what was written of them; None where whole blocks are to be
            read
        """
        if not self._is_due(link):
            return
        final, waiting = digests.BlockSet(), {}
        for block in blocks:
            if self._last[block] <= link.number:
                final.add(block)
            else:
                waiting.setdefault(self._last[block], []).append(block)
        found, others = _within(written, final)
        held_bytes = digest_map.blocks * digests.DIGEST_BYTES + len(found) * _RUN_BYTES
        if self._hold(held_bytes):
            frozen = self._frozen[link.number] = _Frozen(link)
            self._wait_for(frozen, digest_map, waiting, written)
            self._send(_Part(frozen, digest_map, final, digest_map.length_of(final), found, others,
                             held_bytes))
        for part in self._waiting.pop(link.number, ()):
            self._send(part)

    def _wait_for(self, frozen, digest_map, waiting, written):
        """Keep what is to be read of a link when later ones are frozen.

        :param waiting: number of the later link -> block indices
        """
        kept = sum(each.until > frozen.link.number for each in self._frozen.values())
        for number, blocks in sorted(waiting.items()):
            blocks = digests.BlockSet(blocks)
            found, others = _within(written, blocks)
            held_bytes = len(others) * _EXCERPT_BYTES + len(found) * _RUN_BYTES
            if kept >= _MOST_CONNECTED or not self._hold(held_bytes):
                return
            frozen.parts += 1
            frozen.until = number
            self._waiting.setdefault(number, []).append(_Part(
                frozen, digests.Excerpt(digest_map, others), blocks,
                digest_map.length_of(blocks), found, others, held_bytes))

    def _send(self, part):
        if self._pass is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(1, 'read-back')
            self._pass = self._pool.submit(self._read)
        self._queue.put(part)

    def _hold(self, count):
        """Count bytes of digests; whether there is room for them."""
        with self._lock:
            if count > 0 and self._held_bytes + count > _MOST_HELD_BYTES:
                return False
            self._held_bytes += count
        return True

    def _is_due(self, link):
        work = self._work
        if (self._over.is_set() or work.is_limited
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
        for _ in range(WORKERS):
            self._buffers.put(blockio.buffer(units.UNIT_BYTES))
        workers = WORKERS + self._work.conf.migration.workers
        try:
            with concurrent.futures.ThreadPoolExecutor(1, 'read-back-calls') as self._calls:
                verify.verify_devices(self._devices(), control=self, on_progress=self._progress,
                                      on_done=self._end, workers=workers, buffers=self._buffers)
        except exceptions.VerifyFailed:
            raise
        except (_Abandoned, exceptions.CinderExtError, OSError) as fault:
            LOG.debug('migration %s: the rest is read back at the end: %r', self._work.id, fault)
        finally:
            self._over.set()
            # All at once: each may wait long for an end that does not answer.
            with concurrent.futures.ThreadPoolExecutor(_MOST_CONNECTED, 'read-back-ends') as ends:
                for frozen in list(self._frozen.values()):
                    if frozen.is_connected:
                        ends.submit(self._let_go, frozen)

    def _devices(self):
        """Yield a verify.Device of each part, opened, until there are no more."""
        for part, opening in self._opening():
            self.check(0)
            try:
                device = opening.result()
            except (exceptions.CinderExtError, OSError) as fault:
                LOG.debug('migration %s: %s is read back at the end: %r', self._work.id,
                          part.frozen.link.title, fault)
                self._done(part)
                continue
            self._opened[device] = part
            yield device

    def _opening(self):
        """Yield each part with the future of its device; the next ones are connected meanwhile."""
        begun, is_over = collections.deque(), False
        while True:
            while not is_over and len(begun) <= _AHEAD:
                try:
                    part = self._queue.get(block=not begun)
                except queue.Empty:
                    break
                is_over = part is None
                if not is_over:
                    begun.append((part, self._calls.submit(
                        part.frozen.device, part, self._work.destination)))
            if not begun:
                return
            yield begun.popleft()

    def _progress(self, compared):
        self._compared = compared
        self.read_bytes = self._done_bytes + compared - self._compared_done

    def _end(self, device):
        """A part is equal."""
        part = self._opened.pop(device)
        frozen = part.frozen
        for block in part.blocks:
            frozen.equal.add(block)
        frozen.length += part.length
        self.how = device.how
        self._done_bytes += part.length
        self._compared_done = self._compared
        self.read_bytes = self._done_bytes
        self._done(part)

    def _done(self, part):
        """Nothing more is to be read for a part."""
        self._hold(-part.held_bytes)
        part.frozen.parts -= 1
        if not part.frozen.parts:
            self._calls.submit(self._let_go, part.frozen)

    def _let_go(self, frozen):
        """One that cannot be let go is left for the end."""
        try:
            frozen.let_go()
        except (exceptions.CinderExtError, OSError) as fault:
            LOG.debug('migration %s: a snapshot stays connected: %s', self._work.id, fault)
            frozen.equal, frozen.length = digests.BlockSet(), 0

    def check(self, length):
        """The control of the reading.

        :raises _Abandoned: the work stops, or a limit is set
        """
        if self._over.is_set() or self._work.tools.stopping.is_set() or self._work.is_limited:
            raise _Abandoned

    def all_copied(self):
        """Nothing is copied any more: those who did it read too.  Idempotent."""
        for number in sorted(self._waiting):
            for part in self._waiting.pop(number):
                self._send(part)
        if not self._is_helped:
            self._is_helped = True
            for view in self._work.buffers(self._work.conf.migration.workers):
                self._buffers.put(view)

    def wait(self, control, on_progress):
        """Return when all that was begun has been read.

        :param control: asked meanwhile; may raise
        :param on_progress: called meanwhile with the bytes read so far
        :raises VerifyFailed: a link does not hold what it should
        """
        self.all_copied()
        self._queue.put(None)
        while self._pass is not None and not self._pass.done():
            control.check(0)
            concurrent.futures.wait([self._pass], timeout=0.1)
            on_progress(self.read_bytes)
        if self._pass is not None:
            self._pass.result()

    def left(self, number, blocks):
        """Those of a link's blocks that were not read back: indices in the same order."""
        equal = self._frozen[number].equal if number in self._frozen else ()
        return [block for block in blocks if block not in equal]

    def length(self, number):
        """Bytes of a link that were read back."""
        return self._frozen[number].length if number in self._frozen else 0

    def close(self):
        """Let go of everything, at most a unit later.  Idempotent."""
        self._over.set()
        self._queue.put(None)
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None
