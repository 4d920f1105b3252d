"""A volume moves with its snapshots: every byte, every id, nothing left."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.db import snapshots, volumes
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import verify

MIB = values.MIB


def chain(cloud, noise):
    """A volume with four snapshots: extended, changed, zeroed, one deleted out of the middle."""
    volume_id = cloud.volume(1)
    cloud.write(volume_id, 0, noise(8 * MIB))
    cloud.write(volume_id, 500 * MIB + 4096, noise(3 * MIB))
    taken = [cloud.snapshot(volume_id)]
    cloud.write(volume_id, 2 * MIB, noise(MIB))
    taken.append(cloud.snapshot(volume_id))
    cloud.extend(volume_id, 2)
    cloud.write(volume_id, 1500 * MIB, noise(2 * MIB))
    taken.append(cloud.snapshot(volume_id))
    cloud.write(volume_id, 500 * MIB, bytes(4 * MIB))
    taken.append(cloud.snapshot(volume_id))
    cloud.write(volume_id, 2 * values.GIB - 7, b'the end')
    cloud.delete_snapshot(taken.pop(1))
    return volume_id, taken


def test_chain_arrives_whole_and_keeps_its_ids(any_cloud, noise):
    cloud = any_cloud
    volume_id, taken = chain(cloud, noise)
    before = cloud.contents(volume_id)
    rows = [row.as_dict() for row in snapshots.of_volume(cloud.context, volume_id)]
    volume = volumes.get(cloud.context, volume_id)

    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'finished', record.error
    assert cloud.contents(volume_id) == before
    assert cloud.files('alpha') == []
    assert len(cloud.files('beta')) == 1 + len(taken)
    moved = volumes.get(cloud.context, volume_id)
    assert (moved.host, moved.status, moved.migration_status) == (
        'host@beta#beta', 'available', 'success')
    assert moved.created_at == volume.created_at
    for old, new in zip(rows, snapshots.of_volume(cloud.context, volume_id), strict=True):
        kept = ('id', 'name', 'size', 'created_at', 'status', 'volume_id', 'project_id')
        assert [old[key] for key in kept] == [new.as_dict()[key] for key in kept]


def test_migrated_volume_migrates_back(cloud, noise):
    volume_id, _ = chain(cloud, noise)
    before = cloud.contents(volume_id)
    cloud.migrate(volume_id)

    record = cloud.record(cloud.migrate(volume_id, to='alpha'))

    assert record.phase == 'finished'
    assert cloud.contents(volume_id) == before
    assert cloud.files('beta') == []


def test_digest_of_the_record_is_that_of_the_device(cloud, noise):
    volume_id, _ = chain(cloud, noise)

    record = cloud.record(cloud.migrate(volume_id))

    moved = volumes.get(cloud.context, volume_id)
    assert record.digest == verify.digest_of(cloud.path(moved.name_id, 'beta'), 2 * values.GIB)
    assert record.read_back in ('direct', 'dropped')
