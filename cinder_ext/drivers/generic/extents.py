"""Where a file's data lies: extents by FIEMAP, holes by SEEK_DATA.

Two files that share blocks (reflinks) have the same physical extent at the
same offset.  So what differs between them is found without reading either.
An extent whose place is not certain (delayed, unknown, encoded, inline ...)
counts as differing from everything.  Source: the kernel's fiemap
documentation, lseek(2).
"""
# SPDX-License-Identifier: Apache-2.0

import errno
import fcntl
import os
import struct
import typing

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import units

ALIGNMENT = 4096
"""Changed ranges are rounded outward to this, in bytes."""

_FIEMAP = 0xC020660B
_SYNC = 0x1
_HEADER = struct.Struct('=QQIIII')
_EXTENT = struct.Struct('=QQQ16xI12x')
_EXTENTS_PER_CALL = 512

LAST = 0x1
UNWRITTEN = 0x800
UNCERTAIN = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400
"""Unknown, delayed, encoded, encrypted, not aligned, inline, packed tail."""


class Extent(typing.NamedTuple):
    """``length`` bytes of a file from ``logical``, stored from ``physical``; all in bytes."""

    logical: int
    physical: int
    length: int
    flags: int = 0

    @property
    def end(self):
        return self.logical + self.length

    @property
    def is_certain(self):
        """Whether an extent that is equal to this one is the same storage."""
        return not self.flags & UNCERTAIN

    def place_of(self, offset):
        """Where the byte at a file offset inside this extent is stored.

        :returns: a physical offset; _ZEROS for an extent that was reserved but never written;
            a value equal to nothing else where the place is not certain
        """
        if not self.is_certain:
            return object()
        if self.flags & UNWRITTEN:
            return _ZEROS
        return self.physical + offset - self.logical


_ZEROS = None
"""The place of a hole, and of what is reserved but unwritten: both read zeros."""


def fiemap(descriptor):
    """The extents of a file, ascending; its dirty pages are written out first.

    :returns: a list of Extent
    :raises OSError: EOPNOTSUPP or ENOTTY where the file system cannot tell
    """
    found = []
    start = 0
    while True:
        page = _fiemap_page(descriptor, start)
        found.extend(page)
        if len(page) < _EXTENTS_PER_CALL or page[-1].flags & LAST:
            return found
        start = page[-1].end


def _fiemap_page(descriptor, start):
    """At most _EXTENTS_PER_CALL extents from a file offset on."""
    request = bytearray(_HEADER.size + _EXTENTS_PER_CALL * _EXTENT.size)
    _HEADER.pack_into(request, 0, start, 2 ** 64 - 1 - start, _SYNC, 0, _EXTENTS_PER_CALL, 0)
    fcntl.ioctl(descriptor, _FIEMAP, request, True)
    end = _HEADER.size + _HEADER.unpack_from(request)[3] * _EXTENT.size
    return list(map(Extent._make, _EXTENT.iter_unpack(request[_HEADER.size:end])))


def differing(older, newer, size_bytes):
    """Where two files of one file system may differ.

    :param older: Extents of the one, ascending
    :param newer: Extents of the other, ascending
    :param size_bytes: length of the other; nothing past it is looked at
    :returns: a list of values.Range, multiples of ALIGNMENT but for the end, ascending
    """
    # Of a long chain nearly all extents of two links are the same.
    common = {extent for extent in older if extent.is_certain}.intersection(newer)
    older, newer = ([extent for extent in extents if extent not in common]
                    for extents in (older, newer))
    edges = sorted({0, size_bytes}.union(
        edge for extent in (*older, *newer) for edge in (extent.logical, extent.end)
        if edge < size_bytes))
    old, new = _Cursor(older), _Cursor(newer)
    changed = (values.Range(start, stop - start)
               for start, stop in zip(edges, edges[1:], strict=False)
               if old.place_of(start) != new.place_of(start))
    return units.coalesced(changed, ALIGNMENT, size_bytes)


class _Cursor:
    """Walks over ascending extents and says where ascending offsets are stored."""

    def __init__(self, extents):
        self._extents = iter(extents)
        self._extent = next(self._extents, None)

    def place_of(self, offset):
        while self._extent and self._extent.end <= offset:
            self._extent = next(self._extents, None)
        if self._extent and self._extent.logical <= offset:
            return self._extent.place_of(offset)
        return _ZEROS


def allocated(descriptor, size_bytes):
    """Where a file may be other than zero; a file system without holes says everywhere.

    :returns: a list of values.Range, ascending, not overlapping, within ``size_bytes``
    """
    found = []
    offset = 0
    while offset < size_bytes:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as fault:
            if fault.errno == errno.ENXIO:
                break
            raise
        if start >= size_bytes:
            break
        offset = min(os.lseek(descriptor, start, os.SEEK_HOLE), size_bytes)
        found.append(values.Range(start, offset - start))
    return found
