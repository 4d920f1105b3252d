"""Who has an image open, by the locks that QEMU keeps on it.

Every QEMU process that may write to a file holds a shared lock on the byte of that permission.
Source: QEMU's block/file-posix.c, "image locking".
"""
# SPDX-License-Identifier: Apache-2.0

import fcntl
import os
import struct

_WRITE_BYTE = 101
"""Permission bytes begin at 100; writing is the second."""
_F_OFD_GETLK = 36
_FLOCK = struct.Struct('@hhqqi4x')


def is_written(path):
    """Whether a process may be writing to an image now.

    :raises OSError: it cannot be opened
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _WRITE_BYTE, 1, 0)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        found = _FLOCK.unpack(fcntl.fcntl(descriptor, _F_OFD_GETLK, asked))
    finally:
        os.close(descriptor)
    return found[0] != fcntl.F_UNLCK
