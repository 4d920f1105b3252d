"""Creating, deleting and reporting volumes."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import workbench


class VolumeCases(workbench.Cases):
    """What base.Driver says of volumes and of the report."""

    def test_a_created_volume_has_its_size(self, bench):
        volume = bench.volume()
        with bench.path(volume) as path, open(path, 'rb') as device:
            assert device.seek(0, 2) == volume.size_bytes

    def test_what_is_written_is_read_back(self, bench):
        volume = bench.volume()
        bench.write(volume, 5 * values.MIB - 10, b'over a border of blocks')
        assert bench.read(volume, 5 * values.MIB - 10, 23) == b'over a border of blocks'

    def test_repeating_a_create_keeps_the_content(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'kept')
        bench.driver.create_volume(volume)
        assert bench.read(volume, 0, 4) == b'kept'

    def test_two_volumes_are_independent(self, bench):
        first, second = bench.volume(), bench.volume()
        bench.write(first, 0, b'first')
        bench.write(second, 0, b'other')
        assert bench.read(first, 0, 5) == b'first'

    def test_deleting_an_unknown_volume_succeeds(self, bench):
        assert bench.driver.delete_volume(bench.new_volume()) is None

    def test_a_deleted_volume_gives_its_size_back(self, bench):
        before = _provisioned(bench)
        volume = bench.volume()
        assert _provisioned(bench) == before + volume.size_bytes
        bench.driver.delete_volume(volume)
        bench.driver.delete_volume(volume)
        assert _provisioned(bench) == before

    def test_a_name_is_free_again_after_a_delete(self, bench):
        volume = bench.volume()
        bench.write(volume, 0, b'old')
        bench.driver.delete_volume(volume)
        bench.driver.create_volume(volume)
        if bench.driver.promises().fresh_reads_zeros:
            assert bench.read(volume, 0, 3) == bytes(3)

    def test_a_report_has_plausible_figures(self, bench):
        for pool in bench.driver.report():
            assert pool.name
            assert pool.total_bytes > 0
            assert 0 <= pool.free_bytes <= pool.total_bytes
            assert pool.allocated_bytes >= 0


def _provisioned(bench):
    """The sum of virtual sizes over all pools, in bytes."""
    return sum(pool.provisioned_bytes for pool in bench.driver.report())
