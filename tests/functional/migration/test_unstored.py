"""Small links that are copied and stored together, and what is found when they were not."""
# SPDX-License-Identifier: Apache-2.0

import time

import pytest

from cinder_ext.db import lease
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.file import FileDriver
from cinder_ext.volume import engine
from cinder_ext.volume.migration import copies

MIB, GIB = values.MIB, values.GIB


class Flushes(FileDriver):
    """Puts each snapshot on the medium: those that were taken are found again."""

    def switched_off(self):
        return super().switched_off() | {capabilities.DeferredFlush}


@pytest.fixture
def chain(noise):
    """Links of which 6, 2 and 3 blocks are looked at."""
    def fill(cloud):
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise(6 * MIB))
        for offset, length in ((3, 2), (4, 3)):
            cloud.snapshot(volume_id)
            cloud.write(volume_id, offset * MIB, noise(length * MIB))
        return volume_id
    return fill


def stored(cloud, **options):
    """Positions in GiB of all links after each of them was copied, of a chain."""
    for name, value in options.items():
        cloud.conf.set_override(name, value, 'migration')
    work = cloud.begun(cloud.volume_id)
    rows, found = work.rows(), []
    for number in range(3):
        copies.copy_unstored(work, number, rows)
        found.append([row.position // GIB for row in work.rows()])
        time.sleep(0.15)
    work.unstored.store()
    assert [row.position for row in work.rows()] == [GIB] * 3
    assert work.record().bytes_written == sum(row.bytes_written for row in work.rows()) == 11 * MIB
    work.close()
    return found


@pytest.mark.parametrize(('options', 'expected'), [
    ({}, [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ({'checkpoint_mib': 8}, [[0, 0, 0], [0, 0, 0], [1, 1, 0]]),
    ({'checkpoint_mib': 7}, [[0, 0, 0], [1, 0, 0], [1, 0, 0]]),
    ({'checkpoint_mib': 5}, [[1, 0, 0], [1, 0, 0], [1, 0, 0]]),
    ({'checkpoint_seconds': 0.1}, [[0, 0, 0], [1, 0, 0], [1, 1, 0]]),
], ids=['all', 'two', 'one', 'large-first', 'slow'])
def test_so_many_are_stored_together_as_an_interval_holds(reflink_cloud, chain, options, expected):
    reflink_cloud.volume_id = chain(reflink_cloud)
    assert stored(reflink_cloud, **options) == expected


def test_each_is_stored_before_one_of_which_nobody_knows_what_changed(cloud, chain):
    """Plain files share no blocks."""
    cloud.volume_id = chain(cloud)
    assert stored(cloud) == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_they_are_stored_when_the_work_is_parked(reflink_cloud, chain):
    work = reflink_cloud.begun(chain(reflink_cloud))

    def stop(name, state):
        if (name, state) == ('copy-link-0002', 'RUNNING'):
            assert [row.position for row in work.rows()] == [0, 0, 0]
            work.tools.stopping.set()

    with pytest.raises(engine.Parked):
        copies.copy_all(work, stop)
    assert [row.position for row in work.rows()] == [GIB, GIB, 0]
    work.tools.stopping.clear()


@pytest.mark.parametrize('kind', [FileDriver, Flushes])
def test_whoever_goes_on_copies_them_again(reflink_cloud_of, chain, kind):
    """The one before is dead, and had written to the volume what the later links changed."""
    cloud = reflink_cloud_of(beta=kind)
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    work = cloud.begun(volume_id)
    rows = work.rows()
    for number in range(3):
        copies.copy_unstored(work, number, rows)
    names = {link.destination_name_id for link in work.links}
    work.close()
    lease.release(cloud.context, work.fence)

    cloud.endpoints['alpha'].resume()

    record = cloud.wait(work.id)
    assert record.phase == 'finished'
    assert not record.leftovers
    assert record.bytes_written == 11 * MIB
    assert cloud.contents(volume_id) == before
    assert names == {link.destination_name_id for link in work.rows()}
