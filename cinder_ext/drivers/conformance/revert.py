"""Reverting a volume to a snapshot of it."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities
from cinder_ext.drivers.conformance import workbench


class RevertCases(workbench.Cases):
    """What capabilities.Revert says."""

    word = capabilities.Revert.word

    def test_a_reverted_volume_holds_what_its_snapshot_holds(self, bench):
        volume = bench.volume()
        bench.write(volume, 4096, b'before')
        snapshot = bench.snapshot(volume)
        bench.write(volume, 4096, b'after!')
        bench.write(volume, 1 << 20, b'new')
        bench.driver.revert_to_snapshot(volume, snapshot)
        assert bench.read(volume, 4096, 6) == b'before'
        assert bench.read(volume, 1 << 20, 3) == bytes(3)
        assert bench.read(snapshot, 4096, 6) == b'before'

    def test_reverting_is_repeatable_and_the_volume_lives_on(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'one')
        snapshot = bench.snapshot(volume)
        for state in (b'two', b'six'):
            bench.write(volume, 0, state)
            bench.driver.revert_to_snapshot(volume, snapshot)
            bench.driver.revert_to_snapshot(volume, snapshot)
            assert bench.read(volume, 0, 3) == b'one'
        bench.write(volume, 0, b'ten')
        assert bench.read(snapshot, 0, 3) == b'one'

    def test_an_older_snapshot_is_untouched(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'1')
        older = bench.snapshot(volume)
        bench.write(volume, 0, b'2')
        latest = bench.snapshot(volume)
        bench.write(volume, 0, b'3')
        bench.driver.revert_to_snapshot(volume, latest)
        assert [bench.read(each, 0, 1) for each in (older, latest, volume)] == [b'1', b'2', b'2']

    def test_an_unknown_snapshot_is_refused_and_the_volume_stays(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'kept')
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.revert_to_snapshot(volume, bench.new_snapshot(volume))
        assert bench.read(volume, 0, 4) == b'kept'
