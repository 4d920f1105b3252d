"""Units of a device, read and digested: by whoever needs them, or before that."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import os

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, digests, faults, units


def aligned_length(length):
    """Bytes of buffer that reading so many takes: direct I/O reads whole pages at the end too."""
    return -(-length // blockio.ALIGNMENT) * blockio.ALIGNMENT


def read_unit(descriptor, path, part, view):
    """Fill a buffer with a unit, 1 MiB at a time: digested while it is in the cache.

    A flush or a write waits for the reads that are queued before it: several milliseconds behind
    a few long ones (tests/benchmarks/flush_behind_reads.py).

    :param path: what the fault names
    :param part: values.Range that begins with a page
    :param view: at least ``aligned_length(part.length)`` long
    :returns: the digests of its pieces, as units.blockwise cuts them
    :raises BackendDown: the device does not answer, or ends before the unit does
    """
    found, pieces = [], list(units.blockwise(part))
    for start in range(0, part.length, values.BLOCK_BYTES):
        offset, length = part.offset + start, min(values.BLOCK_BYTES, part.length - start)
        with faults.mapped(f'reading {path} at {offset}'):
            count = blockio.read_into(
                descriptor, view[start:start + aligned_length(length)], offset, length)
        if count < length:
            raise exceptions.BackendDown(
                reason=f'reading {path}: it ends at {offset + count}, expected {part.end}')
        while len(found) < len(pieces) and pieces[len(found)].end <= offset + length:
            piece = pieces[len(found)]
            found.append(digests.digest(view[piece.offset - part.offset:piece.end - part.offset]))
    return found


class ReadAhead:
    """The first units of a source, read before its copy may begin.

    Nothing is decided by them here: what they are compared with may not be known yet.

    :param parts: values.Range of the units, in the order in which they will be taken
    :param memory: a blockio.buffer for all of them; what does not fit is not read.  It is free
        again after close()
    :param pool: ThreadPoolExecutor that reads them; by default one of its own, of four threads
    :raises OSError: the source cannot be opened
    """

    def __init__(self, path, parts, memory, pool=None):
        self._path = path
        self._descriptor, _ = blockio.open_source(path, direct=True)
        self._own = None
        if pool is None:
            pool = self._own = concurrent.futures.ThreadPoolExecutor(4, 'read-ahead')
        self._units, self._sent = {}, []
        start = 0
        for part in parts:
            end = start + aligned_length(part.length)
            if end > len(memory):
                break
            view = memory[start:end]
            future = pool.submit(read_unit, self._descriptor, path, part, view)
            self._units[part] = view, future
            self._sent.append(future)
            start = end

    def take(self, part):
        """A unit: its buffer and the digests of its blocks, or None.

        None too when it could not be read: who needs it finds out what is wrong.
        """
        view, future = self._units.pop(part, (None, None))
        if future is None or future.exception() is not None:
            return None
        return view, future.result()

    def close(self):
        """Wait for what is being read and forget it.  Idempotent.  Nobody takes any more."""
        self._units.clear()
        for future in self._sent:
            future.cancel()
        concurrent.futures.wait(self._sent)
        if self._own is not None:
            self._own.shutdown()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
