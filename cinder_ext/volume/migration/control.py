"""What is looked at between the units of a copy: whether to stop, and how fast to go."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

from oslo_log import log

from cinder_ext.db import away, migration_actions
from cinder_ext.states import migration as states
from cinder_ext.volume import engine

LOG = log.getLogger(__name__)

LOOK_SECONDS = 0.4
"""Between two looks at the record: a pause or a cancel is noticed within this."""

_SLICE_SECONDS = 0.1
"""A limit is waited for in such slices: the service may be stopping."""


class Orders:
    """What the record of a migration says to whoever works on it.

    :param attempt: number of the worker's attempt
    :ivar bandwidth: bytes per second; None for what is configured
    """

    def __init__(self, context, migration_id, attempt, clock=time.monotonic):
        self._context = context
        self._id = migration_id
        self._attempt = attempt
        self._clock = clock
        self._due_at = clock()
        self.bandwidth = None

    def look(self, at_once=False):
        """Look at the record, if the last look is some time ago.

        A database that does not answer says nothing: the next checkpoint will find out.

        :raises Parked: it was paused or called off, or another process has taken it up
        """
        if not at_once and self._clock() < self._due_at:
            return
        try:
            row = migration_actions.command(self._context, self._id)
        except away.FAULTS as fault:
            LOG.warning('migration %s: the record cannot be looked at: %s', self._id,
                        away.describe(fault))
            row = None
        self._due_at = self._clock() + LOOK_SECONDS
        if row is None:
            return
        self.bandwidth = row.bandwidth
        if row.attempt != self._attempt or row.phase in (states.PAUSED, *states.CALLED_OFF):
            LOG.info('migration %s: attempt %d stands still: attempt %d is %s', self._id,
                     self._attempt, row.attempt, row.phase)
            raise engine.Parked


class Control:
    """Stops or slows the copies of one migration.

    :param stopping: threading.Event, set when the service stops
    :param look: called again and again; raises Parked when the work is to stand still
    :param buckets: limits.Bucket, all of which a unit is taken from

    A unit is paid for after it was admitted.
    """

    def __init__(self, stopping: threading.Event, look=lambda: None, buckets=()):
        self._stopping = stopping
        self._look = look
        self._buckets = tuple(buckets)

    def check(self, length):
        """Wait until ``length`` more bytes may be copied.

        :raises Parked: the service is stopping; noticed within a tenth of a second.  Or the
            record says so; noticed within LOOK_SECONDS
        """
        self.obey()
        for bucket in self._buckets:
            while seconds := bucket.take(length):
                self._stopping.wait(min(_SLICE_SECONDS, seconds))
                self.obey()

    def obey(self):
        """
        :raises Parked: the work is to stand still
        """
        if self._stopping.is_set():
            raise engine.Parked
        self._look()
