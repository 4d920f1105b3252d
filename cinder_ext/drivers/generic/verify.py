"""Reads a device back and compares it with digests; digests a whole device."""
# SPDX-License-Identifier: Apache-2.0

import collections
import concurrent.futures
import contextlib
import os
import queue

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, extents, faults, reading, units
from cinder_ext.drivers.generic import digests as digest_maps

DIRECT = 'direct'
"""Read past the page cache by O_DIRECT."""

DROPPED = 'dropped'
"""Read after fsync and after dropping the pages; the kernel may have kept some."""


class Device:
    """One device or file that is to be compared.

    :param size_bytes: it is at least so long
    :param digests: DigestMap of ``size_bytes`` with what is expected
    :param blocks: indices of the 1 MiB blocks to read, in any order
    :param link: what the fault names (``snapshot <id>``)
    :param runs: runs.Run to read besides
    :ivar how: how the page cache was passed: DIRECT or DROPPED; known once it is opened
    """

    def __init__(self, path, size_bytes, digests, blocks, link='volume', runs=()):  # noqa: PLR0917
        if digests.size_bytes != size_bytes:
            raise ValueError('the map is that of another size')
        self.path = path
        self.size_bytes = size_bytes
        self.digests = digests
        self.blocks = blocks
        self.link = link
        self.runs = runs
        self.how = None
        self.descriptor = None

    def open(self):
        """Open it past the page cache: direct where the path allows it, else its pages dropped."""
        with faults.mapped(f'reading back {self.path}'):
            self.descriptor, is_direct = blockio.open_source(self.path, direct=True)
            self.how = DIRECT if is_direct else DROPPED
            if not is_direct:
                blockio.drop_cache(self.path)

    def share(self, opened):
        """Read by the descriptor of another one of the same path, which is to be closed last."""
        self.descriptor, self.how = opened.descriptor, opened.how
        if self.how == DROPPED:
            # Reading by the other one may have brought pages of this one along.
            with faults.mapped(f'reading back {self.path}'):
                blockio.drop_cache(self.path)

    def close(self):
        """Idempotent."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def parts(self):
        """Yield (values.Range of a unit, digests that are expected of its pieces in blocks)."""
        for part in units.cut(units.of_blocks(self.blocks, self.size_bytes)):
            first = part.offset // values.BLOCK_BYTES
            yield part, [self.digests[block] for block in range(
                first, -(-part.end // values.BLOCK_BYTES))]
        for run in self.runs:
            yield run.part, run.digests


def verify_blocks(path, size_bytes, digests, blocks, *, link='volume', **options):
    """Compare what one device gives back with what it should hold: see Device, verify_devices.

    :returns: how the page cache was passed: DIRECT or DROPPED
    """
    device = Device(path, size_bytes, digests, blocks, link)
    device.open()
    try:
        verify_devices([device], **options)
    finally:
        device.close()
    return device.how


def verify_devices(devices, *, control, on_progress=None, on_done=None, workers=3, buffers=None):
    """Compare devices with what they should hold, one after the other.

    :param devices: iterable of opened Device.  It is advanced while the last units of the one
        before are in flight; who made them closes them
    :param control: ``check(length)`` is called before each unit; it may sleep, or raise to stop
    :param on_progress: called in the calling thread with the bytes compared so far
    :param on_done: called in the calling thread with each Device that was equal and is not read
        any more, in their order; one without blocks may be left out
    :param buffers: queue.SimpleQueue of blockio.buffer of units.UNIT_BYTES, one for each unit that
        may be in flight; one per worker by default.  What is put there meanwhile is used too
    :raises VerifyFailed: the first block that differs, by offset
    :raises BackendDown: a device does not answer

    Writes nothing; repeating it is safe.
    """
    done, last = 0, None
    # Closed before the fault goes on: nothing may be in flight when the devices are closed.
    with contextlib.closing(_digested(_parts(devices), workers, control, buffers)) as read:
        for device, part, expected, found in read:
            if last not in (None, device) and on_done:
                on_done(last)
            last = device
            _compare(part, found, expected, device.link)
            done += part.length
            if on_progress:
                on_progress(done)
    if last is not None and on_done:
        on_done(last)


def queue_of(buffers):
    """The ``buffers`` of verify_devices."""
    found = queue.SimpleQueue()
    for view in buffers:
        found.put(view)
    return found


def _parts(devices):
    """Yield (Device, values.Range, expected digests) of all units."""
    for device in devices:
        for part, expected in device.parts():
            yield device, part, expected


def digest_of(path, size_bytes, *, control=None, workers=3):
    """The digest of a whole device, as a migration's record shows it.

    :param path: device or file; holes of a file are not read
    :param control: as with verify_blocks; None for none
    :returns: SHA-256 in hexadecimal over the BLAKE3 digests of the 1 MiB blocks
    :raises BackendDown: the device does not answer
    """
    found_digests = digest_maps.DigestMap.zeros(size_bytes)
    device = Device(path, size_bytes, found_digests, ())
    with faults.mapped(f'reading {path}'):
        device.descriptor, _ = blockio.open_source(path)
        try:
            ranges = [values.Range(0, size_bytes)]
            if blockio.is_regular(device.descriptor):
                ranges = extents.allocated(device.descriptor, size_bytes)
            ranges = units.coalesced(ranges, values.BLOCK_BYTES, size_bytes)
            parts = ((device, part, None) for part in units.cut(ranges))
            with contextlib.closing(_digested(parts, workers, control)) as read:
                for _, part, _, found in read:
                    for number, value in enumerate(found, part.offset // values.BLOCK_BYTES):
                        found_digests[number] = value
        finally:
            device.close()
    return found_digests.root()


def _digested(parts, workers, control, buffers=None):
    """Yield each part and the digests that it has, in order, reading ahead in threads.

    As many wait for a thread as there are threads: small units are not kept up by a large one that
    was sent before them.

    :param parts: iterable of (opened Device, values.Range of a unit, anything)
    """
    if buffers is None:
        buffers = queue_of(blockio.buffer(units.UNIT_BYTES) for _ in range(workers))
    pending = collections.deque()
    with contextlib.ExitStack() as end:
        pool = concurrent.futures.ThreadPoolExecutor(workers, 'verify')
        end.callback(pool.shutdown, cancel_futures=True)
        for device, part, expected in parts:
            if control:
                control.check(part.length)
            if len(pending) >= 2 * workers:
                yield _oldest(pending)
            pending.append((device, part, expected, pool.submit(_read, device, part, buffers)))
        while pending:
            yield _oldest(pending)


def _read(device, part, buffers):
    """The digests of a unit, read into a buffer that is free again at once."""
    view = buffers.get()
    try:
        return reading.read_unit(device.descriptor, device.path, part, view)
    finally:
        buffers.put(view)


def _oldest(pending):
    """The result of the unit that was sent first."""
    device, part, expected, future = pending.popleft()
    return device, part, expected, future.result()


def _compare(part, found, expected, link):
    """Raise for the first piece of a unit that differs."""
    for piece, value, wanted in zip(units.blockwise(part), found, expected, strict=True):
        if value != wanted:
            raise exceptions.VerifyFailed(link=link, offset=piece.offset, length=piece.length)
