"""What a copy wrote of blocks in part: to be read back without the rest of them.

Of what was written whole the digests are known anyway.
"""
# SPDX-License-Identifier: Apache-2.0

import typing

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import digests

_MOST_RUNS = 4096
"""Where more places were written, whole blocks are read back: a list of all takes too much."""


class Run(typing.NamedTuple):
    """One write.

    :ivar part: values.Range, whole pages
    :ivar digests: of its pieces of 1 MiB, as reading.read_unit digests them
    """

    part: values.Range
    digests: list

    @property
    def blocks(self):
        """The indices of the blocks that it touches."""
        return range(self.part.offset // values.BLOCK_BYTES,
                     -(-self.part.end // values.BLOCK_BYTES))


class Runs:
    """The writes of one copier, as far as they are known.

    Adding is safe while another thread adds; it is asked when the copy is done.
    """

    def __init__(self, most=_MOST_RUNS):
        self._most = most
        self._found = []

    def add(self, data, offset):
        """Note a write.

        :param data: memoryview of what was written
        """
        if len(self._found) <= self._most:
            pieces = [digests.digest(data[start:start + values.BLOCK_BYTES])
                      for start in range(0, len(data), values.BLOCK_BYTES)]
            self._found.append(Run(values.Range(offset, len(data)), pieces))

    def within(self, blocks):
        """The runs that touch only some blocks.

        :param blocks: digests.BlockSet
        :returns: (a list of Run, digests.BlockSet of the blocks of which that is all that was
            written)
        """
        if len(self._found) > self._most:
            return [], digests.BlockSet()
        known, others = set(), set()
        chosen = []
        for run in self._found:
            if all(block in blocks for block in run.blocks):
                chosen.append(run)
                known.update(run.blocks)
            else:
                others.update(run.blocks)
        return chosen, digests.BlockSet(known - others)
