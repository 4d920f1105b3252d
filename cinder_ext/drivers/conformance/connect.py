"""Connecting volumes, and snapshots where the backend can."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities
from cinder_ext.drivers.conformance import workbench


class ConnectCases(workbench.Cases):
    """What base.Driver says of connections."""

    def test_connecting_twice_gives_the_same(self, bench):
        volume = bench.volume()
        first = bench.driver.connect_volume(volume, bench.connector)
        assert bench.driver.connect_volume(volume, bench.connector) == first
        bench.driver.disconnect_volume(volume, bench.connector)

    def test_disconnecting_twice_succeeds(self, bench):
        volume = bench.volume()
        bench.driver.connect_volume(volume, bench.connector)
        bench.driver.disconnect_volume(volume, bench.connector)
        assert bench.driver.disconnect_volume(volume, bench.connector) is None

    def test_disconnecting_an_unknown_volume_succeeds(self, bench):
        assert bench.driver.disconnect_volume(bench.new_volume(), bench.connector) is None

    def test_connecting_an_unknown_volume_is_refused(self, bench):
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.connect_volume(bench.new_volume(), bench.connector)


class SnapshotConnectCases(workbench.Cases):
    """What capabilities.SnapshotConnect says."""

    word = capabilities.SnapshotConnect.word

    def test_a_snapshot_is_read_directly(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'direct')
        snapshot = bench.snapshot(volume)
        before = sum(pool.provisioned_bytes for pool in bench.driver.report())
        assert bench.read(snapshot, 0, 6) == b'direct'
        assert sum(pool.provisioned_bytes for pool in bench.driver.report()) == before

    def test_connecting_an_unknown_snapshot_is_refused(self, bench):
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.connect_snapshot(
                bench.new_snapshot(bench.volume()), bench.connector)

    def test_disconnecting_an_unknown_snapshot_succeeds(self, bench):
        snapshot = bench.new_snapshot(bench.volume())
        assert bench.driver.disconnect_snapshot(snapshot, bench.connector) is None
