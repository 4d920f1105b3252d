"""Cuts ranges of bytes into the units that are read and written at once."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import values

UNIT_BYTES = 4 * values.MIB
"""The largest unit; control is looked at between two of them."""


def coalesced(ranges, align, end):
    """Ranges rounded outward to a multiple of ``align``, joined where they touch, cut at ``end``.

    :param ranges: values.Range in any order; they may overlap
    :returns: a list of values.Range, ascending, not overlapping
    """
    joined = []
    for part in sorted(ranges, key=lambda part: part.offset):
        start = part.offset - part.offset % align
        stop = min(-(-part.end // align) * align, end)
        if start >= stop:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(stop, joined[-1][1])
        else:
            joined.append([start, stop])
    return [values.Range(start, stop - start) for start, stop in joined]


def of_blocks(blocks, size_bytes):
    """The ranges of block indices.

    :param blocks: indices of 1 MiB blocks, in any order
    :returns: a list of values.Range, ascending, not overlapping
    """
    block = values.BLOCK_BYTES
    return coalesced((values.Range(index * block, block) for index in blocks), block, size_bytes)


def blockwise(part):
    """Yield a range in pieces that end where 1 MiB blocks do."""
    offset = part.offset
    while offset < part.end:
        end = min(offset - offset % values.BLOCK_BYTES + values.BLOCK_BYTES, part.end)
        yield values.Range(offset, end - offset)
        offset = end


def cut(ranges, unit_bytes=UNIT_BYTES, start_offset=0):
    """Yield the ranges in units, ascending; what lies below ``start_offset`` is left out.

    :param ranges: values.Range, ascending, not overlapping
    :param unit_bytes: largest unit
    """
    for part in ranges:
        offset = max(part.offset, start_offset)
        while offset < part.end:
            length = min(unit_bytes, part.end - offset)
            yield values.Range(offset, length)
            offset += length
