"""Whether a backend keeps what it promises to migrations."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import os

from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import workbench
from cinder_ext.drivers.generic import digests, verify


class NoControl:
    """Neither slows down nor stops."""

    def check(self, length):
        """Let every unit pass."""


class PromiseCases(workbench.Cases):
    """What values.Promises says; what is not promised need not hold."""

    def test_a_fresh_volume_reads_zeros_if_that_is_promised(self, bench):
        used = bench.volume()
        bench.write(used, 0, os.urandom(32 * values.MIB))
        bench.driver.delete_volume(used)
        volume = bench.volume()
        if bench.driver.promises().fresh_reads_zeros:
            assert _reads_zeros(bench, volume, 0)

    def test_what_an_extend_adds_reads_zeros_if_that_is_promised(self, bench):
        volume = bench.volume()
        bench.write(volume, volume.size_bytes - values.MIB, os.urandom(values.MIB))
        bench.driver.extend_volume(volume, 2 * volume.size_bytes)
        larger = dataclasses.replace(volume, size_bytes=2 * volume.size_bytes)
        if bench.driver.promises().extended_reads_zeros:
            assert _reads_zeros(bench, larger, volume.size_bytes)

    def test_an_empty_volume_takes_little_space_if_thin_is_promised(self, bench):
        before = _allocated(bench)
        bench.volume()
        if bench.driver.promises().thin:
            assert _allocated(bench) - before < values.MIB

    def test_a_shared_snapshot_takes_little_space_if_that_is_promised(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, os.urandom(64 * values.MIB))
        free = _free(bench)
        bench.snapshot(volume)
        if bench.driver.promises().snapshots_share_blocks:
            assert free - _free(bench) < 16 * values.MIB

    def test_a_connection_outlives_a_snapshot_if_that_is_said(self, bench):
        volume = bench.volume()
        if bench.driver.connections_outlive_snapshots:
            with bench.path(volume) as path, open(path, 'r+b', buffering=0) as device:
                device.write(b'before')
                os.fsync(device.fileno())
                snapshot = bench.snapshot(volume)
                device.seek(0)
                device.write(b'behind')
                os.fsync(device.fileno())
                with open(path, 'r+b', buffering=0) as again:
                    again.seek(6)
                    again.write(b'!')
                    os.fsync(again.fileno())
                assert bench.read(snapshot, 0, 7) == b'before\0'
            assert bench.read(volume, 0, 7) == b'behind!'


def _reads_zeros(bench, volume, start):
    """Whether all from a byte offset on reads zeros, past the page cache."""
    blocks = range(start // values.BLOCK_BYTES, volume.size_bytes // values.BLOCK_BYTES)
    with bench.path(volume) as path:
        verify.verify_blocks(path, volume.size_bytes, digests.DigestMap.zeros(volume.size_bytes),
                             blocks, control=NoControl())
    return True


def _allocated(bench):
    return sum(pool.allocated_bytes for pool in bench.driver.report())


def _free(bench):
    return sum(pool.free_bytes for pool in bench.driver.report())
