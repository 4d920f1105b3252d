"""Backends that cannot attach a snapshot: it is read through a temporary volume, which goes."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import base, capabilities, values
from cinder_ext.drivers.file import FileDriver

MIB = values.MIB


class NoSnapshotConnect(FileDriver):
    """Reads snapshots through volumes only.

    :ivar made: names of the volumes that were made from snapshots
    :ivar most: of these, how many there were at once
    :ivar refusals: how many deletes of them fail with ResourceBusy
    """

    def __init__(self, settings):
        super().__init__(settings)
        self.made, self.present, self.most, self.refusals = [], set(), 0, 0

    def switched_off(self):
        return super().switched_off() | {capabilities.SnapshotConnect}

    def connect_snapshot(self, snapshot, connector):
        raise AssertionError('a snapshot was attached')

    def create_volume_from_snapshot(self, volume, snapshot):
        super().create_volume_from_snapshot(volume, snapshot)
        self.made.append(volume.name_id)
        self.present.add(volume.name_id)
        self.most = max(self.most, len(self.present))

    def delete_volume(self, volume):
        if volume.name_id in self.present and self.refusals:
            self.refusals -= 1
            raise exceptions.ResourceBusy(reason='somebody looks at it')
        super().delete_volume(volume)
        self.present.discard(volume.name_id)


class BlocksOnly(base.Driver):
    """The least that a driver is: volumes and snapshots, no capability at all."""

    def __init__(self, settings):
        super().__init__(settings)
        self._file = FileDriver(settings)

    def __getattr__(self, name):
        return getattr(self._file, name)


for method in sorted(base.Driver.__abstractmethods__):
    def forward(self, *arguments, _method=method):
        return getattr(self._file, _method)(*arguments)
    setattr(BlocksOnly, method, forward)
BlocksOnly.__abstractmethods__ = frozenset()


class ChangesOnly(NoSnapshotConnect):
    """Knows what changed between two states, not what was ever written."""

    def __init__(self, settings):
        super().__init__(settings)
        self.asked = 0

    def switched_off(self):
        return frozenset({capabilities.SnapshotConnect, capabilities.AllocatedRanges})

    def allocated_ranges(self, resource):
        raise AssertionError('it is switched off')

    def changed_ranges(self, older, newer):
        self.asked += 1
        return [values.Range(0, 64 * MIB)]


class Located(FileDriver):
    """Finds things by the locations that it gave out, and only by them."""

    def _array_of(self, resource):
        array = super()._array_of(dataclasses.replace(resource, location=None))
        assert resource.location in (None, array.path(resource))
        return array

    def _array_for(self, resource):
        return self._array_of(resource)

    def _where(self, resource):
        return self._array_of(resource).path(resource)

    def create_volume(self, volume):
        super().create_volume(volume)
        return self._where(volume)

    def create_snapshot(self, snapshot):
        super().create_snapshot(snapshot)
        return self._where(snapshot)

    def _connect(self, resource, access_mode):
        assert resource.location == self._where(resource)
        return super()._connect(resource, access_mode)

    def _delete(self, resource):
        assert resource.location == self._where(resource)
        super()._delete(resource)


@pytest.fixture
def chain(noise):
    def fill(cloud):
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise(6 * MIB))
        cloud.snapshot(volume_id)
        cloud.write(volume_id, 3 * MIB, noise(2 * MIB))
        cloud.snapshot(volume_id)
        cloud.write(volume_id, 20 * MIB + 4096, noise(MIB))
        return volume_id
    return fill


@pytest.mark.parametrize('end', ['alpha', 'beta'])
@pytest.mark.parametrize('kind', [NoSnapshotConnect, BlocksOnly, ChangesOnly])
def test_chain_moves_through_temporary_volumes(cloud_of, chain, end, kind):
    cloud = cloud_of(**{end: kind})
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)

    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'finished', record.error
    assert cloud.contents(volume_id) == before
    assert cloud.files('alpha') == []
    assert len(cloud.files('beta')) == 3
    driver = cloud.drivers[end]
    if kind is not BlocksOnly:
        assert len(driver.made) == 2
        assert driver.most == 1
    if (end, kind) == ('alpha', ChangesOnly):
        assert driver.asked


@pytest.mark.parametrize('end', ['alpha', 'beta'])
def test_temporary_volume_that_is_busy_is_removed_later(cloud_of, chain, end):
    cloud = cloud_of(**{end: NoSnapshotConnect})
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    cloud.drivers[end].refusals = 2

    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'finished', record.error
    assert record.leftovers in (None, [])
    assert cloud.contents(volume_id) == before
    assert cloud.drivers[end].present == set()


@pytest.mark.parametrize('end', ['alpha', 'beta'])
def test_temporary_volume_goes_when_the_migration_fails(cloud_of, chain, end):
    """What a killed process materialized is found by its name, also when it is undone."""
    cloud = cloud_of(**{end: NoSnapshotConnect})
    volume_id = chain(cloud)
    files = cloud.files('alpha')
    cloud.drivers[end].refusals = 1

    def spoil(flow, step, state):
        if (step, state) == ('verify-chain', 'RUNNING'):
            path = next((cloud.directory / 'beta' / 'snapshots').iterdir())
            with open(path, 'r+b') as stream:
                stream.write(b'spoiled')

    cloud.engine._watchers = (spoil,)
    record = cloud.record(cloud.migrate(volume_id))

    assert (record.phase, record.error_code) == ('failed', 'cinder_ext.verify_failed')
    assert record.leftovers in (None, [])
    assert cloud.drivers[end].present == set()
    assert cloud.files('alpha') == files
    assert cloud.files('beta') == []


def test_locations_of_the_destination_go_with_all_that_is_asked_of_it(cloud_of, chain):
    cloud = cloud_of(beta=Located)
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)

    record = cloud.record(cloud.migrate(volume_id))
    assert record.phase == 'finished', record.error

    record = cloud.record(cloud.migrate(volume_id, to='alpha'))
    assert (record.phase, record.leftovers) == ('finished', None), record.error
    assert cloud.contents(volume_id) == before


def test_locations_go_with_what_is_undone(cloud_of, chain):
    cloud = cloud_of(beta=Located)
    volume_id = chain(cloud)

    def spoil(flow, step, state):
        if (step, state) == ('verify-chain', 'RUNNING'):
            path = next((cloud.directory / 'beta' / 'snapshots').iterdir())
            path.write_bytes(b'')

    cloud.engine._watchers = (spoil,)
    record = cloud.record(cloud.migrate(volume_id))
    assert (record.phase, record.leftovers) == ('failed', None), record.as_dict()
    assert cloud.files('beta') == []
