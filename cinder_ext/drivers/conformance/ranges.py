"""What a backend knows of where data lies and where two states differ."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import workbench


class AllocatedRangesCases(workbench.Cases):
    """What capabilities.AllocatedRanges says."""

    word = capabilities.AllocatedRanges.word

    def test_all_that_was_written_is_allocated(self, bench):
        volume = bench.volume()
        offsets = (0, 77 * values.MIB + 5, volume.size_bytes - 1)
        for offset in offsets:
            bench.write(volume, offset, b'x')
        for resource in (volume, bench.snapshot(volume)):
            found = bench.driver.allocated_ranges(resource)
            _check_shape(found, resource.size_bytes)
            assert all(_covered(found, offset) for offset in offsets)

    def test_allocated_ranges_of_an_unknown_volume_are_refused(self, bench):
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.allocated_ranges(bench.new_volume())


class ChangedRangesCases(workbench.Cases):
    """What capabilities.ChangedRanges says."""

    word = capabilities.ChangedRanges.word

    def test_every_change_is_found_and_little_else(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'a' * 64 * values.MIB)
        older = bench.snapshot(volume)
        offsets = (3 * values.MIB + 7, 40 * values.MIB, 500 * values.MIB)
        for offset in offsets:
            bench.write(volume, offset, b'changed')
        for newer in (bench.snapshot(volume), volume):
            found = bench.driver.changed_ranges(older, newer)
            _check_shape(found, newer.size_bytes)
            assert all(_covered(found, offset) for offset in offsets)
            assert sum(part.length for part in found) < 32 * values.MIB

    def test_two_equal_states_do_not_differ(self, bench):
        volume = bench.volume()
        bench.write(volume, values.MIB, b'same')
        older = bench.snapshot(volume)
        assert bench.driver.changed_ranges(older, bench.snapshot(volume)) == []

    def test_changes_add_up_over_snapshots_deleted_from_the_middle(self, bench):
        volume = bench.volume()
        chain = []
        for number in range(3):
            bench.write(volume, number * 100 * values.MIB, b'state')
            chain.append(bench.snapshot(volume))
        bench.driver.delete_snapshot(chain[1])
        found = bench.driver.changed_ranges(chain[0], chain[2])
        assert _covered(found, 100 * values.MIB)
        assert _covered(found, 200 * values.MIB)

    def test_what_was_written_past_the_older_end_is_a_change(self, bench):
        volume = bench.volume()
        older = bench.snapshot(volume)
        bench.driver.extend_volume(volume, 2 * volume.size_bytes)
        larger = dataclasses.replace(volume, size_bytes=2 * volume.size_bytes)
        bench.write(larger, volume.size_bytes + values.MIB, b'new')
        found = bench.driver.changed_ranges(older, larger)
        _check_shape(found, larger.size_bytes)
        assert _covered(found, volume.size_bytes + values.MIB)

    def test_changed_ranges_of_an_unknown_snapshot_are_refused(self, bench):
        volume = bench.volume()
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.changed_ranges(bench.new_snapshot(volume), volume)


def _check_shape(found, size_bytes):
    """Ascending, not overlapping, not empty, within the size."""
    end = 0
    for part in found:
        assert part.offset >= end
        assert part.length > 0
        end = part.end
    assert end <= size_bytes


def _covered(found, offset):
    return any(part.offset <= offset < part.end for part in found)
