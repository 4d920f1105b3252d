"""What a copy wrote, to be read back without the rest of its blocks."""
# SPDX-License-Identifier: Apache-2.0

import random

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import digests, runs

MIB = values.MIB
CONTENT = memoryview(random.Random(5).randbytes(6 * MIB))


def test_a_run_knows_its_pieces_and_the_blocks_that_it_touches():
    known = runs.Runs()
    known.add(CONTENT[:2 * MIB + 4096], 3 * MIB - 4096)
    found, blocks = known.within(digests.BlockSet(range(10)))
    assert [run.part for run in found] == [values.Range(3 * MIB - 4096, 2 * MIB + 4096)]
    assert found[0].digests == [digests.digest(CONTENT[start:end]) for start, end in (
        (0, MIB), (MIB, 2 * MIB), (2 * MIB, 2 * MIB + 4096))]
    assert list(blocks) == list(found[0].blocks) == [2, 3, 4]


def test_what_touches_another_block_leaves_all_its_blocks_to_be_read_whole():
    known = runs.Runs()
    known.add(CONTENT[:8192], 0)
    known.add(CONTENT[:8192], 2 * MIB - 4096)
    known.add(CONTENT[:4096], 7 * MIB)
    found, blocks = known.within(digests.BlockSet([0, 1, 7]))
    assert [run.part.offset for run in found] == [0, 7 * MIB]
    assert list(blocks) == [0, 7]


def test_of_too_many_runs_none_is_known():
    known = runs.Runs(most=2)
    for number in range(4):
        known.add(CONTENT[:4096], number * 8192)
    found, blocks = known.within(digests.BlockSet([0]))
    assert not found
    assert not blocks
