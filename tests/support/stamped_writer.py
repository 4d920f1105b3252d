"""A program in the guest that stamps every block it writes, and proof of what an image holds.

Each write has a number and goes to one block; the block says which.  One write follows the other,
so an image taken at any instant holds what the first N writes have made, for one N: a *cut*.
``StampLog`` knows what was written where, and finds the cut of an image or says what is wrong.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import itertools
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import threading
import time

BLOCK_BYTES = 4096
_STAMP = struct.Struct('>8sQQQ')
_MARK = b'stamped!'


class StampLog:
    """What was written to one disk.

    :param blocks: how many blocks, from the start of the disk on
    :ivar acknowledged: number of the last write that was acknowledged
    :ivar durable: number of the last write that was acknowledged when a flush began that ended
    """

    def __init__(self, blocks=2048, seed=3):
        self.blocks, self.acknowledged, self.durable = blocks, 0, 0
        self._dice, self._targets = random.Random(seed), []
        self._epochs = [(0, {})]

    @property
    def started(self):
        """Number of the last write that was begun."""
        return len(self._targets)

    def next_write(self):
        """(number, block) of a new write."""
        block = self._dice.randrange(self.blocks)
        self._targets.append(block)
        return len(self._targets), block

    def state_at(self, number):
        """{block: number of its last write} after so many writes."""
        since, base = max((each for each in self._epochs if each[0] <= number),
                          key=lambda each: each[0])
        found = dict(base)
        for each in range(since, number):
            found[self._targets[each]] = each + 1
        return found

    def cut_of(self, path, least=0, most=None):
        """How many writes an image holds: all of the first ones, and none after.

        :param least: so many were acknowledged before it was taken
        :param most: so many were begun when it had been taken
        :raises AssertionError: there is no such number
        """
        found = read_stamps(path, self.blocks)
        number = max([least, *found.values()])
        wanted = self.state_at(number)
        assert found == wanted, (
            f'{path} holds write {number} and is no cut: block -> (there, wanted) '
            f'{_differences(found, wanted)}')
        assert most is None or number <= most, f'{path} holds write {number}, later than {most}'
        return number

    def survives(self, path):
        """Go on with what an image holds after its guest was killed.

        :raises AssertionError: a write is missing that was flushed, or one is there that never was
        """
        found, wrong = read_stamps(path, self.blocks), {}
        for block, least in self.state_at(self.durable).items():
            if found.get(block, 0) < least:
                wrong[block] = (found.get(block), least)
        for block, number in found.items():
            if number > self.started or (
                    number > self.durable and self._targets[number - 1] != block):
                wrong[block] = (number, 'was never written there')
        assert not wrong, f'{path}, block -> (there, at least): {wrong}'
        self._epochs.append((self.started, found))
        self.acknowledged = self.durable = self.started


def _differences(found, wanted, most=20):
    """The first blocks that differ: block -> (there, wanted)."""
    differing = (block for block in sorted({*found, *wanted})
                 if found.get(block) != wanted.get(block))
    return {block: (found.get(block), wanted.get(block))
            for block in itertools.islice(differing, most)}


def content(number, block):
    """What a write puts into a block; no two writes put the same."""
    return _STAMP.pack(_MARK, number, block, ~number % 2 ** 64) * (BLOCK_BYTES // _STAMP.size)


def read_stamps(path, blocks):
    """{block: number} of an image, whoever has it open.

    :raises AssertionError: a block is torn, stands in the wrong place, or there is something else
    """
    found = {}
    with tempfile.TemporaryDirectory(prefix='image-') as directory:
        raw = pathlib.Path(directory) / 'raw'
        subprocess.run(['qemu-img', 'convert', '-U', '-f', 'qcow2', '-O', 'raw',
                        os.path.realpath(path), str(raw)], check=True)
        with open(raw, 'rb') as stream:
            for block in range(blocks):
                there = stream.read(BLOCK_BYTES)
                if there != bytes(BLOCK_BYTES):
                    number = _STAMP.unpack_from(there)[1]
                    assert there == content(number, block), f'block {block} of {path} is torn'
                    found[block] = number
            with contextlib.suppress(OSError):
                at = os.lseek(stream.fileno(), blocks * BLOCK_BYTES, os.SEEK_DATA)
                raise AssertionError(f'{path} has data at {at}, where nobody has written')
    return found


class StampedWriter:
    """Writes all the time, until it is stopped or its disk is gone.

    :param guest: qcow2_guest.Guest
    :param log: StampLog; of the same disk, when its server was started again
    :param flush_every: so many writes
    :ivar fault: what ended it, or None
    """

    def __init__(self, guest, log, pause_seconds=0.002, flush_every=32):
        self.log, self.fault = log, None
        self._pause, self._flush_every = pause_seconds, flush_every
        self._stopping, self._turn = threading.Event(), threading.Lock()
        self._longest, self._last = 0, time.monotonic()
        self._disk = guest.connect()
        self._thread = threading.Thread(target=self._run, name='guest', daemon=True)
        self._thread.start()

    def _run(self):
        try:
            while not self._stopping.wait(self._pause):
                with self._turn:
                    number, block = self.log.next_write()
                    self._disk.write(block * BLOCK_BYTES, content(number, block))
                    self.log.acknowledged = number
                    if number % self._flush_every == 0:
                        self._flush()
                    self._longest, self._last = self.longest_silence(), time.monotonic()
        except (OSError, AssertionError) as fault:
            self.fault = fault

    def _flush(self):
        number = self.log.acknowledged
        self._disk.flush()
        self.log.durable = number

    def mark(self):
        """Measure silences from now on."""
        with self._turn:
            self._longest, self._last = 0, time.monotonic()

    def longest_silence(self):
        """The longest time in seconds without an answer to a write, since the last mark."""
        return max(self._longest, time.monotonic() - self._last)

    @contextlib.contextmanager
    def held(self):
        """While this lasts nothing is written, and all that was is on the medium."""
        with self._turn:
            self._flush()
            yield
            self._last = time.monotonic()

    def goes_on(self, writes=100, seconds=20):
        """Return when it has written that much more."""
        wanted, deadline = self.log.acknowledged + writes, time.monotonic() + seconds
        while self.log.acknowledged < wanted:
            assert self.fault is None, self.fault
            assert time.monotonic() < deadline, 'the guest is stuck'
            time.sleep(0.005)

    def stop(self):
        """End it; all that it has written is on the medium then, unless the disk is gone."""
        self._stopping.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), 'the guest is stuck'
        try:
            if self.fault is None:
                self._flush()
        except OSError as fault:
            self.fault = fault
        self._disk.close()
