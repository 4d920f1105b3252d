"""Reads through the paths that consumers hold, all the time, and notes what fails."""
# SPDX-License-Identifier: Apache-2.0

import os
import threading
import time

STAMP_BYTES = 64


class PathReader:
    """A thread; a context.

    A path is opened anew for each read, as what is cut is noticed by who opens first.

    :param pause_seconds: between two rounds
    :ivar faults: one sentence for each read that failed
    :ivar reads: how many there were
    """

    def __init__(self, pause_seconds=0.002):
        self._pause_seconds = pause_seconds
        self._held, self._lock, self._ended = {}, threading.Lock(), threading.Event()
        self.faults, self.reads = [], 0
        self._thread = threading.Thread(target=self._run, name='path-reader', daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        self._thread.join(10)

    def hold(self, holder, path, stamp):
        """A consumer reads from now on; what it reads begins with the stamp.

        :param holder: its attachment's id
        """
        with self._lock:
            self._held[holder] = (path, stamp)

    def release(self, holder):
        """A consumer reads no more; when this returns no read of it is on its way."""
        with self._lock:
            return self._held.pop(holder, None)

    def held(self):
        """Holder -> path."""
        with self._lock:
            return {holder: path for holder, (path, _) in self._held.items()}

    def clear(self):
        """Nobody reads any more; returns the faults until now and forgets them."""
        with self._lock:
            self._held.clear()
            found, self.faults = self.faults, []
        return found

    def pass_round(self, seconds=10):
        """Return when each path that is held has been read once more."""
        with self._lock:
            goal = self.reads + 2 * len(self._held)
        deadline = time.monotonic() + seconds
        while self.reads < goal:
            assert time.monotonic() < deadline, 'the reader does not read'
            time.sleep(0.001)

    def _run(self):
        while not self._ended.wait(self._pause_seconds):
            with self._lock:
                for holder, (path, stamp) in self._held.items():
                    self._read(holder, path, stamp)

    def _read(self, holder, path, stamp):
        self.reads += 1
        try:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                found = os.pread(descriptor, len(stamp), 0)
            finally:
                os.close(descriptor)
        except OSError as fault:
            found = str(fault).encode()
        if found != stamp:
            self.faults.append(f'{holder} read {found[:80]!r} from {path}')
