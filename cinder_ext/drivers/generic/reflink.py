"""Copies of whole files: by sharing their blocks, or byte by byte with the holes kept."""
# SPDX-License-Identifier: Apache-2.0

import errno
import fcntl
import os
import tempfile

from cinder_ext.drivers.generic import blockio, extents, units

_FICLONE = 0x40049409
_REFUSED = frozenset({
    errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM})


def is_served_by(directory):
    """Whether two files in a directory can share blocks; tried with two empty ones.

    Empty, so that it can be told of a full file system too; where there is no room even for a
    file's name, the answer is no.

    :raises OSError: the directory cannot be written
    """
    try:
        with (tempfile.TemporaryFile(dir=directory) as source,
              tempfile.TemporaryFile(dir=directory) as target):
            share(source.fileno(), target.fileno())
    except OSError as fault:
        if fault.errno in _REFUSED | {errno.ENOSPC, errno.EDQUOT}:
            return False
        raise
    return True


def share(source, target):
    """Give a new file the content of another one by sharing all its blocks.

    Atomic with regard to writers of the source.  Repeating it is safe.

    :param source: descriptor open for reading
    :param target: descriptor open for writing, same file system
    :raises OSError: EOPNOTSUPP and the like where the file system cannot
    """
    fcntl.ioctl(target, _FICLONE, source)


def copy_sparse(source, target):
    """Give an empty file the content of another one as an independent copy with its holes.

    Reads and writes, never copy_file_range, which would share the blocks on some file
    systems.  Not atomic: who writes to the source meanwhile gets a mixture.

    :param source: descriptor open for reading
    :param target: descriptor open for writing, an empty file
    """
    size_bytes = os.fstat(source).st_size
    os.ftruncate(target, size_bytes)
    view = blockio.buffer(units.UNIT_BYTES)
    for part in units.cut(extents.allocated(source, size_bytes)):
        count = blockio.read_into(source, view[:part.length], part.offset)
        blockio.write_from(target, view[:count], part.offset)
