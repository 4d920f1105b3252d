"""Somebody who writes to a volume all the time, and knows when each write was done.

The writes have numbers and go round a few blocks, so that what an image holds says which writes
are in it: the last ones up to a number, and none after.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import struct
import threading
import time

BLOCK_BYTES = 4096
SLOTS = 64
_STAMP = struct.Struct('>8sQ')
_MARK = b'clocked!'


class ClockedWriter:
    """Writes to a file until it is stopped.

    :ivar done_at: when each write was done, in seconds since the epoch; the first is number 0
    """

    def __init__(self, path, pause_seconds=0.002):
        self.done_at = []
        self._pause = pause_seconds
        self._descriptor = os.open(path, os.O_WRONLY)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='writer', daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping.wait(self._pause):
            number = len(self.done_at)
            os.pwrite(self._descriptor, content(number), (number % SLOTS) * BLOCK_BYTES)
            self.done_at.append(time.time())

    def stop(self):
        self._stopping.set()
        self._thread.join(10)
        os.close(self._descriptor)

    def lost_since(self, count, moment):
        """How long before a moment the first write was done that an image does not have, seconds.

        :param count: how many writes the image has
        :param moment: seconds since the epoch
        """
        done = self.done_at
        return max(0.0, moment - done[count]) if count < len(done) else 0.0


def content(number):
    return _STAMP.pack(_MARK, number).ljust(BLOCK_BYTES, b'\0')


def writes_in(path):
    """How many writes an image has: all of the first ones, and no later one.

    :raises AssertionError: it holds something that never was there at one moment
    """
    found = {}
    with open(path, 'rb') as stream:
        for slot in range(SLOTS):
            block = stream.read(BLOCK_BYTES)
            mark, number = _STAMP.unpack_from(block)
            if mark == _MARK:
                assert block == content(number), f'block {slot} of {path} is torn'
                found[slot] = number
    count = 1 + max(found.values(), default=-1)
    wanted = {number % SLOTS: number for number in range(max(0, count - SLOTS), count)}
    assert found == wanted, f'{path} holds no state that ever was: {found}'
    return count
