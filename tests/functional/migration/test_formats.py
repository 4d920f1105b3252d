"""Chains go between raw files and qcow2 layers, both ways, on a file system that shares nothing."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import uuid

import layered
import pytest

from cinder_ext.db import lease, snapshots, volumes
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import attach
from cinder_ext.volume.migration import copies

from . import conftest, test_takeovers
from .test_chain import chain

MIB = values.MIB


class MixedCloud(conftest.Cloud):
    """alpha has raw files, beta qcow2 layers; bytes are reached through connections."""

    formats = {'alpha': 'raw', 'beta': 'qcow2'}

    @property
    def layers(self):
        """The files of the backend that has layers."""
        return layered.layers(self.directory / self._of('qcow2'))

    def _of(self, kind):
        return next(name for name, each in self.formats.items() if each == kind)

    def files(self, backend):
        if self.formats[backend] == 'raw':
            return super().files(backend)
        return [path.name for path in layered.layers(self.directory / backend)]

    def _start(self, name, backend_options):
        super()._start(name, {**backend_options, 'file_format': self.formats[name]})

    def stop(self):
        super().stop()
        for driver in self.drivers.values():
            driver.stop()

    @contextlib.contextmanager
    def opened(self, resource, backend):
        driver, connector = self.drivers[backend], attach.connector_properties()
        if isinstance(resource, values.Snapshot):
            connect, disconnect = driver.connect_snapshot, driver.disconnect_snapshot
        else:
            connect, disconnect = driver.connect_volume, driver.disconnect_volume
        with attach.attached(connect(resource, connector)) as path:
            yield path
        disconnect(resource, connector)

    def write(self, volume_id, offset, content, backend='alpha'):
        row = volumes.get(self.context, volume_id)
        backend = row.host.partition('#')[2]
        with (self.opened(values.Volume(row.name_id or row.id, row.size * values.GIB),
                          backend) as path, open(path, 'r+b') as stream):
            stream.seek(offset)
            stream.write(content)

    def resources(self, volume_id):
        """(backend, id -> values.Volume or values.Snapshot) of a volume and its snapshots."""
        row = volumes.get(self.context, volume_id)
        name_id = row.name_id or row.id
        found = {row.id: values.Volume(name_id, row.size * values.GIB)}
        for snapshot in snapshots.of_volume(self.context, volume_id):
            found[snapshot.id] = values.Snapshot(snapshot.name_id or snapshot.id, name_id,
                                                 snapshot.size * values.GIB)
        return row.host.partition('#')[2], found

    def contents(self, volume_id):
        backend, found = self.resources(volume_id)
        return {resource_id: conftest.digest(self._flat(resource, backend))
                for resource_id, resource in found.items()}

    def file(self, resource, backend):
        kind = 'snapshot' if isinstance(resource, values.Snapshot) else 'volume'
        if self.formats[backend] == 'raw':
            return self.path(resource.name_id, backend, kind)
        return layered.layer(self.directory / backend, kind, resource.name_id)

    def _flat(self, resource, backend):
        """A raw file with what a resource holds; of layers as QEMU itself reads them."""
        path = self.file(resource, backend)
        if self.formats[backend] == 'raw':
            return path
        return layered.flat(path, self.directory / 'flat')

    def taken_bytes(self, volume_id):
        """What each file takes, as ``du`` says: by the id of the volume or snapshot."""
        backend, found = self.resources(volume_id)
        return {resource_id: self.file(resource, backend).stat().st_blocks * 512
                for resource_id, resource in found.items()}

    def delete_snapshot(self, snapshot_id):
        row = snapshots.get(self.context, snapshot_id)
        volume = volumes.get(self.context, row.volume_id)
        self.drivers[volume.host.partition('#')[2]].delete_snapshot(values.Snapshot(
            row.name_id or row.id, volume.name_id or volume.id, row.size * values.GIB))
        snapshots.mark_deleted(self.context, snapshot_id)


class MixedCloudOfLayers(MixedCloud):
    """The other way round: a chain begins as layers."""

    formats = {'alpha': 'qcow2', 'beta': 'raw'}


@pytest.fixture
def mixed_cloud(tmp_path):
    made = MixedCloud(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def layered_cloud(tmp_path):
    made = MixedCloudOfLayers(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def sharing_cloud(xfs):
    """The raw files share blocks: it is known what changed."""
    directory = pathlib.Path(xfs) / str(uuid.uuid4())
    directory.mkdir()
    made = MixedCloud(directory)
    yield made
    made.stop()
    shutil.rmtree(directory)


CLUSTER = 64 * 1024
METADATA = MIB
"""Of a layer: its header, tables and reference counts."""


def check_layers(cloud, volume_id, taken):
    """One sound layer for each of the chain, as large as what differs in it."""
    for layer in cloud.layers:
        subprocess.run(['qemu-img', 'check', '-q', '-f', 'qcow2', layer], check=True)
    assert len(cloud.layers) == 1 + len(taken)
    # 8 + 3 MiB; 1 MiB of a snapshot that was deleted and 2 MiB; zeros; the last bytes.
    unique = dict(zip((*taken, volume_id), (11 * MIB, 3 * MIB, 0, 0), strict=True))
    for resource_id, taken_bytes in cloud.taken_bytes(volume_id).items():
        assert 0 <= taken_bytes - unique[resource_id] <= METADATA


def test_a_chain_goes_to_layers_and_back(mixed_cloud, noise):
    cloud = mixed_cloud
    volume_id, taken = chain(cloud, noise)
    before, space = cloud.contents(volume_id), cloud.taken_bytes(volume_id)

    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'finished', record.error
    assert cloud.files('alpha') == []
    assert cloud.contents(volume_id) == before
    check_layers(cloud, volume_id, taken)
    assert record.bytes_written <= 16 * MIB

    record = cloud.record(cloud.migrate(volume_id, to='alpha'))

    assert (record.phase, record.method) == ('finished', 'changed-ranges'), record.error
    assert cloud.contents(volume_id) == before
    assert cloud.layers == []
    for resource_id, taken_bytes in cloud.taken_bytes(volume_id).items():
        # A run of data that begins or ends within a cluster has the rest of that as zeros.
        assert taken_bytes <= space[resource_id] + 4 * CLUSTER


def test_a_chain_of_layers_goes_to_files_and_back(layered_cloud, noise):
    """Snapshots of different sizes, one merged away; files have the holes that layers had."""
    cloud = layered_cloud
    volume_id, taken = chain(cloud, noise)
    before = cloud.contents(volume_id)

    record = cloud.record(cloud.migrate(volume_id))

    assert (record.phase, record.method) == ('finished', 'changed-ranges'), record.error
    assert cloud.layers == []
    assert cloud.contents(volume_id) == before
    held = dict(zip((*taken, volume_id), (11, 13, 10, 10), strict=True))
    for resource_id, taken_bytes in cloud.taken_bytes(volume_id).items():
        assert taken_bytes <= (held[resource_id] + 1) * MIB

    record = cloud.record(cloud.migrate(volume_id, to='alpha'))

    assert record.phase == 'finished', record.error
    assert cloud.contents(volume_id) == before
    check_layers(cloud, volume_id, taken)


def test_snapshots_of_a_migrated_chain_can_be_deleted_in_any_order(mixed_cloud, noise):
    cloud = mixed_cloud
    volume_id, taken = chain(cloud, noise)
    cloud.migrate(volume_id)
    for gone in (taken[1], taken[0], taken[2]):
        before = cloud.contents(volume_id)
        del before[gone]
        cloud.delete_snapshot(gone)
        assert cloud.contents(volume_id) == before
    assert len(cloud.layers) == 1


def test_a_guest_that_writes_an_image_header_does_not_have_it_read(mixed_cloud, tmp_path):
    """The bytes of a raw volume that look like an image with a file behind stay bytes."""
    cloud = mixed_cloud
    secret = tmp_path / 'secret'
    secret.write_bytes(b'secret' * 1000)
    trap = tmp_path / 'trap'
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', secret, '-F', 'raw',
                    trap, '1G'], check=True)
    volume_id = cloud.volume(1)
    cloud.write(volume_id, 0, trap.read_bytes())
    cloud.snapshot(volume_id)
    before = cloud.contents(volume_id)

    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'finished', record.error
    assert cloud.contents(volume_id) == before
    row = volumes.get(cloud.context, volume_id)
    with cloud.opened(values.Volume(row.name_id, values.GIB), 'beta') as path:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            assert os.pread(descriptor, 4, 0) == b'QFI\xfb'
            assert hashlib.sha256(os.pread(descriptor, 6000, 0)).digest() == hashlib.sha256(
                trap.read_bytes()[:6000]).digest()
        finally:
            os.close(descriptor)


@pytest.mark.parametrize('is_doubtful', [False, True], ids=['dead', 'doubtful'])
def test_layers_that_were_taken_and_not_stored_are_whole(sharing_cloud, noise, is_doubtful):
    """The owner before had copied all links; of one that may live the names are left to it."""
    cloud = sharing_cloud
    volume_id = cloud.volume(1)
    for offset, length in ((0, 6), (3, 2), (4, 3)):
        cloud.write(volume_id, offset * MIB, noise(length * MIB))
        if offset < 4:
            cloud.snapshot(volume_id)
    before = cloud.contents(volume_id)
    work = test_takeovers.frozen(cloud, volume_id, 2)
    rows = work.rows()
    for number in range(3):
        copies.copy_unstored(work, number, rows)
    assert [row.position for row in work.rows()] == [0, 0, 0]
    if is_doubtful:
        record = test_takeovers.succeed(cloud, work)
    else:
        work.close()
        lease.release(cloud.context, work.fence)
        cloud.endpoints['alpha'].resume()
        record = cloud.wait(work.id)

    assert record.phase == 'finished'
    assert not record.leftovers
    assert cloud.contents(volume_id) == before
    assert len(cloud.layers) == 3
