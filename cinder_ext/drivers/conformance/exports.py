"""What a backend makes reachable is listed, and ends by its own word."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import workbench


class ExportsCases(workbench.Cases):
    """What capabilities.Exports says."""

    word = capabilities.Exports.word

    def test_what_is_connected_is_listed_until_it_is_disconnected(self, bench):
        volume = bench.volume()
        assert _of(bench, volume) == []
        bench.driver.connect_volume(volume, bench.connector)
        assert len(_of(bench, volume)) == 1
        bench.driver.disconnect_volume(volume, bench.connector)
        assert _of(bench, volume) == []

    def test_an_export_that_is_withdrawn_is_gone_and_may_be_made_again(self, bench):
        volume, other = bench.volume(), bench.volume()
        for each in (volume, other):
            bench.driver.connect_volume(each, bench.connector)
        found, = _of(bench, volume)
        for _ in range(2):
            bench.driver.withdraw_export(found)
        assert (len(_of(bench, volume)), len(_of(bench, other))) == (0, 1)
        bench.write(volume, 0, b'again')
        assert bench.read(volume, 0, 5) == b'again'
        bench.driver.disconnect_volume(other, bench.connector)

    def test_an_unknown_export_is_withdrawn(self, bench):
        volume = bench.new_volume()
        bench.driver.withdraw_export(values.Export('volume', volume.name_id))
        assert _of(bench, volume) == []


def _of(bench, volume):
    return [each for each in bench.driver.list_exports()
            if (each.kind, each.name_id) == ('volume', volume.name_id)]
