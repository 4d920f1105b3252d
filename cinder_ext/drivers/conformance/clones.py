"""Volumes made from snapshots and from volumes."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.conformance import workbench

MIB = 1 << 20


class CloneCases(workbench.Cases):
    """What base.Driver says of volumes with the content of another thing."""

    def test_a_volume_from_a_snapshot_has_its_content(self, bench):
        volume = bench.volume()
        bench.write(volume, 8192, b'frozen')
        snapshot = bench.snapshot(volume)
        bench.write(volume, 8192, b'moving')
        made = bench.new_volume()
        bench.driver.create_volume_from_snapshot(made, snapshot)
        assert bench.read(made, 8192, 6) == b'frozen'

    def test_a_clone_and_its_source_are_independent(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'same')
        clone = bench.new_volume()
        bench.driver.clone_volume(clone, volume)
        bench.write(clone, 0, b'mine')
        assert bench.read(volume, 0, 4) == b'same'
        assert bench.read(clone, 0, 4) == b'mine'

    def test_a_clone_may_be_larger(self, bench):
        volume = bench.volume()
        bench.write(volume, volume.size_bytes - 4, b'tail')
        clone = bench.new_volume(2 * volume.size_bytes)
        bench.driver.clone_volume(clone, volume)
        assert bench.read(clone, volume.size_bytes - 4, 4) == b'tail'
        with bench.path(clone) as path, open(path, 'rb') as device:
            assert device.seek(0, 2) == clone.size_bytes

    def test_repeating_a_clone_keeps_what_was_written_to_it(self, bench):
        volume = bench.volume()
        clone = bench.new_volume()
        bench.driver.clone_volume(clone, volume)
        bench.write(clone, 0, b'mine')
        bench.driver.clone_volume(clone, volume)
        assert bench.read(clone, 0, 4) == b'mine'

    def test_a_name_of_a_clone_is_free_again_after_a_delete(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'once')
        clone = bench.new_volume()
        bench.driver.clone_volume(clone, volume)
        bench.write(volume, 0, b'more' * 4 * MIB)
        bench.driver.delete_volume(clone)
        bench.driver.clone_volume(clone, volume)
        bench.write(volume, 0, b'last')
        assert bench.read(clone, 0, 8) == b'moremore'

    def test_an_unknown_source_is_refused_and_leaves_nothing(self, bench):
        volume = bench.volume()
        made = bench.new_volume()
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.create_volume_from_snapshot(made, bench.new_snapshot(volume))
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.clone_volume(made, bench.new_volume())
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.connect_volume(made, bench.connector)

    def test_a_source_goes_before_its_clones_where_the_driver_says_so(self, bench):
        if bench.driver.clones_need_their_source:
            return
        volume = bench.volume()
        bench.write(volume, 8192, b'frozen')
        snapshot = bench.snapshot(volume)
        of_snapshot, of_volume = bench.new_volume(), bench.new_volume()
        bench.driver.create_volume_from_snapshot(of_snapshot, snapshot)
        bench.driver.clone_volume(of_volume, volume)
        bench.driver.delete_snapshot(snapshot)
        bench.driver.delete_volume(volume)
        assert bench.read(of_snapshot, 8192, 6) == b'frozen'
        assert bench.read(of_volume, 8192, 6) == b'frozen'
