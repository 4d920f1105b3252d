"""Snapshots that are put on the medium together, after they were taken."""
# SPDX-License-Identifier: Apache-2.0

import mmap
import os

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities
from cinder_ext.drivers.conformance import workbench

PAGE = 4096


class DeferredFlushCases(workbench.Cases):
    """What capabilities.DeferredFlush says, as far as a machine shows it whose power does not fail."""

    word = capabilities.DeferredFlush.word

    @pytest.fixture
    def unflushed(self, bench):
        """A volume with three snapshots that are not flushed: a page of 1, of 2, of 3."""
        volume, snapshots = bench.volume(), []
        with bench.path(volume) as path:
            for state in range(1, 4):
                _write_direct(path, bytes([state]) * PAGE)
                snapshots.append(bench.new_snapshot(volume))
                bench.driver.create_snapshot_unflushed(snapshots[-1])
            _write_direct(path, bytes([9]) * PAGE)
        return volume, snapshots

    def test_each_holds_what_was_written_before_it_flushed_or_not(self, bench, unflushed):
        volume, snapshots = unflushed
        for _ in range(2):
            assert [bench.read(each, 0, PAGE) for each in (*snapshots, volume)] == [
                bytes([state]) * PAGE for state in (1, 2, 3, 9)]
            bench.driver.flush_snapshots(snapshots)

    def test_flushing_is_repeated_with_others_without_effect(self, bench, unflushed):
        volume, snapshots = unflushed
        bench.driver.flush_snapshots(snapshots[:1])
        bench.driver.flush_snapshots([*snapshots, bench.snapshot(volume)])
        bench.driver.flush_snapshots([])
        assert bench.read(snapshots[0], 0, PAGE) == bytes([1]) * PAGE

    def test_repeating_one_keeps_its_first_content(self, bench, unflushed):
        _, snapshots = unflushed
        bench.driver.create_snapshot_unflushed(snapshots[0])
        bench.driver.create_snapshot(snapshots[1])
        assert [bench.read(each, 0, 1) for each in snapshots[:2]] == [b'\1', b'\2']

    def test_one_that_is_deleted_is_taken_again(self, bench, unflushed):
        _, snapshots = unflushed
        bench.driver.delete_snapshot(snapshots[1])
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.flush_snapshots(snapshots)
        bench.driver.create_snapshot_unflushed(snapshots[1])
        bench.driver.flush_snapshots(snapshots)
        assert [bench.read(each, 0, 1) for each in snapshots] == [b'\1', b'\x09', b'\3']

    def test_of_an_unknown_volume_none_is_taken_and_none_flushed(self, bench):
        snapshot = bench.new_snapshot(bench.new_volume())
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.create_snapshot_unflushed(snapshot)
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.flush_snapshots([snapshot])


def _write_direct(path, data):
    """Write pages past the page cache; nothing is flushed."""
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT)
    try:
        assert os.pwrite(descriptor, memory, 0) == len(data)
    finally:
        os.close(descriptor)
