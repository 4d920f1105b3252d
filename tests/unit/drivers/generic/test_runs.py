"""What a copy wrote, to be read back without the rest of its blocks."""
# SPDX-License-Identifier: Apache-2.0

import random

import pytest

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import digests, runs

MIB = values.MIB
CONTENT = memoryview(random.Random(5).randbytes(6 * MIB))


@pytest.fixture
def add():
    """A function that notes writes of the content at (offset, length): runs.Runs."""
    def note(*places, **options):
        known = runs.Runs(**options)
        for offset, length in places:
            known.add(CONTENT[offset:offset + length], offset)
        return known
    return note


def expected(start, end):
    """The run from one byte to another."""
    edges = [start, *range(start - start % MIB + MIB, end, MIB), end]
    return runs.Run(values.Range(start, end - start), [
        digests.digest(CONTENT[first:last]) for first, last in zip(edges, edges[1:], strict=False)])


def within(known, *blocks):
    """What is found of blocks: a list of runs, and a list of the blocks that are unknown."""
    found, others = known.within(digests.BlockSet(blocks))
    return found, list(others)


def test_a_run_knows_its_pieces(add):
    known = add((3 * MIB - 4096, 2 * MIB + 4096))
    assert within(known, *range(6)) == (
        [expected(3 * MIB - 4096, 5 * MIB)], [0, 1, 5])


def test_of_a_run_only_that_is_found_which_lies_in_the_blocks(add):
    known = add((MIB // 2, 3 * MIB))
    assert within(known, 0, 1) == ([expected(MIB // 2, 2 * MIB)], [])
    assert within(known, 0, 2, 5) == (
        [expected(MIB // 2, MIB), expected(2 * MIB, 3 * MIB)], [5])
    assert within(known, 3) == ([expected(3 * MIB, 3 * MIB + MIB // 2)], [])


def test_what_was_written_last_is_found_in_its_place(add):
    known = add((MIB, 8192), (8192, 4096), (4096, 4096))
    assert within(known, 0, 1)[0] == [
        expected(4096, 8192), expected(8192, 12288), expected(MIB, MIB + 8192)]


def test_writes_that_touch_where_a_block_ends_are_read_together(add):
    known = add((2 * MIB, 4096), (MIB + 8192, MIB - 8192))
    assert within(known, 1, 2)[0] == [expected(MIB + 8192, 2 * MIB + 4096)]


def test_no_run_is_longer_than_a_unit(add):
    known = add((0, 3 * MIB), (3 * MIB, 3 * MIB - 4096))
    assert within(known, *range(6))[0] == [
        expected(0, 4 * MIB), expected(4 * MIB, 6 * MIB - 4096)]


def test_of_too_many_places_none_is_known(add):
    known = add(*((number * 8192, 4096) for number in range(4)), most=2)
    assert within(known, 0) == ([], [0])
