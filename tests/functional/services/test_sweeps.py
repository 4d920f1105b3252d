"""What was recorded is done, although its message was lost with the process that took it."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    placement,
    snapshots,
    volume_migrations,
    volume_requests,
    volumes,
)


def _is_gone(get, cloud, identity):
    try:
        get(cloud.context, identity)
    except exceptions.NotFound:
        return True
    return False


def _files(cloud):
    return [path for path in (cloud.directory / 'alpha').rglob('*') if path.is_file()]


@pytest.fixture
def sleeping(make_cloud):
    """A cloud with one volume and a snapshot, whose services have been stopped."""
    cloud = make_cloud()
    cloud.start()
    cloud.volume_id = cloud.volume()
    cloud.snapshot_id = cloud.snapshot(cloud.volume_id)
    cloud.stop()
    return cloud


def test_volume_without_a_host_is_placed_at_the_next_start(sleeping):
    volume_id = sleeping.record_volume()
    sleeping.start()
    assert sleeping.becomes(volume_id, 'available').host == 'node@alpha#alpha'


def test_placed_volume_is_created_at_the_next_start(sleeping):
    volume_id = sleeping.record_volume()
    assert placement.place_volume(sleeping.context, volume_id, 'node@beta#beta', 'nova')
    sleeping.start()
    sleeping.becomes(volume_id, 'available')
    assert sleeping.path(volume_id, 'beta').exists()


def test_extend_is_done_at_the_next_start(sleeping):
    volumes.begin(sleeping.context, sleeping.volume_id, 'extend', 'be extended',
                  values={'request': {'new_size': 2}})
    sleeping.start()
    assert sleeping.becomes(sleeping.volume_id, 'available').size == 2


def test_snapshots_are_created_and_deleted_at_the_next_start(sleeping):
    new_id = snapshots.create(sleeping.context, {'volume_id': sleeping.volume_id}).id
    snapshots.begin_delete(sleeping.context, sleeping.snapshot_id)
    sleeping.start()
    sleeping.until(lambda: snapshots.get(sleeping.context, new_id).status == 'available')
    sleeping.until(lambda: _is_gone(snapshots.get, sleeping, sleeping.snapshot_id))
    assert sleeping.path(new_id, kind='snapshot').exists()
    assert not sleeping.path(sleeping.snapshot_id, kind='snapshot').exists()


def test_volume_is_deleted_at_the_next_start(sleeping):
    snapshots.begin_delete(sleeping.context, sleeping.snapshot_id)
    snapshots.mark_deleted(sleeping.context, sleeping.snapshot_id)
    volumes.begin(sleeping.context, sleeping.volume_id, 'delete', 'be deleted')
    sleeping.start()
    sleeping.until(lambda: _is_gone(volumes.get, sleeping, sleeping.volume_id))
    assert not sleeping.path(sleeping.volume_id).exists()


def test_cascade_is_finished_although_every_message_was_lost(sleeping):
    snapshot_id = snapshots.create(sleeping.context, {'volume_id': sleeping.volume_id}).id
    snapshots.report(sleeping.context, snapshot_id, 'available')
    doomed = volume_requests.begin_delete(sleeping.context, sleeping.volume_id, cascade=True)
    assert doomed == [snapshot_id, sleeping.snapshot_id]
    sleeping.start()
    sleeping.until(lambda: _is_gone(volumes.get, sleeping, sleeping.volume_id))
    assert all(_is_gone(snapshots.get, sleeping, each) for each in doomed)
    assert _files(sleeping) == []


def test_cascade_is_finished_when_only_the_volume_s_message_arrives(cloud):
    volume_id = cloud.volume()
    doomed = {cloud.snapshot(volume_id) for _ in range(3)}
    assert set(volume_requests.begin_delete(cloud.context, volume_id, cascade=True)) == doomed
    cloud.volume_api.delete_volume(cloud.context, 'node@alpha#alpha', volume_id)
    cloud.until(lambda: _is_gone(volumes.get, cloud, volume_id))
    assert all(_is_gone(snapshots.get, cloud, each) for each in doomed)
    assert _files(cloud) == []


def test_cascade_is_finished_when_every_message_comes_twice_and_in_any_order(cloud):
    volume_id = cloud.volume()
    doomed = [cloud.snapshot(volume_id) for _ in range(3)]
    volume_requests.begin_delete(cloud.context, volume_id, cascade=True)
    for _ in range(2):
        cloud.volume_api.delete_volume(cloud.context, 'node@alpha#alpha', volume_id)
        for snapshot_id in doomed:
            cloud.volume_api.delete_snapshot(cloud.context, 'node@alpha#alpha', snapshot_id)
    cloud.until(lambda: _is_gone(volumes.get, cloud, volume_id))
    assert _files(cloud) == []


def test_volume_whose_snapshots_are_to_stay_is_not_deleted(sleeping):
    volumes.begin(sleeping.context, sleeping.volume_id, 'delete', 'be deleted')
    sleeping.start()
    sleeping.becomes(sleeping.volume_id, 'error_deleting')
    assert snapshots.get(sleeping.context, sleeping.snapshot_id).status == 'available'
    assert sleeping.path(sleeping.volume_id).exists()
    assert sleeping.path(sleeping.snapshot_id, kind='snapshot').exists()


def test_detaching_attachment_is_removed_at_the_next_start(sleeping):
    attachment = attachments.reserve(sleeping.context, sleeping.volume_id)
    attachments.connect(sleeping.context, attachment.id, {'host': 'here'})
    attachments.begin_detach(sleeping.context, attachment.id)
    sleeping.start()
    sleeping.until(lambda: _is_gone(attachments.get, sleeping, attachment.id))
    assert sleeping.row(sleeping.volume_id).status == 'available'


def test_migration_that_nobody_placed_is_placed_at_the_next_start(sleeping):
    record = volume_migrations.start(sleeping.context, sleeping.volume_id, {
        'operation': 'retype', 'include_snapshots': True,
        'requested_policy': 'on-demand-include-snapshots',
        'destination_type_id': sleeping.types['beta']}, 'retype')
    sleeping.start()
    ended = sleeping.until(lambda: sleeping.ended(record.id), 60)
    assert (ended.phase, ended.destination_host) == ('finished', 'node@beta#beta')
    assert sleeping.row(sleeping.volume_id).host == 'node@beta#beta'


def test_sweep_while_work_runs_does_not_double_it(make_cloud):
    cloud = make_cloud(sweep_interval=1)
    cloud.start()
    ids = [cloud.record_volume() for _ in range(20)]
    for volume_id in ids:
        cloud.scheduler_api.create_volume(cloud.context, volume_id)
        cloud.scheduler.sweep()
    for volume_id in ids:
        cloud.becomes(volume_id, 'available')
    files = sorted(path.name for path in (cloud.directory / 'alpha' / 'volumes').iterdir())
    assert files == sorted(f'volume-{volume_id}.raw' for volume_id in ids)
