"""What was copied and is not stored yet: whole small links, together.

Storing a link takes as long as copying what a small one changed.  So several are stored in one
transaction, as many as one interval between checkpoints holds.  A link of which a part was stored
is stored whole before the next one is begun.

Where the destination can take snapshots without putting each on the medium, that is done for them
together too, just before they are stored.

Whoever goes on after a kill copies those links again and finds their snapshots taken.  Not so where
the destination has got other names meanwhile, or may have lost what was not on the medium: there
they are taken again, of a volume that holds what the later ones changed.  So that is copied too: it
is why only links of which the source says what changed are left unstored.
"""
# SPDX-License-Identifier: Apache-2.0

import time

from cinder_ext import metrics
from cinder_ext.db import migration_copies
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import units

_MOST_BYTES = 64 * values.MIB
"""Never more is left unstored, whatever interval is configured: whoever goes on may have another."""


class Unstored:
    """The links of one migration that are copied and not stored.

    :param work: work.Work
    """

    def __init__(self, work, clock=time.monotonic):
        self._work = work
        self._clock = clock
        self._checkpoints, self._bytes, self._since = [], 0, None
        self._unflushed = []
        self._has_begun = False

    def stale(self, link, position):
        """Blocks of the destination's volume that may hold what later links changed.

        Snapshots that may be there and that nobody knows to be on the medium are removed.

        :param link: plan.Link that is about to be copied
        :param position: stored of it
        :returns: indices in any order; for the first link that is asked about only
        """
        work, has_begun, self._has_begun = self._work, self._has_begun, True
        is_unproven = work.attempt > 1 and work.destination.defers_flush
        if has_begun or position or not (is_unproven or work.record().superseded_attempt):
            return []
        found, changes = [], self._changes_of_later(link)
        if is_unproven:
            for each in (link, *(later for later, _ in changes)):
                if not each.is_head:
                    work.destination.remove(each.destination)
        for _, parts in changes:
            found += [number for part in parts for number in range(
                part.offset // values.BLOCK_BYTES, -(-part.end // values.BLOCK_BYTES))]
        return [number for number in found if number * values.BLOCK_BYTES < link.size_bytes]

    def _changes_of_later(self, link):
        """(plan.Link, ranges of blocks) of those that may have been copied after it, unstored."""
        found, length = [], 0
        for later in self._work.copied_links[link.number + 1:]:
            changed = self._work.changed(later)
            parts = units.coalesced(changed or (), values.BLOCK_BYTES, later.size_bytes)
            length += sum(part.length for part in parts)
            if changed is None or length > _MOST_BYTES:
                break
            found.append((later, parts))
        return found

    def begin(self, length, is_known):
        """A link is begun: store the ones before where it would be too much together.

        :param length: bytes that are looked at for it
        :param is_known: whether the source says what it changed
        """
        if self._checkpoints and not (is_known and self._fits(length)):
            self.store()

    def add(self, checkpoint, length):
        """A whole link is copied, of which nothing was stored: store it now or with later ones."""
        self._since = self._since or self._clock()
        self._checkpoints.append(checkpoint)
        self._bytes += length
        if not self._fits(0):
            self.store()

    def defer(self, link):
        """A link is frozen and not on the medium: it is flushed before it is stored."""
        self._unflushed.append(link)

    def _flush(self):
        """Put what is to be stored on the medium, the volume too."""
        if self._unflushed:
            work = self._work
            work.target.flush(self._unflushed[-1].destination_volume)
            work.destination.flush([link.destination for link in self._unflushed])
            self._unflushed = []

    def _fits(self, length):
        now = self._clock()
        return (self._bytes + length <= self._interval_bytes and now - (self._since or now)
                < self._work.conf.migration.checkpoint_seconds)

    @property
    def _interval_bytes(self):
        return min(self._work.conf.migration.checkpoint_mib * values.MIB, _MOST_BYTES)

    def store(self, *checkpoints):
        """Store what was added, and more with it.  Idempotent.

        :raises RecordLost: another attempt has begun, or the migration is being undone
        """
        found = [*self._checkpoints, *checkpoints]
        if not found:
            return
        work = self._work
        self._flush()
        migration_copies.store(work.context, work.id, found, work.attempt)
        self._checkpoints, self._bytes, self._since = [], 0, None
        for each in found:
            for what in ('read', 'written', 'skipped'):
                metrics.BYTES.labels(work.source_host, what).inc(each.added[f'bytes_{what}'])
