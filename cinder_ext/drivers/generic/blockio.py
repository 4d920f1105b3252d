"""Reading and writing devices and files in whole, aligned units.

The thin layer between the copier and the kernel: page-aligned buffers,
complete reads and writes, direct I/O where the path allows it, and holes.
Errors are OSError here; the callers put them into words.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import ctypes
import errno
import mmap
import os
import stat

ALIGNMENT = 4096
"""Bytes that offsets, lengths and addresses of direct I/O are multiples of."""

_HUGE_BYTES = 2 * 1024 ** 2
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
_SYNC_FILE_RANGE_WRITE = 2
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.EINVAL})

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_libc.sync_file_range.argtypes = [
    ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


def buffer(size_bytes):
    """A page-aligned buffer as a memoryview, fit for direct I/O.

    Large ones lie in huge pages where the kernel has them: a device's request takes so many
    pieces of memory and no more, so that of small pages 4 MiB are many requests.  Such memory is
    private, and a page that a fork made common must not be the target of direct I/O (open(2)):
    so children do not get it.
    """
    if size_bytes >= _HUGE_BYTES:
        memory = mmap.mmap(-1, size_bytes + _HUGE_BYTES,
                           flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % _HUGE_BYTES
        with contextlib.suppress(OSError):
            memory.madvise(mmap.MADV_DONTFORK)
            memory.madvise(mmap.MADV_HUGEPAGE)
            return memoryview(memory)[start:start + size_bytes]
    return memoryview(mmap.mmap(-1, size_bytes))


def open_source(path, direct=False):
    """Open a device or file for reading.

    :returns: (file descriptor, whether it reads past the page cache)
    """
    if direct:
        descriptor = _open_direct(path, os.O_RDONLY)
        if descriptor is not None:
            return descriptor, True
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return descriptor, False


def open_target(path, size_bytes, is_proven=False):
    """Open a device or file for writing, past the page cache where the path allows it.

    :param size_bytes: what will be written in all; direct only when it is a multiple of ALIGNMENT
    :param is_proven: this very device or file was opened so before; a proof costs a read
    :returns: (file descriptor, whether it writes past the page cache)
    """
    if size_bytes % ALIGNMENT == 0:
        descriptor = _open_direct(path, os.O_RDWR, is_proven)
        if descriptor is not None:
            return descriptor, True
    return os.open(path, os.O_RDWR | os.O_CLOEXEC), False


def _open_direct(path, flags, is_proven=False):
    """A descriptor with O_DIRECT that was proven by a read, or None where it is refused."""
    try:
        descriptor = os.open(path, flags | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as fault:
        if fault.errno in _UNSUPPORTED:
            return None
        raise
    if is_proven:
        return descriptor
    try:
        os.preadv(descriptor, [buffer(ALIGNMENT)], 0)
    except OSError as fault:
        os.close(descriptor)
        if fault.errno in _UNSUPPORTED:
            return None
        raise
    return descriptor


def read_into(descriptor, view, offset, enough=None):
    """Fill a view from an offset.

    :param enough: bytes after which reading stops; the whole view by default.  Direct I/O asks
        for whole sectors also where the file ends within one
    :returns: bytes read; less than enough only at the end of the file
    """
    done = 0
    while done < (len(view) if enough is None else enough):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            break
        done += count
    return done


def write_from(descriptor, view, offset):
    """Write a whole view at an offset."""
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)


def punch_hole(descriptor, offset, length):
    """Make a range read zeros and give its space back.

    :returns: whether the file system or device could; False changes nothing
    """
    if _libc.fallocate(descriptor, _PUNCH_HOLE_KEEP_SIZE, offset, length) == 0:
        return True
    fault = ctypes.get_errno()
    if fault in _UNSUPPORTED:
        return False
    raise OSError(fault, os.strerror(fault))


def start_writeback(descriptor, offset, length):
    """Let the kernel begin to write dirty pages of a range; a hint, its failure is ignored."""
    _libc.sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def flush(path):
    """Put on the medium what was written to a file or device."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def drop_cache(path):
    """Put a file's data on the medium and its pages out of the page cache."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def is_regular(descriptor):
    """Whether it is a plain file, which can be asked for its holes."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)
