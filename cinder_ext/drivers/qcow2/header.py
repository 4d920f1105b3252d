"""What the header of a qcow2 layer says: its size and what lies behind it.

Read here and nowhere else: QEMU's tools would look at the content of a file to find out its
format, and follow wherever a header leads.  Source: the qcow2 specification of QEMU
(docs/interop/qcow2.txt).
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import struct

from cinder_ext import exceptions

QCOW2 = 'qcow2'
RAW = 'raw'
FORMATS = (QCOW2, RAW)

_MAGIC = b'QFI\xfb'
_HEADER = struct.Struct('>4sIQIIQI24xI')
"""Magic, version, backing file offset and length, cluster bits, virtual size, encryption, snapshots."""
_TABLE = struct.Struct('>IQ')
"""Entries and place of the first table of clusters."""
_TABLE_AT = 36
_FEATURES_AT = 72
_LENGTH_AT = 100
_EXTENSION = struct.Struct('>II')
_BACKING_FORMAT = 0xE2792ACA
_EXTERNAL_DATA = 1 << 2
_KNOWN_FEATURES = 0b11011
"""Dirty, corrupt, compression type, extended L2 entries; not an external data file."""
_LONGEST_NAME = 1023
_HEAD_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True)
class Header:
    """A layer's own words.

    :ivar size_bytes: virtual size
    :ivar backing: name of the file behind it as it stands there; None without one
    :ivar backing_format: None when the header does not say
    :ivar inner_snapshots: how many there are inside of the file itself
    """

    size_bytes: int
    backing: str | None
    backing_format: str | None
    inner_snapshots: int = 0


def read(path):
    """The header of a file that was recorded as qcow2.

    :raises DriverError: it is none, or one that leads to other files in ways not looked at here
    :raises OSError: it cannot be read
    """
    with open(path, 'rb') as file:
        head = file.read(_HEAD_BYTES)
    try:
        return _parsed(head)
    except (struct.error, ValueError) as fault:
        raise exceptions.DriverError(reason=f'{path} is no fit qcow2 layer: {fault}') from fault


def is_empty(path):
    """Whether an image that was recorded as qcow2 has no clusters of data of its own.

    :raises OSError: it cannot be read
    """
    with open(path, 'rb') as file:
        entries, offset = _TABLE.unpack_from(file.read(_TABLE_AT + _TABLE.size), _TABLE_AT)
        file.seek(offset)
        return not any(file.read(8 * entries))


def _parsed(head):
    magic, version, offset, length, _, size_bytes, cipher, inner = _HEADER.unpack_from(head)
    if magic != _MAGIC or version not in (2, 3):
        raise ValueError('not qcow2 of version 2 or 3')
    if cipher:
        raise ValueError('it is encrypted by itself')
    start = _FEATURES_AT
    if version == 3:
        features = struct.unpack_from('>Q', head, _FEATURES_AT)[0]
        if features & _EXTERNAL_DATA:
            raise ValueError('its data lie in another file')
        if features & ~_KNOWN_FEATURES:
            raise ValueError(f'features {features:#x} are not known')
        start = struct.unpack_from('>I', head, _LENGTH_AT)[0]
    if not offset:
        return Header(size_bytes, None, None, inner)
    if length > _LONGEST_NAME or offset + length > len(head):
        raise ValueError('the name of its backing file is out of bounds')
    name = head[offset:offset + length].decode()
    return Header(size_bytes, name, _backing_format(head, start), inner)


def _backing_format(head, start):
    """The format that the header's extensions name for the backing file; None: none is named."""
    while start + _EXTENSION.size <= len(head):
        kind, length = _EXTENSION.unpack_from(head, start)
        start += _EXTENSION.size
        if kind == 0:
            return None
        if kind == _BACKING_FORMAT:
            return head[start:start + length].decode()
        start += length + -length % 8
    return None
