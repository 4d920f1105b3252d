"""Brings content from one array to another: only what differs, in units, not faster than allowed."""
# SPDX-License-Identifier: Apache-2.0

import errno
import os
import threading
import time

from cinder_ext.drivers.generic import blockio, extents, units
from cinder_ext.drivers.replica import moments

_SLEEP_SECONDS = 0.25
"""Of a throttle; then it is looked whether both arrays answer still."""
_UNABLE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL})


class Pace:
    """Looked at before each unit: whether both arrays answer, and how fast it may go.

    :param rate: function() -> bytes per second, 0 for no limit
    """

    def __init__(self, arrays, rate):
        self._arrays = arrays
        self._rate = rate
        self._free_at = time.monotonic()
        self._lock = threading.Lock()
        self.moved = 0

    def check(self, length):
        """Wait until ``length`` more bytes may be moved.

        :raises BackendDown, NoSpace: of either array
        """
        self._look()
        rate = self._rate()
        with self._lock:
            turn = max(self._free_at, time.monotonic())
            self._free_at = turn + (length / rate if rate else 0)
            self.moved += length
        while (left := turn - time.monotonic()) > 0:
            time.sleep(min(left, _SLEEP_SECONDS))
            self._look()
            if self._rate() != rate:
                with self._lock:
                    self._free_at = time.monotonic()
                break

    def _look(self):
        source, destination = self._arrays
        source.check()
        destination.check(is_write=True)


def changed(array, base, newer):
    """Where one file of an array may differ from another one there.

    :param base: descriptor, or None: of a file that reads zeros
    :param newer: descriptor
    :returns: a list of values.Range within the newer one, ascending
    """
    size_bytes = os.fstat(newer).st_size
    if base is None:
        return extents.allocated(newer, size_bytes)
    if os.path.sameopenfile(base, newer):
        return []
    if array.shares_blocks:
        try:
            return extents.differing(extents.fiemap(base), extents.fiemap(newer), size_bytes)
        except OSError as fault:
            if fault.errno not in _UNABLE:
                raise
    views = blockio.buffer(units.UNIT_BYTES), blockio.buffer(units.UNIT_BYTES)
    return units.coalesced(moments.differing(base, newer, size_bytes, views), extents.ALIGNMENT,
                           size_bytes)


def move(source, target, ranges, pace, start_offset=0, moved=None):
    """Make ranges of a target equal to a source.

    :param source: descriptor open for reading
    :param target: descriptor open for writing, as large
    :param ranges: values.Range, ascending
    :param pace: Pace
    :param start_offset: what lies below it is left out
    :param moved: function(values.Range) called after each unit
    """
    view = blockio.buffer(units.UNIT_BYTES)
    for part in units.cut(ranges, start_offset=start_offset):
        pace.check(part.length)
        count = blockio.read_into(source, view[:part.length], part.offset)
        for offset, length, is_zero in _pieces(view[:count]):
            at = part.offset + offset
            if not is_zero or not blockio.punch_hole(target, at, length):
                blockio.write_from(target, view[offset:offset + length], at)
        if moved is not None:
            moved(part)


def _pieces(view):
    """Yield (offset, length, whether it is all zeros), neighbours of one kind together."""
    start, kind = 0, None
    for offset in range(0, len(view), moments.PIECE_BYTES):
        piece = view[offset:offset + moments.PIECE_BYTES]
        is_zero = not any(piece[:64]) and bytes(piece).count(0) == len(piece)
        if kind is not None and is_zero != kind:
            yield start, offset - start, kind
            start = offset
        kind = is_zero
    if len(view):
        yield start, len(view) - start, kind


def length(ranges):
    return sum(part.length for part in ranges)
