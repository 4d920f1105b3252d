"""Taking, reading and deleting snapshots."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.conformance import workbench

MIB = 1 << 20


class SnapshotCases(workbench.Cases):
    """What base.Driver says of snapshots."""

    def test_a_snapshot_keeps_what_the_volume_held(self, bench):
        volume = bench.volume()
        bench.write(volume, 4096, b'before')
        snapshot = bench.snapshot(volume)
        bench.write(volume, 4096, b'after!')
        assert bench.read(snapshot, 4096, 6) == b'before'
        assert bench.read(volume, 4096, 6) == b'after!'

    def test_repeating_a_snapshot_keeps_its_first_content(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'one')
        snapshot = bench.snapshot(volume)
        bench.write(volume, 0, b'two')
        bench.driver.create_snapshot(snapshot)
        assert bench.read(snapshot, 0, 3) == b'one'

    def test_a_name_of_a_snapshot_is_free_again_after_a_delete(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'once')
        snapshot = bench.snapshot(volume)
        bench.write(volume, 0, b'more' * 4 * MIB)
        bench.driver.delete_snapshot(snapshot)
        bench.driver.create_snapshot(snapshot)
        bench.write(volume, 0, b'last')
        assert bench.read(snapshot, 0, 8) == b'moremore'

    def test_a_chain_keeps_each_state_when_its_middle_is_deleted(self, bench):
        volume = bench.volume()
        chain = []
        for state in (b'1', b'2', b'3'):
            bench.write(volume, 0, state)
            chain.append(bench.snapshot(volume))
        bench.driver.delete_snapshot(chain[1])
        assert bench.read(chain[0], 0, 1) == b'1'
        assert bench.read(chain[2], 0, 1) == b'3'

    def test_a_snapshot_of_an_unknown_volume_is_refused(self, bench):
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.create_snapshot(bench.new_snapshot(bench.new_volume()))

    def test_deleting_an_unknown_snapshot_succeeds(self, bench):
        snapshot = bench.snapshot(bench.volume())
        bench.driver.delete_snapshot(snapshot)
        assert bench.driver.delete_snapshot(snapshot) is None

    def test_a_snapshot_keeps_its_size_when_the_volume_grows(self, bench):
        volume = bench.volume()
        snapshot = bench.snapshot(volume)
        bench.driver.extend_volume(volume, 2 * volume.size_bytes)
        with bench.path(snapshot) as path, open(path, 'rb') as device:
            assert device.seek(0, 2) == snapshot.size_bytes
