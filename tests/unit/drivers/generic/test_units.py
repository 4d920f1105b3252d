"""Cutting ranges into units."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import units

MIB = values.MIB


def test_ranges_are_rounded_outward_joined_and_cut_at_the_end():
    found = units.coalesced(
        [values.Range(9000, 10), values.Range(100, 50), values.Range(4096, 1),
         values.Range(19000, 9999)], 4096, 20000)
    assert found == [values.Range(0, 12288), values.Range(16384, 20000 - 16384)]


def test_what_lies_past_the_end_or_is_empty_is_dropped():
    assert units.coalesced([values.Range(5000, 10), values.Range(0, 0)], 4096, 4096) == []


def test_a_range_inside_another_one_adds_nothing():
    assert units.coalesced(
        [values.Range(0, 9 * MIB), values.Range(MIB, 1)], MIB, 9 * MIB) == [
            values.Range(0, 9 * MIB)]


def test_units_are_small_and_cover_everything_once():
    parts = [values.Range(0, 9 * MIB), values.Range(20 * MIB, MIB)]
    found = list(units.cut(parts))
    assert [(part.offset // MIB, part.length // MIB) for part in found] == [
        (0, 4), (4, 4), (8, 1), (20, 1)]


def test_units_below_the_start_are_left_out():
    found = list(units.cut([values.Range(0, 9 * MIB)], start_offset=6 * MIB))
    assert found == [values.Range(6 * MIB, 3 * MIB)]


def test_a_range_is_cut_where_blocks_end():
    assert list(units.blockwise(values.Range(MIB // 2, 2 * MIB))) == [
        values.Range(MIB // 2, MIB // 2), values.Range(MIB, MIB), values.Range(2 * MIB, MIB // 2)]
    assert list(units.blockwise(values.Range(MIB, 7))) == [values.Range(MIB, 7)]
    assert list(units.blockwise(values.Range(MIB, 0))) == []


def test_blocks_become_ranges():
    assert units.of_blocks([5, 1, 2], 5 * MIB + 7) == [
        values.Range(MIB, 2 * MIB), values.Range(5 * MIB, 7)]
