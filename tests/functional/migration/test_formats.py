"""Chains go between raw files and qcow2 layers, both ways, on a file system that shares nothing."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import hashlib
import os
import subprocess

import pytest

from cinder_ext.db import snapshots, volumes
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import attach

from . import conftest
from .test_chain import chain

MIB = values.MIB


class MixedCloud(conftest.Cloud):
    """alpha has raw files, beta qcow2 layers; bytes are reached through connections."""

    formats = {'alpha': 'raw', 'beta': 'qcow2'}

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

    def contents(self, volume_id):
        row = volumes.get(self.context, volume_id)
        backend, name_id = row.host.partition('#')[2], row.name_id or row.id
        wanted = {row.id: values.Volume(name_id, row.size * values.GIB)}
        for snapshot in snapshots.of_volume(self.context, volume_id):
            wanted[snapshot.id] = values.Snapshot(snapshot.name_id or snapshot.id, name_id,
                                                  snapshot.size * values.GIB)
        return {resource_id: conftest.digest(self._flat(resource, backend))
                for resource_id, resource in wanted.items()}

    def _flat(self, resource, backend):
        """A raw file with what a resource holds; of layers as QEMU itself reads them."""
        kind = 'snapshot' if isinstance(resource, values.Snapshot) else 'volume'
        path = self.directory / backend / f'{kind}s' / f'{kind}-{resource.name_id}'
        if self.formats[backend] == 'raw':
            return path.with_name(path.name + '.raw')
        flat = self.directory / 'flat'
        subprocess.run(['qemu-img', 'convert', '-q', '-f', 'qcow2', '-O', 'raw', path.resolve(),
                        flat], check=True)
        return flat

    def delete_snapshot(self, snapshot_id):
        row = snapshots.get(self.context, snapshot_id)
        volume = volumes.get(self.context, row.volume_id)
        self.drivers[volume.host.partition('#')[2]].delete_snapshot(values.Snapshot(
            row.name_id or row.id, volume.name_id or volume.id, row.size * values.GIB))
        snapshots.mark_deleted(self.context, snapshot_id)

    def taken_bytes(self, backend):
        return sum(path.stat().st_blocks * 512
                   for path in (self.directory / backend / 'layers').iterdir())


@pytest.fixture
def mixed_cloud(tmp_path):
    made = MixedCloud(tmp_path)
    yield made
    made.stop()


def test_a_chain_goes_to_layers_and_back(mixed_cloud, noise):
    cloud = mixed_cloud
    volume_id, taken = chain(cloud, noise)
    before = cloud.contents(volume_id)

    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'finished', record.error
    assert cloud.files('alpha') == []
    assert cloud.contents(volume_id) == before
    layers = sorted((cloud.directory / 'beta' / 'layers').glob('*.qcow2'))
    assert len(layers) == 1 + len(taken)
    for layer in layers:
        subprocess.run(['qemu-img', 'check', '-q', '-f', 'qcow2', layer], check=True)
    assert record.bytes_written <= 16 * MIB
    # Metadata of five layers: clusters of 64 KiB.
    assert cloud.taken_bytes('beta') <= record.bytes_written + 5 * MIB

    record = cloud.record(cloud.migrate(volume_id, to='alpha'))

    assert (record.phase, record.method) == ('finished', 'changed-ranges'), record.error
    assert cloud.contents(volume_id) == before
    assert [path for path in (cloud.directory / 'beta' / 'layers').iterdir()] == []


def test_snapshots_of_a_migrated_chain_can_be_deleted_in_any_order(mixed_cloud, noise):
    cloud = mixed_cloud
    volume_id, taken = chain(cloud, noise)
    cloud.migrate(volume_id)
    for gone in (taken[1], taken[0], taken[2]):
        before = cloud.contents(volume_id)
        del before[gone]
        cloud.delete_snapshot(gone)
        assert cloud.contents(volume_id) == before
    assert len(list((cloud.directory / 'beta' / 'layers').iterdir())) == 1


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
