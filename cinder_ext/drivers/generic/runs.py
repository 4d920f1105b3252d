"""What a copy wrote of blocks in part: to be read back without the rest of them.

Of what was written whole the digests are known anyway.
"""
# SPDX-License-Identifier: Apache-2.0

import typing

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import digests, units

_MOST_PIECES = 8192
"""Where more places were written, whole blocks are read back: a list of all takes too much."""


class Run(typing.NamedTuple):
    """What was written in one place.

    :ivar part: values.Range, whole pages; not longer than a unit
    :ivar digests: of its pieces, as units.blockwise cuts them
    """

    part: values.Range
    digests: list


class Runs:
    """The writes of one copier, as far as they are known.

    Adding is safe while another thread adds; it is asked when the copy is done.
    """

    def __init__(self, most=_MOST_PIECES):
        self._most = most
        self._found = []
        self._by_block = None

    def add(self, data, offset):
        """Note a write.

        :param data: memoryview of what was written
        """
        if len(self._found) <= self._most:
            for piece in units.blockwise(values.Range(offset, len(data))):
                start = piece.offset - offset
                self._found.append(
                    (piece, digests.digest(data[start:start + piece.length])))

    def within(self, blocks):
        """What was written of some blocks.

        :param blocks: digests.BlockSet
        :returns: (a list of Run, ascending; digests.BlockSet of the blocks of which nothing is
            known)
        """
        if self._by_block is None:
            self._by_block = self._sorted()
        if not self._by_block:
            return [], blocks
        found, others = [], digests.BlockSet()
        for block in blocks:
            pieces = self._by_block.get(block, ())
            if not pieces:
                others.add(block)
            for piece, value in pieces:
                if found and _goes_on(found[-1].part, piece):
                    whole = values.Range(found[-1].part.offset,
                                         found[-1].part.length + piece.length)
                    found[-1] = Run(whole, [*found[-1].digests, value])
                else:
                    found.append(Run(piece, [value]))
        return found, others

    def _sorted(self):
        """What is known of each block: index -> list of (values.Range, digest), ascending."""
        by_block = {}
        if len(self._found) <= self._most:
            for piece, value in sorted(self._found, key=lambda each: each[0].offset):
                by_block.setdefault(piece.offset // values.BLOCK_BYTES, []).append((piece, value))
        return by_block


def _goes_on(part, piece):
    """Whether a run goes on in the next block with this piece.

    Two writes that touch within a block were digested apart.
    """
    return (part.end == piece.offset and piece.offset % values.BLOCK_BYTES == 0
            and part.length + piece.length <= units.UNIT_BYTES)
