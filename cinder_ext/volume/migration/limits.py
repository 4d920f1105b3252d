"""How fast migrations go and how many at once: buckets and places, changed while they are used."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import threading
import time

from cinder_ext.volume import engine

_CREDIT_SECONDS = 0.25
"""What was not used is kept for so long, so that a pause between two units costs no rate."""

_LOOK_SECONDS = 0.5
"""Who waits for a place notices a limit that was raised within this."""


class Bucket:
    """A token bucket of bytes that several threads may share.

    :param bytes_per_second: callable with the limit now; 0 for none

    What is taken may exceed what is there, and is paid back before anybody takes more: a limit
    holds on average over a few units, whatever their size.
    """

    def __init__(self, bytes_per_second, clock=time.monotonic):
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._level = 0.0
        self._at = clock()

    def take(self, length):
        """Take ``length`` bytes if they may be taken now.

        :returns: 0 when they were taken, else the seconds after which to ask again
        """
        rate = self._bytes_per_second()
        with self._lock:
            now = self._clock()
            elapsed, self._at = now - self._at, now
            if not rate:
                self._level = 0.0
                return 0.0
            self._level = min(self._level + elapsed * rate, rate * _CREDIT_SECONDS)
            if self._level < 0:
                return -self._level / rate
            self._level -= length
            return 0.0


class Places:
    """So many pieces of work at a time; the others wait in the order in which they came.

    :param limit: callable with the number now
    :param stopping: threading.Event: nobody gets a place any more
    """

    def __init__(self, limit, stopping):
        self._limit = limit
        self._stopping = stopping
        self._condition = threading.Condition()
        self._waiting = []
        self._held = 0

    @contextlib.contextmanager
    def place(self, key, is_needed):
        """Hold a place while the block runs.

        :param key: what ``look_again`` names
        :param is_needed: callable; when it says no, the block runs without a place.  Asked at
            first and whenever somebody says that it may have changed
        :raises Parked: the service is stopping
        """
        is_held = self._await(key, is_needed)
        try:
            yield
        finally:
            if is_held:
                with self._condition:
                    self._held -= 1
                    self._condition.notify_all()

    def look_again(self, key):
        """Whether ``key`` needs a place may have changed."""
        with self._condition:
            for each in self._waiting:
                each['is_asked'] = each['is_asked'] or each['key'] == key
            self._condition.notify_all()

    def wake(self):
        """The service is stopping: who waits is to notice."""
        with self._condition:
            self._condition.notify_all()

    def _await(self, key, is_needed):
        """Whether a place was taken."""
        mine = {'key': key, 'is_asked': True}
        with self._condition:
            self._waiting.append(mine)
        try:
            while self._is_asked(mine):
                if not is_needed():
                    return False
            return True
        finally:
            with self._condition:
                # Not remove(): another waiting entry may look the same.
                self._waiting = [each for each in self._waiting if each is not mine]
                self._condition.notify_all()

    def _is_asked(self, mine):
        """Wait for a question or for a place; a place is taken when it returns False."""
        with self._condition:
            while not self._stopping.is_set():
                if mine['is_asked']:
                    mine['is_asked'] = False
                    return True
                if self._waiting[0] is mine and self._held < self._limit():
                    self._held += 1
                    return False
                self._condition.wait(_LOOK_SECONDS)
        raise engine.Parked
