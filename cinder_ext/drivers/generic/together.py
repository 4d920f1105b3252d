"""Several files are copied as they were at one moment, while others may write to them.

Sharing the blocks of one file is atomic, but between two files somebody may
write.  No call shares the blocks of several files at once, and a frozen file
system (FIFREEZE) lets no block be shared either.  So it is proved afterwards
that nobody wrote: all files are shared once, and all but the last one again.
A file whose two copies lie in the same blocks did not change from its first
copy to its second.  The last file was copied when all the others had been
copied once and none twice; at that moment each of them was what its copy is.

A file that is written to gets other blocks, since its blocks are shared: an
overwrite of the same bytes is seen too, and so is a write through mmap or past
the page cache.  Where somebody did write, it is tried again; where nobody ever
pauses for as long as the copies take (milliseconds), there is no copy.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import errno
import os
import tempfile
import time

from cinder_ext import exceptions
from cinder_ext.drivers.generic import extents, reflink

_UNABLE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL})
_PAUSES_SECONDS = (0, 0.001, 0.003, 0.007, 0.013, 0.029)
"""Between attempts, in turn: of different lengths, so that no writer keeps step with them."""


def is_served_by(directory):
    """Whether the file system of a directory says where the data of a file lies.

    :raises OSError: the directory cannot be written
    """
    with tempfile.TemporaryFile(dir=directory) as probe:
        try:
            extents.fiemap(probe.fileno())
        except OSError as fault:
            if fault.errno in _UNABLE:
                return False
            raise
    return True


def share(pairs, limit_seconds, directory, copy=reflink.share):
    """Give new files the content that several files had at one moment.

    :param pairs: a list of (descriptor of a file open for reading, of a new one for writing)
    :param limit_seconds: how long a moment is looked for; one attempt is always made
    :param directory: for files without a name, on the same file system
    :param copy: function(source, target) that shares the blocks of one file
    :raises ResourceBusy: there was none: the files were written to all the time
    :raises DriverError: the file system is not certain where the data lies
    :raises OSError: from the file system
    """
    if not pairs:
        return
    # The file written last is the busiest: it is the one that is copied only once.
    *others, last = sorted(pairs, key=lambda pair: os.fstat(pair[0]).st_mtime_ns)
    until, attempt = time.monotonic() + limit_seconds, 0
    with contextlib.ExitStack() as opened:
        spares = [opened.enter_context(tempfile.TemporaryFile(dir=directory)) for _pair in others]
        again = [(source, spare.fileno())
                 for (source, _target), spare in zip(others, spares, strict=True)]
        while not _attempt(others, last, again, copy):
            if time.monotonic() >= until:
                raise exceptions.ResourceBusy(
                    reason=f'{len(pairs)} volumes were written to without a pause in {attempt + 1} '
                           f'attempts within {limit_seconds} s')
            time.sleep(_PAUSES_SECONDS[attempt % len(_PAUSES_SECONDS)])
            attempt += 1


def _attempt(others, last, again, copy):
    """Copy all once and the others again; whether none of those changed in between."""
    for source, target in [*others, last, *again]:
        copy(source, target)
    return all(_are_same(target, spare)
               for (_source, target), (_same, spare) in zip(others, again, strict=True))


def _are_same(first, second):
    """Whether two copies lie in the same blocks; both are no longer written to."""
    size_bytes = os.fstat(first).st_size
    if os.fstat(second).st_size != size_bytes:
        return False
    before, after = extents.fiemap(first), extents.fiemap(second)
    if any(extent.flags & extents.UNCERTAIN for extent in (*before, *after)):
        raise exceptions.DriverError(
            reason='the file system is not certain where the data of a volume lies')
    return not extents.differing(before, after, size_bytes)
