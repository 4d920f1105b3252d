"""The stored progress of a migration: throttled, weighted by bytes, never going back."""
# SPDX-License-Identifier: Apache-2.0

import time

from oslo_utils import timeutils

from cinder_ext.db import volume_migrations

_SHORTEST_SECONDS = 0.5
"""A migration of two seconds stores four figures, not a hundred."""


class Progress:
    """Figures of one migration, stored every few seconds or at each percent.

    Copying and reading back weigh the same per byte.

    :param record: the migration's row, for where it stood: after a restart up to one interval
        is copied again, and the figures wait for it
    :param verifies: whether a verification follows the copy
    :param interval_seconds: callable
    :param part: of the whole that these figures are about: 1 for all
    """

    def __init__(self, context, record, verifies, interval_seconds, clock=time.monotonic,
                 part=1):  # noqa: PLR0917
        self._context = context
        self._id = record.id
        self._total = record.bytes_total
        self._shares = 2 if verifies else 1
        self._part = part
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._percent = record.percent or 0
        self._floor = record.bytes_done or 0
        self._done = None
        self._stored_at = None
        self._rate = record.bytes_per_second

    def total(self, bytes_total):
        """The chain turned out to be of another length."""
        self._total = bytes_total

    def copied(self, done):
        """``done`` bytes of the whole chain are equal at the destination."""
        self._at(done, done / max(self._total, 1) / self._shares,
                 {'bytes_done': max(done, self._floor)})

    def verified(self, done, expected):
        """``done`` of ``expected`` bytes were read back."""
        fraction = done / max(expected, 1)
        self._at(done, (1 + fraction) / 2, {'bytes_verified': done})

    def end_copy(self):
        """Every link is copied: store the exact figure."""
        percent = max(self._percent, self._share(100 // self._shares - 1))
        self._store(self._clock(), self._total, percent, {'bytes_done': self._total})

    def end_verify(self, expected):
        """Every link was read back: store the exact figure."""
        self._store(self._clock(), expected, self._share(99), {'bytes_verified': expected})

    def _share(self, percent):
        return int(percent * self._part)

    def _at(self, done, fraction, figures):
        percent = max(self._percent, self._share(min(99, int(100 * fraction))))
        now = self._clock()
        if self._stored_at is None or self._done is None or done < self._done:
            self._store(now, done, percent, figures)
            return
        elapsed = now - self._stored_at
        is_due = elapsed >= self._interval_seconds() or percent != self._percent
        if elapsed < _SHORTEST_SECONDS or not is_due:
            return
        rate = (done - self._done) / elapsed
        self._rate = int(rate if self._rate is None else (self._rate + rate) / 2)
        self._store(now, done, percent, figures)

    def _store(self, now, done, percent, figures):
        self._stored_at, self._done, self._percent = now, done, percent
        volume_migrations.update(self._context, self._id, {
            **figures, 'percent': percent, 'bytes_per_second': self._rate,
            'progress_updated_at': timeutils.utcnow()})
