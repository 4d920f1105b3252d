"""Makes one link of a chain equal at the destination, or reads one back: checkpointed.

The map of what the destination holds is rebuilt from the stored deltas of all
links up to the one at work; between two links of one process it is kept.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import migration_copies
from cinder_ext.drivers import transfer, values
from cinder_ext.drivers.generic import blockio, copy, digests, reading, runs, units, verify
from cinder_ext.volume.migration import plan

ALGORITHM = 'sha256-blake3-1m'
"""SHA-256 over the BLAKE3 digests of the blocks of 1 MiB."""

AHEAD_BYTES = 20 * values.MIB
"""So much of the next link is read while the one before it is ended."""


class Maps:
    """What the destination holds after each link, from the stored deltas."""

    def __init__(self, context, migration_id, promises, deltas=migration_copies.deltas):
        self._deltas = deltas
        self._context = context
        self._id = migration_id
        self._promises = promises
        self._at = None

    def after(self, links, number):
        """DigestMap of the destination when links 0 to ``number`` are copied (-1: none).

        The size is that of link ``number`` (of the first for -1).
        """
        if self._at is not None and self._at[0] == number:
            return self._at[1]
        start, made = self._at if self._at is not None and self._at[0] < number else (-1, None)
        if made is None:
            made = self._first(links[0].size_bytes)
        for link in links[start + 1:number + 1]:
            self._enter(made, link)
            self._apply(made, link.number)
        self._at = (number, made)
        return made

    def before(self, links, number, is_begun=True):
        """DigestMap with which the copy of link ``number`` goes on, and what it wrote already.

        :param is_begun: False when nothing of this link was stored
        :returns: (DigestMap of the link's size, BlockSet)
        """
        made = self.after(links, number - 1).copy()
        self._enter(made, links[number])
        return made, self._apply(made, number) if is_begun else digests.BlockSet()

    def keep(self, number, made):
        """Link ``number`` is copied; its map is this one."""
        self._at = (number, made)

    def written(self, made, number):
        """Apply the deltas of one link to the map before it; returns the BlockSet."""
        return self._apply(made, number)

    def _first(self, size_bytes):
        if self._promises.fresh_reads_zeros:
            return digests.DigestMap.zeros(size_bytes)
        return digests.DigestMap.unknown(size_bytes)

    def _enter(self, made, link):
        made.extend(link.size_bytes, zeros=self._promises.extended_reads_zeros)

    def _apply(self, made, number):
        written = digests.BlockSet()
        for segment, delta in self._deltas(self._context, self._id, number):
            for block in made.apply_delta(segment, delta):
                written.add(block)
        return written


class LinkCopy:
    """The copy of one link, from its last checkpoint to its end.

    :param work: work.Work
    :param rows: the rows of all links; that of the link is kept as it is stored
    """

    def __init__(self, work, link, rows):
        self._work = work
        self._link = link
        self._row = rows[link.number]
        self._map, self._written = work.maps.before(
            work.links, link.number, is_begun=self._row.position > 0)
        for block in work.unstored.stale(link, self._row.position):
            self._map.forget(block)
        changed = work.changed(link)
        self._is_known = changed is not None
        self._ranges, self._is_relative = transfer.ranges(
            work.source.driver, work.method, changed, link.source, self._map)
        self._blocks = units.coalesced(self._ranges, values.BLOCK_BYTES, link.size_bytes)
        self._length = sum(part.length for part in self._blocks)
        self._is_unstored = self._row.position == 0
        self._others = work.resize_link(rows, link.number, self._length)
        self._before = plan.bytes_below(self._blocks, self._row.position)
        self._counted = copy.CopyStats()
        self._last, self._stored = {}, {}
        # Where snapshots are copies each holds its own, also what was not written for it.
        self._runs = (runs.Runs() if work.verify == 'written'
                      and work.promises.snapshots_share_blocks else None)
        self._resumed = self._again = int(self._row.started_at is not None)
        self._begun = self._row.started_at or timeutils.utcnow()

    def run(self):
        """Copy, then take the native snapshot at the destination that becomes the link.

        Idempotent: what lies before the checkpoint is not read again, and a snapshot that was
        taken is whole, since nothing is written for the next link before this one is closed.
        """
        work, link = self._work, self._link
        work.unstored.begin(self._length, self._is_known)
        with (work.ahead.opened(link) as (source_path, early),
              work.target.opened(link.destination_volume) as destination_path):
            copier = copy.RangeCopier(
                source_path, destination_path, self._map, size_bytes=link.size_bytes,
                control=work.control, workers=work.conf.migration.workers,
                written=self._written, early=early, runs=self._runs,
                buffers=work.buffers(work.conf.migration.workers), pool=work.pool,
                proven=work.proven_targets,
                checkpoint_bytes=work.conf.migration.checkpoint_mib * values.MIB,
                checkpoint_seconds=work.conf.migration.checkpoint_seconds,
                on_checkpoint=self._checkpoint, on_progress=self._progress,
                on_sent=lambda: work.ahead.begin(link.number + 1),
                defers_flush=self._defers_flush)
            stats = copier.copy(self._ranges, self._row.position, self._is_relative)
        self._close(stats, copier.is_flushed)
        for column, value in self._stored.items():
            setattr(self._row, column, value)
        work.maps.keep(link.number, self._map)

    def _defers_flush(self):
        """Whether it is flushed when it is stored, with others."""
        return (self._is_unstored and not self._link.is_head
                and self._work.destination.defers_flush)

    def _close(self, stats, is_flushed):
        """Freeze the content at the destination; store that, and the end of the copy, in one."""
        work, link = self._work, self._link
        closing = {'copied_at': timeutils.utcnow(), 'digest': self._map.root()}
        if not link.is_head:
            location = work.destination.seal(link.destination, is_flushed)
            if not is_flushed:
                work.unstored.defer(link)
            closing.update(destination_location=location, sealed_at=timeutils.utcnow())
        self._store(link.size_bytes, list(self._last.items()), stats, closing)
        if not link.is_head:
            work.located(link.number, location)
            self.read_early()

    def read_early(self):
        """Begin to read back what was copied, while the next link is copied."""
        work = self._work
        if work.verify != 'off':
            work.early.begin(work.links[self._link.number], self._map, blocks_to_verify(
                work.verify, work.promises, self._map, self._written), self._runs)

    def _progress(self, stats):
        self._work.progress.copied(self._others + self._before + stats.read)

    def _checkpoint(self, position, deltas, stats):
        """Store where the copy stands; at the link's end that is left to the closing."""
        if position == self._link.size_bytes:
            self._last.update(deltas)
        else:
            self._store(position, deltas, stats, {})

    def _store(self, position, deltas, stats, closing):
        before, self._counted = self._counted, stats
        row = self._row
        added = {'bytes_read': stats.read - before.read,
                 'bytes_written': stats.written - before.written,
                 'bytes_skipped': (stats.skipped + stats.zeroed
                                   - before.skipped - before.zeroed)}
        self._stored = {
            'position': position, 'bytes_done': plan.bytes_below(self._blocks, position),
            'bytes_read': row.bytes_read + stats.read,
            'bytes_written': row.bytes_written + stats.written,
            'bytes_skipped': row.bytes_skipped + stats.skipped + stats.zeroed,
            'started_at': self._begun, 'retries': row.retries + self._resumed, **closing}
        checkpoint = migration_copies.Checkpoint(
            self._link.number, deltas, self._stored, {**added, 'retries': self._again})
        self._again = 0
        if closing and self._is_unstored:
            self._work.unstored.add(checkpoint, self._length)
        else:
            self._work.unstored.store(checkpoint)
        self._is_unstored = False


class Ahead:
    """The source of the next link: open, and its first units read, while the last one is ended.

    Freezing and storing that take as long as reading what a small link changed.  Nothing of the
    next link is written meanwhile.  Only where the source is cheap to open, says what changed, and
    no bandwidth is kept.
    """

    def __init__(self, work):
        self._work = work
        self._number = self._opened = self._found = None
        self._memories = []

    def begin(self, number):
        """Begin with a link, if there is one; what goes wrong is for its copy to find."""
        self.close()
        work = self._work
        # Of an attached volume the head is not copied, and changes.
        if number >= len(work.copied_links) or work.is_limited:
            return
        link = work.links[number]
        with contextlib.suppress(exceptions.DriverError, OSError), contextlib.ExitStack() as opened:
            changed = work.changed(link)
            if changed is None or not work.source.is_direct(link):
                return
            path = opened.enter_context(work.source.opened(link))
            blocks = units.coalesced(changed, values.BLOCK_BYTES, link.size_bytes)
            reader = reading.ReadAhead(path, units.cut(blocks), self._memory(), work.pool)
            opened.callback(reader.close)
            self._number, self._found = number, (path, reader)
            self._opened = opened.pop_all()

    def _memory(self):
        """One of two buffers, in turn: units of the link before may be on their way yet."""
        if len(self._memories) < 2:
            self._memories.append(blockio.buffer(AHEAD_BYTES))
        else:
            self._memories.reverse()
        return self._memories[-1]

    def has(self, number):
        """Whether a link was begun with and not taken up."""
        return self._number == number

    @contextlib.contextmanager
    def opened(self, link):
        """A local path with the content of a link, and its ReadAhead or None."""
        if self._number != link.number:
            self.close()
            with self._work.source.opened(link) as path:
                yield path, None
            return
        opened, found = self._opened, self._found
        self._number = self._opened = self._found = None
        with opened:
            yield found

    def close(self):
        """Let go of what was begun and not taken up.  Idempotent."""
        opened = self._opened
        self._number = self._opened = self._found = None
        if opened is not None:
            opened.close()


def blocks_to_verify(policy, promises, digest_map, written):
    """Which blocks of a link are read back.

    :param policy: ``written`` or ``full``
    :param digest_map: what the link holds
    :param written: BlockSet of what was written for this link
    :returns: block indices, ascending

    Where snapshots share blocks with their volume, a block that an earlier link wrote was
    read back there.  Where they are copies, each holds its own.
    """
    if policy == 'full':
        return range(digest_map.blocks)
    if promises.snapshots_share_blocks:
        return list(written)
    return [block for block in range(digest_map.blocks)
            if block in written or not digest_map.is_zero(block)]


def read_back(work, parts, on_progress, on_done):
    """Compare links at the destination with their digests; the next is begun before one is done.

    :param parts: iterable of (plan.Link, DigestMap, blocks)
    :param on_progress: called with the bytes compared so far, of all
    :param on_done: called with (plan.Link, how the page cache was passed) of each that is equal
        and is not used any more; None where nothing was read
    :raises VerifyFailed: one differs
    """
    done = 0
    for some in [parts] if work.destination.is_direct else ([part] for part in parts):
        with contextlib.ExitStack() as opened:
            reading = _ReadBack(work, opened, on_done)
            verify.verify_devices(
                reading.devices(some), control=work.control, on_done=reading.end,
                on_progress=lambda read, before=done: on_progress(before + read),
                workers=work.conf.migration.workers,
                buffers=verify.queue_of(work.buffers(work.conf.migration.workers)))
            done += reading.length


class _ReadBack:
    """The links of one pass over the destination, each open for as long as it is read."""

    def __init__(self, work, opened, on_done):
        self._work = work
        self._opened = opened
        self._on_done = on_done
        self._links = {}
        self.length = 0

    def devices(self, parts):
        """Yield each link that has blocks to read, opened."""
        for link, digest_map, blocks in parts:
            if not blocks:
                self._on_done(link, None)
                continue
            self.length += digest_map.length_of(blocks)
            mine = self._opened.enter_context(contextlib.ExitStack())
            path = mine.enter_context(self._work.destination.sealed(link))
            device = verify.Device(path, link.size_bytes, digest_map, blocks, link.title)
            device.open()
            mine.callback(device.close)
            self._links[device] = link, mine
            yield device

    def end(self, device):
        """A link was equal: let go of it."""
        link, mine = self._links.pop(device)
        mine.close()
        self._on_done(link, device.how)
