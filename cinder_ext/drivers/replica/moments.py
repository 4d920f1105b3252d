"""Freezing the content of volumes as it is at one moment, on the array where they are used."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import time

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, extents, reflink, together, units

PIECE_BYTES = 64 * 1024
"""What is compared, or looked at for zeros, by itself."""
_PAUSE_SECONDS = 0.005
_LEAST_SECONDS = 0.1
_CLOCK_OF_FILES = 5
"""CLOCK_REALTIME_COARSE, which the kernel takes a file's times from."""
_TICK_NS = 20_000_000
"""It is behind by less; some kernels take a finer clock once a file's time was looked at."""


def freeze(array, sources, targets, limit_seconds, directory):
    """Give new files the content that several files have at one moment.

    :param sources: descriptors open for reading
    :param targets: descriptors of empty files open for reading and writing, as many
    :param limit_seconds: how long a moment is looked for; a little longer than 0 always
    :param directory: for files without a name, on the same file system
    :raises ResourceBusy: they were written to all the time
    :raises OSError: from the file system
    """
    pairs = list(zip(sources, targets, strict=True))
    if array.shares_blocks and len(pairs) == 1:
        reflink.share(*pairs[0])
    elif array.shares_together:
        together.share(pairs, limit_seconds, directory)
    else:
        _copy(array, pairs, limit_seconds)


def _copy(array, pairs, limit_seconds):
    """Copy, and copy again what has changed, until a look at all of them finds nothing changed.

    A file whose time of change is what it was before its copy was last corrected, and whose
    content is its copy's, was its copy at the moment when that look began: so were all of them.
    """
    for source, target in pairs:
        array.fill(source, target)
    until = time.monotonic() + max(limit_seconds, _LEAST_SECONDS)
    while True:
        before = [_settled(source, until) for source, _target in pairs]
        changed = sum(_correct(source, target) for source, target in pairs)
        after = [os.fstat(source).st_mtime_ns for source, _target in pairs]
        if not changed and before == after:
            return
        if time.monotonic() > until:
            raise exceptions.ResourceBusy(
                reason=f'{len(pairs)} volumes were written to without a pause for {limit_seconds} s')


def _settled(descriptor, until):
    """The time of change, once any later write is sure to have another one; None: too late."""
    while True:
        changed = os.fstat(descriptor).st_mtime_ns
        now = time.clock_gettime_ns(_CLOCK_OF_FILES)
        # A clock that was set back leaves times in the future, which no write will have either.
        if not now <= changed <= now + _TICK_NS:
            return changed
        if time.monotonic() > until:
            return None
        time.sleep(_PAUSE_SECONDS)


def _correct(source, target):
    """Make a copy equal to its file again; returns how many bytes had changed."""
    size_bytes = os.fstat(source).st_size
    changed = 0
    if os.fstat(target).st_size != size_bytes:
        os.ftruncate(target, size_bytes)
        changed = 1
    views = blockio.buffer(units.UNIT_BYTES), blockio.buffer(units.UNIT_BYTES)
    for part in differing(source, target, size_bytes, views):
        count = blockio.read_into(source, views[0][:part.length], part.offset)
        blockio.write_from(target, views[0][:count], part.offset)
        changed += part.length
    return changed


def differing(first, second, size_bytes, views):
    """Yield where two files differ, in pieces of a unit, by reading what either has.

    :param views: two buffers of a unit each
    """
    parts = [*extents.allocated(first, size_bytes), *extents.allocated(second, size_bytes)]
    for part in units.cut(units.coalesced(parts, extents.ALIGNMENT, size_bytes)):
        one, other = (_filled(descriptor, view[:part.length], part.offset)
                      for descriptor, view in zip((first, second), views, strict=True))
        if one != other:
            yield from _pieces(one, other, part)


def _pieces(one, other, part):
    for start in range(0, part.length, PIECE_BYTES):
        stop = min(start + PIECE_BYTES, part.length)
        if one[start:stop] != other[start:stop]:
            yield values.Range(part.offset + start, stop - start)


def _filled(descriptor, view, offset):
    """A view with what a file holds, and zeros past its end."""
    count = blockio.read_into(descriptor, view, offset)
    if count < len(view):
        view[count:] = bytes(len(view) - count)
    return view


@contextlib.contextmanager
def opened(path, flags=os.O_RDONLY):
    """A descriptor of an existing file."""
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
