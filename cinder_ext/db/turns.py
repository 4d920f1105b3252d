"""Threads that want the one lock of an SQLite file get it in the order in which they came.

SQLite lets whoever waits try again, after pauses of up to 0.1 s, and gives the lock to whoever
tries when it is free: of many that write, one may be unlucky until its time is up.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import contextlib
import threading


class Turns:
    """A lock whose waiters are served in turn."""

    def __init__(self):
        self._lock = threading.Lock()
        self._waiting = collections.deque()
        self._is_taken = False

    @contextlib.contextmanager
    def turn(self, longest_seconds):
        """Wait for the turn of this thread, for so long at most, and have it while the block runs.

        Who has waited in vain goes on without: other processes do not stand in this line either.
        """
        has_it = self._take(longest_seconds)
        try:
            yield has_it
        finally:
            if has_it:
                self._pass_on()

    def _take(self, longest_seconds):
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        if mine.acquire(timeout=longest_seconds):
            return True
        with self._lock:
            if mine not in self._waiting:
                # It came in this very moment.
                return True
            self._waiting.remove(mine)
            return False

    def _pass_on(self):
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False
