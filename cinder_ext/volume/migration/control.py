"""What is looked at between the units of a copy: whether to stop, and how fast to go."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

from cinder_ext.volume import engine


class Control:
    """Stops or slows the copies of one service.

    :param bytes_per_second: callable with the limit now; 0 for none

    A unit is paid for after it was admitted, so a limit holds on average over a few units.
    """

    def __init__(self, stopping: threading.Event, bytes_per_second=lambda: 0):
        self._stopping = stopping
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0

    def check(self, length):
        """Wait until ``length`` more bytes may be copied.

        :raises Parked: the service is stopping; noticed within a tenth of a second
        """
        self._raise_if_stopping()
        rate = self._bytes_per_second()
        if not rate:
            return
        now = time.monotonic()
        while now < self._free_at:
            self._stopping.wait(min(0.1, self._free_at - now))
            self._raise_if_stopping()
            now = time.monotonic()
        self._free_at = max(now, self._free_at) + length / rate

    def _raise_if_stopping(self):
        if self._stopping.is_set():
            raise engine.Parked
