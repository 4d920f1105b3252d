"""Makes ranges of a target equal to a source, writing only what differs.

Pure input and output: no database, no driver.  Worker threads read a unit,
digest its blocks, compare with the map of what the target holds, and then
write.  Reading and hashing run ahead in any order; writes are admitted in the
order of the units and never more of them than one checkpoint interval.  So
at a checkpoint a prefix of the units is complete and nothing else was written.

A copy can be resumed because the source is immutable and every decision
depends on the source and on the map only.  A checkpoint hands out a position
and the digests of what was written below it, after that data is on the
medium.  Starting again at that position with that map makes the decisions
that the interrupted copy made; what it had written past the checkpoint, at
most one interval, is written once more with the same bytes.
"""
# SPDX-License-Identifier: Apache-2.0

import bisect
import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import threading
import time
import typing

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, faults, reading, units
from cinder_ext.drivers.generic import digests as digest_maps

CHECKPOINT_BYTES = 64 * values.MIB
CHECKPOINT_SECONDS = 5.0
PAGE_BYTES = 4096
"""Of a block that differs, whole pages are written."""

_SKIP, _WRITE, _PAGES, _ZERO = 'skip', 'write', 'write pages', 'zero'
"""What is done to a block."""


@dataclasses.dataclass(frozen=True)
class CopyStats:
    """What a copier did so far, in bytes; read = written + skipped + zeroed.

    :ivar read: read from the source
    :ivar written: written to the target
    :ivar skipped: left alone, since the target holds it already; also the rest of a block of
        which only some pages differ
    :ivar zeroed: zeros of the source that were punched into the target
    """

    read: int = 0
    written: int = 0
    skipped: int = 0
    zeroed: int = 0

    def plus(self, other):
        """The sum of two."""
        return CopyStats(self.read + other.read, self.written + other.written,
                         self.skipped + other.skipped, self.zeroed + other.zeroed)


def needed_ranges(allocated, digests):
    """Where a copy must look: what the source has, and where the target may not read zeros.

    :param allocated: values.Range of the source that may be other than zero
    :param digests: DigestMap of the target
    :returns: a list of values.Range, whole pages, ascending, not overlapping
    """
    stale = digests.nonzero_blocks()
    return units.coalesced([*allocated, *units.of_blocks(stale, digests.size_bytes)],
                           PAGE_BYTES, digests.size_bytes)


def changed_or_unknown(changed, digests):
    """Where a copy must look when the source says what changed since the target was equal.

    :param changed: values.Range of the source that may differ from the target
    :param digests: DigestMap of the target; blocks that it does not know are looked at too
    :returns: a list of values.Range, whole pages, ascending, not overlapping
    """
    unknown = digests.unknown_blocks()
    return units.coalesced([*changed, *units.of_blocks(unknown, digests.size_bytes)],
                           PAGE_BYTES, digests.size_bytes)


class _Abandoned(Exception):
    """A unit was given up because another one failed."""


class _Block(typing.NamedTuple):
    """One block of a unit: its index, its place in the unit's buffer, what is to be done."""

    index: int
    start: int
    length: int
    digest: bytes
    action: str


class _Hints:
    """Which pages of a differing block have to be written.

    :param ranges: where the source may differ, not rounded
    :param is_relative: outside of them the source equals the target; else it reads zeros there
    """

    def __init__(self, ranges, is_relative, size_bytes):
        self._parts = units.coalesced(ranges, PAGE_BYTES, size_bytes)
        self._starts = [part.offset for part in self._parts]
        self._is_relative = is_relative

    def serve(self, target_is_zero, target_is_known):
        """Whether the ranges say where a block in this state differs from the source."""
        return target_is_zero or (self._is_relative and target_is_known)

    def within(self, offset, end):
        """(offset, end) of the pages between two bytes, ascending."""
        at = max(bisect.bisect_right(self._starts, offset) - 1, 0)
        while at < len(self._parts) and self._parts[at].offset < end:
            start, stop = max(self._parts[at].offset, offset), min(self._parts[at].end, end)
            if start < stop:
                yield start, stop
            at += 1


class _Gate:
    """Admits the writes of units in their order, and no more than the interval allows.

    Everything is guarded by ``condition``, on which the copying thread waits too.

    :ivar position: every unit below this byte was admitted, none above it
    :ivar full: the next unit in turn would exceed the interval
    :ivar closed: nobody is admitted until the checkpoint is done
    """

    def __init__(self, limit_bytes, position):
        self.condition = threading.Condition()
        self.position = position
        self.writing = 0
        self.full = False
        self.closed = False
        self.fault = None
        self._limit_bytes = limit_bytes
        self._turn = 0
        self._spent = 0

    def admit(self, number, length, end):
        """Wait until unit ``number``, which ends at byte ``end``, may write ``length`` bytes.

        :raises _Abandoned: the copy failed or was stopped meanwhile
        """
        with self.condition:
            while not self._may_pass(number, length):
                if self.fault:
                    raise _Abandoned
                self.condition.wait()
            self.position = end
            self.writing += 1
            self._turn += 1
            self._spent += length
            self.condition.notify_all()

    def _may_pass(self, number, length):
        """Whether it is this unit's turn; notes when the interval is used up."""
        if self.fault or self.closed or number != self._turn:
            return False
        if self._spent + length <= self._limit_bytes:
            return True
        self.full = True
        self.condition.notify_all()
        return False

    def leave(self, kind, fault, trace):
        """A unit that was admitted has ended; the exit callback of its turn.

        Its fault is noted in the same breath, so that no checkpoint counts it as done.
        """
        with self.condition:
            self.fault = self.fault or fault
            self.writing -= 1
            self.condition.notify_all()

    def fail(self, fault):
        """Keep the first fault; units that wait for their turn give up."""
        with self.condition:
            self.fault = self.fault or fault
            self.condition.notify_all()

    def reopen(self):
        """Begin a new interval, after a checkpoint."""
        with self.condition:
            self.closed = self.full = False
            self._spent = 0
            self.condition.notify_all()


class RangeCopier:
    """Copies ranges from one path to another.  One object serves one copy at a time.

    :param source_path: device or file to read; its content must not change
    :param target_path: device or file to write, at least as large
    :param digests: DigestMap of the target; kept true while copying, also after an error
    :param size_bytes: how much of the source is copied at most
    :param control: ``check(length)`` is called in the copying thread before each unit; it may
        sleep, or raise anything to stop
    :param written: BlockSet of the blocks that this link wrote before a restart
    :param on_checkpoint: called in the copying thread as ``(position, deltas, stats)``:
        all below byte ``position`` is done and on the medium; ``deltas`` is a list of
        ``(segment, encoded)`` for the segments written since the last checkpoint, each
        complete for this link, so that it replaces what was stored for the segment
    :param on_progress: called in the copying thread with CopyStats, about once per unit
    :param on_sent: called in the copying thread when the last unit is on its way
    :param defers_flush: called when all is written: whether what was written past the page cache
        since the last checkpoint may stay unflushed, see ``is_flushed``
    :param early: reading.ReadAhead of this source; what it has is not read again
    :param proven: set of targets that are known to take direct I/O; this one is added
    :param buffers: one blockio.buffer of units.UNIT_BYTES per worker, to be used again by the
        next copier: the pages of new ones cost as much as copying a small link
    :param pool: ThreadPoolExecutor of as many threads, which stays; one of its own by default
    :param runs: runs.Runs that what is written of a block in part is added to, or None
    :param source_direct: read past the page cache where the path allows it: half the processor
        time, and nothing that others need is pushed out
    :ivar target_direct: whether writes go past the page cache
    :ivar written: BlockSet of what this link wrote or zeroed, for the verification
    :ivar is_flushed: whether all that was handed out by checkpoints is on the medium
    """

    def __init__(self, source_path, target_path, digests, *, size_bytes, control, workers=3,
                 written=None, source_direct=True, buffers=None, proven=None, runs=None,
                 checkpoint_bytes=CHECKPOINT_BYTES, checkpoint_seconds=CHECKPOINT_SECONDS,
                 on_checkpoint=None, on_progress=None, on_sent=None, early=None,
                 defers_flush=None, pool=None):
        if digests.size_bytes != size_bytes:
            raise ValueError('the map is that of another size')
        if checkpoint_bytes < values.BLOCK_BYTES:
            raise ValueError('a checkpoint interval holds at least one block')
        self.digests = digests
        self.size_bytes = size_bytes
        self.stats = CopyStats()
        self.written = digest_maps.BlockSet() if written is None else written
        self.target_direct = None
        self.source_path, self.target_path = source_path, target_path
        self.source_direct = source_direct
        self.proven = set() if proven is None else proven
        self.buffers = buffers or [blockio.buffer(units.UNIT_BYTES) for _ in range(workers)]
        self.pool = pool
        self.control = control
        self.workers = workers
        self.interval_bytes = checkpoint_bytes
        self.interval_seconds = checkpoint_seconds
        self.on_checkpoint = on_checkpoint or (lambda position, deltas, stats: None)
        self.on_progress = on_progress or (lambda stats: None)
        self.on_sent = on_sent or (lambda: None)
        self.defers_flush = defers_flush or (lambda: False)
        self.is_flushed = True
        self.early = early
        self.runs = runs

    def copy(self, ranges, start_offset=0, is_relative=False):
        """Make the ranges equal, and checkpoint at the end.

        :param ranges: values.Range in any order; whole blocks are read and compared, and of a
            block that differs the pages within the ranges are written where that is enough
        :param is_relative: outside the ranges the source equals what the map says; else it
            reads zeros there
        :param start_offset: position of the checkpoint to go on from
        :returns: CopyStats of this copier
        :raises NoSpace: the target is full
        :raises BackendDown: the source or the target does not answer; what says where

        What ``control.check`` raises is raised here, after a last checkpoint.  In every case no
        unit is in flight any more.  Repeating it with the last checkpoint's map is safe.
        """
        parts = units.coalesced(ranges, values.BLOCK_BYTES, self.size_bytes)
        whole_blocks = self.interval_bytes - self.interval_bytes % values.BLOCK_BYTES
        hints = _Hints(ranges, is_relative, self.size_bytes)
        with _Run(self, start_offset, hints) as run:
            run.all(units.cut(parts, min(units.UNIT_BYTES, whole_blocks), start_offset))
        return self.stats


class _Run:
    """One pass of a copier: its descriptors, threads, buffers and checkpoints."""

    def __init__(self, copier, start_offset, hints):
        self.copier = copier
        self.hints = hints
        self.gate = _Gate(copier.interval_bytes, start_offset)
        self.free = []
        self.sent = set()
        self.segments = set()
        self.unsynced = False
        self.checkpointed_at = time.monotonic()

    def __enter__(self):
        copier = self.copier
        with contextlib.ExitStack() as undo:
            with faults.mapped(f'opening {copier.source_path}'):
                self.source, _ = blockio.open_source(copier.source_path, copier.source_direct)
            undo.callback(os.close, self.source)
            with faults.mapped(f'opening {copier.target_path}'):
                self.target, copier.target_direct = blockio.open_target(
                    copier.target_path, copier.size_bytes, copier.target_path in copier.proven)
            undo.callback(os.close, self.target)
            if copier.target_direct:
                copier.proven.add(copier.target_path)
            self.free = list(copier.buffers)
            # Else all read at once, and then all write: nothing is written meanwhile.
            self.readers = threading.BoundedSemaphore(max(1, copier.workers // 2))
            self.pool = copier.pool or undo.enter_context(
                concurrent.futures.ThreadPoolExecutor(copier.workers, 'copy'))
            undo.callback(lambda: concurrent.futures.wait(list(self.sent)))
            self.undo = undo.pop_all()
        return self

    def __exit__(self, kind, fault, trace):
        if fault is not None:
            self.gate.fail(fault)
        self.undo.close()

    def all(self, parts):
        """Send every unit on its way, checkpointing meanwhile; returns when all are done."""
        copier = self.copier
        for number, part in enumerate(parts):
            self._ask_control(part.length)
            self._wait(lambda: self.free)
            self._send(number, part)
            copier.on_progress(copier.stats)
        copier.on_sent()
        self._wait(self._is_idle)
        self.gate.position = copier.size_bytes
        if copier.target_direct and copier.defers_flush():
            self.unsynced, copier.is_flushed = False, False
        self._checkpoint()
        copier.on_progress(copier.stats)

    def _ask_control(self, length):
        """Look at control; when it raises, end what is in flight and keep it by a checkpoint."""
        with contextlib.ExitStack() as keep:
            keep.callback(self._settle)
            self.copier.control.check(length)
            keep.pop_all()

    def _settle(self):
        """Wait for all that is in flight; checkpoint unless some of it failed."""
        self._wait(self._is_idle)
        self._checkpoint()

    def _is_idle(self):
        return len(self.free) == self.copier.workers

    def _send(self, number, part):
        """Give a unit and a free buffer to a worker."""
        view = self.free.pop()
        future = self.pool.submit(self._unit, number, part, view)
        self.sent.add(future)
        future.add_done_callback(lambda done: self._ended(done, view))

    def _ended(self, future, view):
        """A worker is done with a unit: note its fault, give its buffer back."""
        fault = future.exception()
        with self.gate.condition:
            if fault and not isinstance(fault, _Abandoned):
                self.gate.fail(fault)
            self.free.append(view)
            self.sent.discard(future)
            self.gate.condition.notify_all()

    def _wait(self, is_ready):
        """Wait for something the workers bring about, checkpointing whenever it is time.

        Raises the first fault of a worker.
        """
        gate = self.gate
        while True:
            with gate.condition:
                if gate.fault:
                    raise gate.fault
                left = self.checkpointed_at + self.copier.interval_seconds - time.monotonic()
                gate.closed = gate.full or left <= 0
                if not gate.closed:
                    if is_ready():
                        return
                    gate.condition.wait(left)
                    continue
                if gate.writing:
                    gate.condition.wait()
                    continue
            self._checkpoint()

    def _checkpoint(self):
        """Put what was written on the medium and hand it out.  Nobody writes meanwhile."""
        copier = self.copier
        if self.unsynced:
            with faults.mapped(f'flushing {copier.target_path}'):
                os.fdatasync(self.target)
        deltas = [(segment, copier.digests.encode_delta(segment, copier.written))
                  for segment in sorted(self.segments)]
        copier.on_checkpoint(self.gate.position, deltas, copier.stats)
        self.unsynced = False
        self.segments.clear()
        self.checkpointed_at = time.monotonic()
        self.gate.reopen()

    def _unit(self, number, part, view):
        """Read, decide, wait for the turn, write.  Runs in a worker."""
        view, found = self._content(part, view)
        blocks = list(self._decide(part, found))
        length = sum(block.length for block in blocks if block.action != _SKIP)
        with contextlib.ExitStack() as turn:
            self.gate.admit(number, length, part.end)
            turn.push(self.gate.leave)
            for action, group in itertools.groupby(blocks, key=lambda block: block.action):
                self._apply(action, list(group), view)

    def _content(self, part, view):
        """A buffer with a unit of the source, and the digests of its blocks."""
        early = self.copier.early and self.copier.early.take(part)
        if early:
            return early
        with self.readers:
            return view, reading.read_unit(self.source, self.copier.source_path, part, view)

    def _decide(self, part, found):
        """Yield a _Block for each block of a unit.

        :param found: digests of the source's blocks
        """
        first = part.offset // values.BLOCK_BYTES
        for index, value in enumerate(found, first):
            length = self.copier.digests.block_length(index)
            if value == self.copier.digests[index]:
                action = _SKIP
            elif value == digest_maps.zero_digest(length):
                action = _ZERO
            elif self.hints.serve(self.copier.digests.is_zero(index),
                                  self.copier.digests.is_known(index)):
                action = _PAGES
            else:
                action = _WRITE
            yield _Block(index, (index - first) * values.BLOCK_BYTES, length, value, action)

    def _apply(self, action, blocks, view):
        """Do one thing to neighbouring blocks and note what the target holds."""
        length = sum(block.length for block in blocks)
        figures = {'skipped': length}
        if action != _SKIP:
            for block in blocks:
                self.copier.digests.forget(block.index)
            offset = blocks[0].index * values.BLOCK_BYTES
            data = view[blocks[0].start:blocks[0].start + length]
            with faults.mapped(f'writing {self.copier.target_path} at {offset}'):
                figures = self._put(action, data, offset)
        with self.gate.condition:
            if action != _SKIP:
                self._note(blocks)
            self.copier.stats = self.copier.stats.plus(CopyStats(read=length, **figures))

    def _put(self, action, data, offset):
        """One hole, or one write per run of pages; zeros are written where no hole can be made.

        :returns: figures of CopyStats
        """
        self.unsynced = True
        length = len(data)
        if action == _ZERO and blockio.punch_hole(self.target, offset, length):
            return {'zeroed': length}
        parts = [(offset, offset + length)]
        if action == _PAGES:
            parts = list(self.hints.within(offset, offset + length))
        written = 0
        for start, end in parts:
            piece = data[start - offset:end - offset]
            blockio.write_from(self.target, piece, start)
            written += end - start
            if self.copier.runs is not None and len(piece) < length:
                self.copier.runs.add(piece, start)
            if not self.copier.target_direct:
                blockio.start_writeback(self.target, start, end - start)
        return {'zeroed' if action == _ZERO else 'written': written, 'skipped': length - written}

    def _note(self, blocks):
        """The target holds these blocks now."""
        for block in blocks:
            self.copier.digests[block.index] = block.digest
            self.copier.written.add(block.index)
            self.segments.add(block.index // digest_maps.SEGMENT_BLOCKS)
