"""Making volumes larger."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.conformance import workbench


class ExtendCases(workbench.Cases):
    """What base.Driver says of extending."""

    def test_an_extended_volume_keeps_its_content(self, bench):
        volume = bench.volume()
        bench.write(volume, volume.size_bytes - 3, b'end')
        bench.driver.extend_volume(volume, 2 * volume.size_bytes)
        assert bench.read(volume, volume.size_bytes - 3, 3) == b'end'

    def test_what_was_added_can_be_written(self, bench):
        volume = bench.volume()
        bench.driver.extend_volume(volume, 2 * volume.size_bytes)
        bench.write(volume, 2 * volume.size_bytes - 3, b'new')
        assert bench.read(volume, 2 * volume.size_bytes - 3, 3) == b'new'

    def test_a_volume_is_never_shrunk(self, bench):
        volume = bench.volume(2 * workbench.SIZE_BYTES)
        bench.driver.extend_volume(volume, workbench.SIZE_BYTES)
        with bench.path(volume) as path, open(path, 'rb') as device:
            assert device.seek(0, 2) == volume.size_bytes

    def test_an_unknown_volume_is_refused(self, bench):
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.extend_volume(bench.new_volume(), workbench.SIZE_BYTES)
