"""Who works on what in this process: one piece of work per resource at a time."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import threading


class Running:
    """Turns of work on resources, by id.  A thread that has one may take it once more.

    A message waits for its turn, and then looks at the row again; a sweep does not wait, since
    whoever works already does what it would do.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._turns = {}

    @contextlib.contextmanager
    def turn(self, resource_id, wait=True):
        """Hold a resource's turn while the block runs.

        :param wait: for whoever has it now
        :returns: whether the turn was given; always with ``wait``
        """
        with self._lock:
            lock, users = self._turns.get(resource_id, (threading.RLock(), 0))
            self._turns[resource_id] = (lock, users + 1)
        is_mine = lock.acquire(blocking=wait)
        try:
            yield is_mine
        finally:
            if is_mine:
                lock.release()
            self._leave(resource_id)

    def _leave(self, resource_id):
        with self._lock:
            lock, users = self._turns[resource_id]
            if users == 1:
                del self._turns[resource_id]
            else:
                self._turns[resource_id] = (lock, users - 1)
