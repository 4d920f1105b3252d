"""Giving a volume and its snapshots other names, out of the reach of an old writer."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities
from cinder_ext.drivers.conformance import workbench

MIB = 1 << 20


class SupersedeCases(workbench.Cases):
    """What capabilities.Supersede says."""

    word = capabilities.Supersede.word

    @pytest.fixture
    def chain(self, bench):
        """(old, new) of a volume and of two snapshots of it."""
        volume = bench.volume()
        bench.write(volume, 0, b'one')
        first = bench.snapshot(volume)
        bench.write(volume, 0, b'two')
        second = bench.snapshot(volume)
        bench.write(volume, MIB, b'live')
        renamed = bench.new_volume()
        return [(volume, renamed), (first, bench.new_snapshot(renamed)),
                (second, bench.new_snapshot(renamed))]

    def test_new_names_hold_what_the_old_ones_held(self, bench, chain):
        assert len(bench.driver.supersede(chain)) == len(chain)
        (volume, first, second) = [new for _, new in chain]
        assert bench.read(volume, 0, 3) == b'two'
        assert bench.read(volume, MIB, 4) == b'live'
        assert (bench.read(first, 0, 3), bench.read(second, 0, 3)) == (b'one', b'two')
        assert bench.read(second, MIB, 4) == bytes(4)

    def test_an_old_writer_reaches_nothing_new(self, bench, chain):
        (volume, renamed), *snapshots = chain
        with bench.path(volume) as path, open(path, 'r+b', buffering=0) as writer:
            bench.driver.supersede(chain)
            _write_late(writer, 0, b'bad')
            assert bench.read(renamed, 0, 3) == b'two'
            for old, _ in reversed(chain):
                (bench.driver.delete_volume if old is volume else bench.driver.delete_snapshot)(old)
            _write_late(writer, MIB, b'worse')
        assert bench.read(renamed, 0, 3) == b'two'
        assert bench.read(renamed, MIB, 5) == b'live\0'
        assert [bench.read(new, 0, 3) for _, new in snapshots] == [b'one', b'two']

    def test_the_new_volume_lives_on_and_its_snapshots_stay(self, bench, chain):
        bench.driver.supersede(chain)
        (volume, first, second) = [new for _, new in chain]
        bench.write(volume, 0, b'new')
        later = bench.snapshot(volume)
        bench.write(volume, 0, b'end')
        found = [bench.read(each, 0, 3) for each in (volume, first, second, later)]
        assert found == [b'end', b'one', b'two', b'new']

    def test_repeating_it_changes_nothing(self, bench, chain):
        bench.driver.supersede(chain)
        bench.write(chain[0][1], 0, b'mine')
        bench.driver.supersede(chain)
        assert bench.read(chain[0][1], 0, 4) == b'mine'

    def test_a_larger_volume_stays_as_large(self, bench):
        volume = bench.volume()
        bench.driver.extend_volume(volume, 2 * workbench.SIZE_BYTES)
        renamed = bench.new_volume()
        bench.driver.supersede([(volume, renamed)])
        bench.write(renamed, 2 * workbench.SIZE_BYTES - 4096, b'end')
        assert bench.read(renamed, 2 * workbench.SIZE_BYTES - 4096, 3) == b'end'

    def test_an_unknown_volume_or_snapshot_is_missing(self, bench):
        volume = bench.volume()
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.supersede([(bench.new_volume(), bench.new_volume())])
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.supersede([(bench.new_snapshot(volume), bench.new_snapshot(volume))])


def _write_late(writer, offset, data):
    """Write by what was opened before; it may be refused, but never arrive in another name."""
    with contextlib.suppress(OSError):
        os.pwrite(writer.fileno(), data, offset)
        os.fsync(writer.fileno())
