"""Comparing extents, and asking real files for them."""
# SPDX-License-Identifier: Apache-2.0

import errno
import random

import pytest

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import extents

KIB4 = 4096


def extent(logical, physical, length, flags=0):
    return extents.Extent(logical * KIB4, physical * KIB4, length * KIB4, flags)


def differing(older, newer, size=1000):
    return [(part.offset // KIB4, part.length // KIB4)
            for part in extents.differing(older, newer, size * KIB4)]


def test_the_same_place_is_the_same_content_however_it_is_cut():
    older = [extent(0, 100, 10)]
    newer = [extent(0, 100, 3), extent(3, 103, 7)]
    assert differing(older, newer) == []


def test_a_replaced_middle_is_found_exactly():
    older = [extent(0, 100, 10)]
    newer = [extent(0, 100, 4), extent(4, 900, 2), extent(6, 106, 4)]
    assert differing(older, newer) == [(4, 2)]


def test_a_shifted_place_differs_everywhere():
    assert differing([extent(0, 100, 10)], [extent(0, 101, 10)]) == [(0, 10)]


def test_a_hole_where_data_was_is_a_change_and_so_is_the_reverse():
    assert differing([extent(2, 50, 3)], []) == [(2, 3)]
    assert differing([], [extent(2, 50, 3)]) == [(2, 3)]


def test_a_hole_past_the_older_end_is_none():
    assert differing([extent(0, 50, 3)], [extent(0, 50, 3), extent(500, 90, 1)]) == [(500, 1)]


def test_nothing_past_the_size_is_looked_at():
    assert differing([extent(0, 1, 20)], [extent(0, 2, 20)], size=5) == [(0, 5)]


def test_reserved_but_unwritten_is_as_a_hole():
    assert differing([extent(0, 7, 5, extents.UNWRITTEN)], []) == []
    assert differing([extent(0, 7, 5, extents.UNWRITTEN)], [extent(0, 7, 5)]) == [(0, 5)]


@pytest.mark.parametrize('flag', [0x2, 0x4, 0x8, 0x80, 0x100, 0x200, 0x400])
def test_an_uncertain_place_differs_even_from_itself(flag):
    same = [extent(0, 9, 2, flag)]
    assert differing(same, same) == [(0, 2)]
    assert differing(same, []) == [(0, 2)]


@pytest.mark.parametrize('seed', range(20))
def test_what_differs_of_long_lists_is_what_differs_page_by_page(seed):
    chance = random.Random(seed)
    older, newer, pages = [], [], []
    for start in range(0, 300, 3):
        one, other = (chance.choice([None, 7 * start, 9 * start + 1]) for _ in range(2))
        if chance.random() < 0.8:
            other = one
        for found, physical in ((older, one), (newer, other)):
            if physical is not None:
                found.append(extent(start, physical, 3))
        if one != other:
            pages += range(start, start + 3)
    assert [page for start, length in differing(older, newer)
            for page in range(start, start + length)] == pages


def test_changes_are_rounded_outward_to_pages():
    found = extents.differing(
        [], [extents.Extent(5000, 70000, 100), extents.Extent(9000, 90000, 100)], 10000)
    assert found == [values.Range(4096, 10000 - 4096)]


def test_the_data_of_a_file_is_found_between_its_holes(tmp_path):
    path = tmp_path / 'file'
    with open(path, 'wb') as made:
        made.truncate(64 * values.MIB)
        for offset in (0, 20 * values.MIB, 63 * values.MIB):
            made.seek(offset)
            made.write(b'x' * 8192)
    with open(path, 'rb') as opened:
        found = extents.allocated(opened.fileno(), 64 * values.MIB)
        assert extents.allocated(opened.fileno(), 10 * values.MIB) == found[:1]
    for offset in (0, 20 * values.MIB, 63 * values.MIB):
        assert any(part.offset <= offset and offset + 8192 <= part.end for part in found)
    assert sum(part.length for part in found) <= values.MIB


def test_many_extents_are_read_in_pages(tmp_path):
    path = tmp_path / 'file'
    with open(path, 'wb') as made:
        for number in range(1500):
            made.seek(number * 8 * KIB4)
            made.write(b'x' * KIB4)
    with open(path, 'rb') as opened:
        found = _fiemap_or_skip(opened.fileno())
    written = {part.logical for part in found if not part.flags & extents.UNWRITTEN}
    assert written >= {number * 8 * KIB4 for number in range(1500)}
    assert [part.logical for part in found] == sorted({part.logical for part in found})


def _fiemap_or_skip(descriptor):
    try:
        return extents.fiemap(descriptor)
    except OSError as fault:
        if fault.errno in (errno.EOPNOTSUPP, errno.ENOTTY):
            pytest.skip('the file system below the temporary directory has no FIEMAP')
        raise
