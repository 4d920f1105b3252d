"""Who has an image open, by the locks that QEMU keeps on it.

Every QEMU process holds a shared lock on the byte of each permission that it uses, and on one of
each that it grants to nobody else.  Source: QEMU's block/file-posix.c, "image locking".
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import fcntl
import os
import struct

_FIRST_BYTE, _BYTES = 100, 200
"""Permission bytes begin at 100, those of what is not granted at 200."""
_WRITE_BYTE = 101
"""The second permission is writing."""
_F_OFD_GETLK = 36
_F_OFD_SETLK = 37
_FLOCK = struct.Struct('@hhqqi4x')


def is_written(path):
    """Whether a process may be writing to an image now.

    :raises OSError: it cannot be opened
    """
    return _is_locked(path, _WRITE_BYTE, 1)


def is_open(path):
    """Whether a process has an image open, for reading or for writing.

    :raises OSError: it cannot be opened
    """
    return _is_locked(path, _FIRST_BYTE, _BYTES)


@contextlib.contextmanager
def barred(path):
    """Keep everybody from opening an image while the block runs.

    :returns: a descriptor of it, for writing
    :raises BlockingIOError: somebody has it open
    :raises OSError: it cannot be opened
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.fcntl(descriptor, _F_OFD_SETLK, _asked(_FIRST_BYTE, _BYTES))
        yield descriptor
    finally:
        os.close(descriptor)


def _is_locked(path, first, length):
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        found = _FLOCK.unpack(fcntl.fcntl(descriptor, _F_OFD_GETLK, _asked(first, length)))
    finally:
        os.close(descriptor)
    return found[0] != fcntl.F_UNLCK


def _asked(first, length):
    return _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, first, length, 0)
