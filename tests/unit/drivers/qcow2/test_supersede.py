"""Other names for volumes and snapshots of layers: what a kill leaves, and what it costs."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.qcow2 import header

MIB = values.MIB


@pytest.fixture
def chain(bench):
    """(old, new) of a volume and of a snapshot of it."""
    volume = bench.volume()
    bench.write(volume, 0, b'one')
    snapshot = bench.snapshot(volume)
    bench.write(volume, 0, b'two')
    renamed = bench.new_volume()
    return [(volume, renamed), (snapshot, bench.new_snapshot(renamed))]


def test_when_the_old_names_are_gone_the_chain_is_as_short_as_before(bench, chain):
    before = bench.layers()
    (volume, renamed), (snapshot, again) = chain
    bench.driver.supersede(chain)
    bench.driver.delete_volume(volume)
    bench.driver.delete_snapshot(snapshot)
    assert bench.layers() == before
    assert bench.links() == sorted([f'volume-{renamed.name_id}', f'snapshot-{again.name_id}'])
    assert bench.read(renamed, 0, 3) == b'two'
    assert bench.read(again, 0, 3) == b'one'
    assert bench.driver.changed_ranges(again, renamed) != []


def test_a_call_that_was_killed_between_its_links_is_completed(bench, chain):
    """The new name stood on the old one's layer, which was not frozen yet."""
    (volume, renamed), _ = chain
    bench.driver.supersede(chain[:1])
    top, origin = bench.layer(volume), header.read(bench.layer(volume)).backing
    link = bench.directory / 'volumes' / f'volume-{volume.name_id}'
    link.unlink()
    link.symlink_to(f'../layers/{origin}')
    top.unlink()

    bench.driver.supersede(chain)

    bench.write(volume, 0, b'bad')
    assert bench.read(renamed, 0, 3) == b'two'
    assert bench.layer(volume).name != origin


def test_a_view_of_the_old_name_that_is_opened_later_is_of_another_layer(bench, chain):
    (volume, renamed), _ = chain
    bench.driver.supersede(chain)
    bench.write(volume, 0, b'bad')
    bench.write(volume, MIB, b'worse')
    assert bench.read(renamed, 0, 3) == b'two'
    assert bench.read(renamed, MIB, 5) == bytes(5)


def test_a_writer_whose_view_is_not_ours_is_not_superseded(bench, chain, writer):
    (volume, _), _ = chain
    before = (bench.layers(), bench.links())
    writer(bench.layer(volume))
    with pytest.raises(exceptions.ResourceBusy):
        bench.driver.supersede(chain)
    assert (bench.layers(), bench.links()) == before


def test_snapshots_stay_in_the_chain_however_long_it_is(bench_of):
    bench = bench_of(file_qcow2_chain_limit=2)
    volume = bench.volume()
    bench.write(volume, 0, b'kept')
    snapshots = [bench.snapshot(volume) for _ in range(3)]
    renamed = bench.new_volume()
    pairs = [(volume, renamed), *((old, bench.new_snapshot(renamed)) for old in snapshots)]
    bench.driver.supersede(pairs)
    assert bench.driver.changed_ranges(pairs[1][1], renamed) == []
