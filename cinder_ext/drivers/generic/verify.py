"""Reads a device back and compares it with digests; digests a whole device."""
# SPDX-License-Identifier: Apache-2.0

import collections
import concurrent.futures
import os

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, extents, faults, units
from cinder_ext.drivers.generic import digests as digest_maps

DIRECT = 'direct'
"""Read past the page cache by O_DIRECT."""

DROPPED = 'dropped'
"""Read after fsync and after dropping the pages; the kernel may have kept some."""


def verify_blocks(path, size_bytes, digests, blocks, *, control, on_progress=None,
                  link='volume', workers=3, buffers=None):
    """Compare what a device gives back with what it should hold.

    :param path: device or file, at least ``size_bytes`` long
    :param digests: DigestMap of ``size_bytes`` with what is expected
    :param blocks: indices of the 1 MiB blocks to read, in any order
    :param control: ``check(length)`` is called before each unit; it may sleep, or raise to stop
    :param on_progress: called in the calling thread with the bytes compared so far
    :param link: what the fault names (``snapshot <id>``)
    :param buffers: one blockio.buffer of units.UNIT_BYTES per worker; new ones by default
    :returns: how the page cache was passed: DIRECT or DROPPED
    :raises VerifyFailed: the first block that differs, by offset
    :raises BackendDown: the device does not answer

    Writes nothing; repeating it is safe.
    """
    if digests.size_bytes != size_bytes:
        raise ValueError('the map is that of another size')
    with faults.mapped(f'reading back {path}'):
        descriptor, how = _open_past_cache(path)
        try:
            done = 0
            ranges = units.of_blocks(blocks, size_bytes)
            for part, found in _digested(descriptor, ranges, workers, control, buffers):
                _compare(part, found, digests, link)
                done += part.length
                if on_progress:
                    on_progress(done)
        finally:
            os.close(descriptor)
    return how


def digest_of(path, size_bytes, *, control=None, workers=3):
    """The digest of a whole device, as a migration's record shows it.

    :param path: device or file; holes of a file are not read
    :param control: as with verify_blocks; None for none
    :returns: SHA-256 in hexadecimal over the BLAKE3 digests of the 1 MiB blocks
    :raises BackendDown: the device does not answer
    """
    found_digests = digest_maps.DigestMap.zeros(size_bytes)
    with faults.mapped(f'reading {path}'):
        descriptor, _ = blockio.open_source(path)
        try:
            ranges = [values.Range(0, size_bytes)]
            if blockio.is_regular(descriptor):
                ranges = extents.allocated(descriptor, size_bytes)
            ranges = units.coalesced(ranges, values.BLOCK_BYTES, size_bytes)
            for part, found in _digested(descriptor, ranges, workers, control):
                for number, value in enumerate(found):
                    found_digests[part.offset // values.BLOCK_BYTES + number] = value
        finally:
            os.close(descriptor)
    return found_digests.root()


def _open_past_cache(path):
    """(descriptor, how): direct where the path allows it, else with its pages dropped."""
    descriptor, is_direct = blockio.open_source(path, direct=True)
    if is_direct:
        return descriptor, DIRECT
    blockio.drop_cache(path)
    return descriptor, DROPPED


def _digested(descriptor, ranges, workers, control, buffers=None):
    """Yield (values.Range, digests of its blocks) in order, reading ahead in threads."""
    free = list(buffers or (blockio.buffer(units.UNIT_BYTES) for _ in range(workers)))
    pending = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(workers, 'verify') as pool:
        for part in units.cut(ranges):
            if control:
                control.check(part.length)
            if not free:
                yield _oldest(pending, free)
            view = free.pop()
            pending.append((part, view, pool.submit(_read_unit, descriptor, part, view)))
        while pending:
            yield _oldest(pending, free)


def _oldest(pending, free):
    """The result of the unit that was sent first; its buffer is free again."""
    part, view, future = pending.popleft()
    found = future.result()
    free.append(view)
    return part, found


def _read_unit(descriptor, part, view):
    """The digests of the blocks of one unit.  Runs in a worker."""
    # Direct reads take whole sectors; what lies past the range is cut off below.
    aligned = -(-part.length // blockio.ALIGNMENT) * blockio.ALIGNMENT
    count = blockio.read_into(descriptor, view[:aligned], part.offset, part.length)
    if count < part.length:
        raise exceptions.BackendDown(
            reason=f'the device ends at {part.offset + count}, expected {part.end}')
    return [digest_maps.digest(view[start:min(start + values.BLOCK_BYTES, part.length)])
            for start in range(0, part.length, values.BLOCK_BYTES)]


def _compare(part, found, digests, link):
    """Raise for the first block of a unit that differs."""
    first = part.offset // values.BLOCK_BYTES
    for block, value in enumerate(found, first):
        if value != digests[block]:
            raise exceptions.VerifyFailed(
                link=link, offset=block * values.BLOCK_BYTES, length=digests.block_length(block))
