"""Snapshots that are put on the medium when they are stored, and a power failure before that."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import subprocess

import pytest

from cinder_ext import exceptions
from cinder_ext.db import lease, volume_migrations
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import media
from cinder_ext.drivers.file import FileDriver
from cinder_ext.volume import engine
from cinder_ext.volume.migration import copies

MIB = values.MIB


class Noted(FileDriver):
    """Keeps what it was asked of snapshots; cannot flush when it is told so."""

    def __init__(self, settings):
        super().__init__(settings)
        self.asked, self.is_down = [], False

    def create_snapshot(self, snapshot):
        self.asked.append('create')
        return super().create_snapshot(snapshot)

    def create_snapshot_unflushed(self, snapshot):
        self.asked.append('create unflushed')
        return super().create_snapshot_unflushed(snapshot)

    def flush_snapshots(self, snapshots):
        self.asked.append(f'flush {len(snapshots)}')
        if self.is_down:
            raise exceptions.BackendDown(reason='it is told to be down')
        super().flush_snapshots(snapshots)


class NeverDefers(Noted):
    """Puts each snapshot on the medium."""

    def switched_off(self):
        return super().switched_off() | {capabilities.DeferredFlush}


@pytest.fixture
def fill(noise):
    """Links of which 6, 2, 3 and 1 blocks are looked at; the last one writes where nothing was."""
    def make(cloud):
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise(6 * MIB))
        for offset, length in ((3, 2), (4, 3), (9, 1)):
            cloud.snapshot(volume_id)
            cloud.write(volume_id, offset * MIB, noise(length * MIB))
        return volume_id
    return make


def copied(work, count):
    rows = work.rows()
    for number in range(count):
        copies.copy_unstored(work, number, rows)


class Medium:
    """The file system of a backend."""

    def __init__(self, point):
        self.point = str(point)

    def lose_power(self):
        """What its log does not hold on the medium is gone."""
        device = _said('findmnt', '-n', '-o', 'SOURCE', self.point)
        image = _said('losetup', '-n', '-O', 'BACK-FILE', device)
        _said('xfs_io', '-x', '-c', 'shutdown', self.point)
        _said('umount', self.point)
        _said('mount', '-o', 'loop', image, self.point)


def _said(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          timeout=60).stdout.strip()


@pytest.fixture
def medium(tmp_path):
    with media.mounted_xfs(str(tmp_path)) as point:
        yield Medium(point)


@pytest.fixture
def cloud_on(reflink_cloud_of, medium):
    """A cloud whose beta has a file system of its own."""
    return lambda kind: reflink_cloud_of(beta=kind, beta_at=medium.point)


def inodes(cloud):
    """Of beta's snapshots: name -> number of the file."""
    return {path.name: path.stat().st_ino for path in (cloud.directory / 'beta').glob('snapshots/*')}


def given_back(cloud, work):
    """The owner is dead, and everybody knows."""
    work.close()
    lease.release(cloud.context, work.fence)


@pytest.mark.parametrize(('options', 'expected'), [
    ({}, ['create unflushed'] * 3 + ['flush 3']),
    ({'checkpoint_mib': 8}, ['create unflushed'] * 2 + ['flush 2', 'create unflushed', 'flush 1']),
    ({'checkpoint_mib': 5}, ['create', *['create unflushed'] * 2, 'flush 2']),
], ids=['together', 'two', 'large-first'])
def test_they_are_flushed_before_they_are_stored(reflink_cloud_of, fill, options, expected):
    cloud = reflink_cloud_of(beta=Noted)
    for name, value in options.items():
        cloud.conf.set_override(name, value, 'migration')
    volume_id = fill(cloud)
    before, asked = cloud.contents(volume_id), cloud.drivers['beta'].asked
    assert cloud.record(cloud.migrate(volume_id)).phase == 'finished'
    assert asked == expected
    assert cloud.contents(volume_id) == before


@pytest.mark.parametrize(('where', 'kind'), [
    ('cloud_of', Noted), ('reflink_cloud_of', NeverDefers)])
def test_each_is_flushed_where_it_is_a_copy_or_cannot_wait(request, fill, where, kind):
    cloud = request.getfixturevalue(where)(beta=kind)
    assert cloud.record(cloud.migrate(fill(cloud))).phase == 'finished'
    assert cloud.drivers['beta'].asked == ['create'] * 3


@pytest.mark.parametrize('count', [1, 2, 3, 4])
@pytest.mark.parametrize('verify', ['off', 'written'])
def test_what_a_power_failure_takes_is_copied_again(cloud_on, medium, fill, verify, count):
    cloud = cloud_on(FileDriver)
    cloud.conf.set_override('verify', verify, 'migration')
    volume_id = fill(cloud)
    before = cloud.contents(volume_id)
    work = cloud.begun(volume_id)
    copied(work, count)
    taken = inodes(cloud)
    assert len(taken) == min(count, 3)
    given_back(cloud, work)
    medium.lose_power()
    # The head is flushed, and takes the log along.
    assert inodes(cloud) == (taken if count == 4 else {})

    cloud.endpoints['alpha'].resume()

    record = cloud.wait(work.id)
    assert (record.phase, record.leftovers) == ('finished', None)
    assert cloud.contents(volume_id) == before


def test_what_was_stored_outlives_a_power_failure(cloud_on, medium, fill):
    cloud = cloud_on(FileDriver)
    volume_id = fill(cloud)
    before = cloud.contents(volume_id)
    work = cloud.begun(volume_id)
    copied(work, 3)
    work.unstored.store()
    stored = inodes(cloud)
    given_back(cloud, work)
    medium.lose_power()
    assert inodes(cloud) == stored

    cloud.endpoints['alpha'].resume()

    record = cloud.wait(work.id)
    assert (record.phase, record.bytes_written) == ('finished', 12 * MIB)
    assert inodes(cloud) == stored
    assert cloud.contents(volume_id) == before


@pytest.mark.parametrize('interval_mib', [64, 1])
@pytest.mark.parametrize('kind', [FileDriver, NeverDefers])
def test_one_that_nobody_knows_to_be_on_the_medium_is_taken_again(reflink_cloud_of, fill, kind,
                                                                  interval_mib):
    """The owner was killed, and the power may have failed too; the volume holds later links."""
    cloud = reflink_cloud_of(beta=kind)
    volume_id = fill(cloud)
    before = cloud.contents(volume_id)
    work = cloud.begun(volume_id)
    copied(work, 4)
    taken = inodes(cloud)
    given_back(cloud, work)
    cloud.conf.set_override('checkpoint_mib', interval_mib, 'migration')

    with contextlib.ExitStack() as opened:
        for name in taken:
            # So that its number is no other file's.
            opened.enter_context(open(cloud.directory / 'beta' / 'snapshots' / name, 'rb'))
        cloud.endpoints['alpha'].resume()
        assert cloud.wait(work.id).phase == 'finished'
        found = inodes(cloud)
    assert [found[name] == number for name, number in taken.items()] == [kind is NeverDefers] * 3
    assert cloud.contents(volume_id) == before


def test_a_destination_that_cannot_flush_fails_the_migration(reflink_cloud_of, fill):
    cloud = reflink_cloud_of(beta=Noted)
    volume_id = fill(cloud)
    before, cloud.drivers['beta'].is_down = cloud.contents(volume_id), True
    record = cloud.record(cloud.migrate(volume_id))
    assert record.phase == 'failed'
    assert [row.position for row in volume_migrations.links(cloud.context, record.id)] == [0] * 4
    assert cloud.contents(volume_id) == before
    assert cloud.files('beta') == []


def test_a_migration_that_parks_does_not_need_its_destination(reflink_cloud_of, fill):
    cloud = reflink_cloud_of(beta=Noted)
    volume_id = fill(cloud)
    before, beta = cloud.contents(volume_id), cloud.drivers['beta']
    work = cloud.begun(volume_id)

    def stop(name, state):
        if (name, state) == ('copy-link-0002', 'RUNNING'):
            beta.is_down = True
            work.tools.stopping.set()

    with pytest.raises(engine.Parked):
        copies.copy_all(work, stop)
    assert [row.position for row in work.rows()] == [0] * 4
    work.tools.stopping.clear()
    beta.is_down = False
    given_back(cloud, work)
    cloud.endpoints['alpha'].resume()
    assert cloud.wait(work.id).phase == 'finished'
    assert cloud.contents(volume_id) == before
