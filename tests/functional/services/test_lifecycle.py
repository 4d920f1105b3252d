"""Volumes, snapshots and attachments from the recorded row to the file and back."""
# SPDX-License-Identifier: Apache-2.0

import os
import shutil

import pytest

from cinder_ext import exceptions
from cinder_ext.db import attachments, qos_specs, snapshots, volumes
from cinder_ext.states import messages as words

GIB = 1024 ** 3


def _delete_volume(cloud, volume_id):
    volumes.begin(cloud.context, volume_id, 'delete', 'be deleted')
    cloud.volume_api.delete_volume(cloud.context, cloud.row(volume_id).host, volume_id)


def _is_gone(get, cloud, identity):
    try:
        get(cloud.context, identity)
    except exceptions.NotFound:
        return True
    return False


def test_created_volume_is_a_file_of_its_size_at_the_backend_of_its_type(cloud):
    volume_id = cloud.volume(volume_type_id=cloud.types['beta'], size=2)
    assert os.path.getsize(cloud.path(volume_id, 'beta')) == 2 * GIB
    row = cloud.row(volume_id)
    assert (row.host, row.availability_zone) == ('node@beta#beta', 'nova')
    assert row.launched_at is not None


def test_volume_from_a_snapshot_has_its_content_and_its_own_size(cloud):
    source_id = cloud.volume()
    cloud.write(source_id, 4096, b'before')
    snapshot_id = cloud.snapshot(source_id)
    cloud.write(source_id, 4096, b'after!')
    copy_id = cloud.volume(snapshot_id=snapshot_id, size=2)
    assert cloud.read(cloud.path(copy_id), 4096, 6) == b'before'
    assert os.path.getsize(cloud.path(copy_id)) == 2 * GIB


def test_clone_has_the_content_of_its_source(cloud):
    source_id = cloud.volume()
    cloud.write(source_id, GIB - 6, b'in-end')
    clone_id = cloud.volume(source_volid=source_id, volume_type_id=None)
    assert cloud.read(cloud.path(clone_id), GIB - 6, 6) == b'in-end'
    assert cloud.row(clone_id).host == cloud.row(source_id).host


def test_extended_volume_is_larger_and_available(cloud):
    volume_id = cloud.volume()
    volumes.begin(cloud.context, volume_id, 'extend', 'be extended',
                  values={'request': {'new_size': 3}})
    cloud.volume_api.extend_volume(cloud.context, cloud.row(volume_id).host, volume_id, 3)
    assert cloud.becomes(volume_id, 'available').size == 3
    assert os.path.getsize(cloud.path(volume_id)) == 3 * GIB


def test_extend_without_a_recorded_size_fails_and_says_so(cloud):
    volume_id = cloud.volume()
    volumes.begin(cloud.context, volume_id, 'extend', 'be extended')
    cloud.volume_api.extend_volume(cloud.context, cloud.row(volume_id).host, volume_id, 3)
    assert cloud.becomes(volume_id, 'error_extending').size == 1
    assert cloud.told(volume_id) == [(words.EXTEND_VOLUME, words.DRIVER_FAILED_EXTEND, None)]


def test_deleted_things_leave_no_file_and_no_row(cloud):
    volume_id = cloud.volume()
    snapshot_id = cloud.snapshot(volume_id)
    snapshots.begin_delete(cloud.context, snapshot_id)
    cloud.volume_api.delete_snapshot(cloud.context, cloud.row(volume_id).host, snapshot_id)
    cloud.until(lambda: _is_gone(snapshots.get, cloud, snapshot_id))
    _delete_volume(cloud, volume_id)
    cloud.until(lambda: _is_gone(volumes.get, cloud, volume_id))
    assert [path for path in (cloud.directory / 'alpha').rglob('*') if path.is_file()] == []


def test_repeated_casts_change_nothing(cloud):
    volume_id = cloud.volume()
    cloud.write(volume_id, 0, b'kept')
    host = cloud.row(volume_id).host
    for _ in range(3):
        cloud.volume_api.create_volume(cloud.context, host, volume_id)
        cloud.volume_api.delete_volume(cloud.context, host, volume_id)
        cloud.scheduler_api.create_volume(cloud.context, volume_id)
    # A call to the same server is answered after what it was given before has begun.
    assert cloud.snapshot(volume_id)
    assert cloud.row(volume_id).status == 'available'
    assert cloud.read(cloud.path(volume_id), 0, 4) == b'kept'


def test_clone_of_what_the_backend_lost_is_in_error_and_its_owner_is_told(cloud):
    source_id = cloud.volume()
    cloud.path(source_id).unlink()
    clone_id = cloud.volume('error', source_volid=source_id)
    assert cloud.told(clone_id) == [
        (words.CREATE_VOLUME_FROM_BACKEND, words.DRIVER_FAILED_CREATE, None)]


def test_snapshot_of_what_the_backend_lost_is_in_error_and_its_owner_is_told(cloud):
    volume_id = cloud.volume()
    cloud.path(volume_id).unlink()
    snapshot_id = snapshots.create(cloud.context, {'volume_id': volume_id}).id
    cloud.volume_api.create_snapshot(cloud.context, cloud.row(volume_id).host, snapshot_id)
    cloud.until(lambda: snapshots.get(cloud.context, snapshot_id).status == 'error')
    assert cloud.told(snapshot_id) == [(words.SNAPSHOT_CREATE, words.SNAPSHOT_CREATE_ERROR, None)]


def test_work_waits_while_the_backend_is_gone_and_is_done_when_it_is_back(make_cloud):
    cloud = make_cloud(sweep_interval=1)
    cloud.start()
    volume_id = cloud.volume()
    away = cloud.directory / 'away'
    (cloud.directory / 'alpha').rename(away)
    _delete_volume(cloud, volume_id)
    cloud.until(lambda: any(
        pool['capabilities']['backend_state'] == 'down' for pool in cloud.pools(True)))
    assert cloud.row(volume_id).status == 'deleting'
    away.rename(cloud.directory / 'alpha')
    cloud.until(lambda: _is_gone(volumes.get, cloud, volume_id))


def test_connected_attachment_gives_the_path_and_keeps_it_in_the_row(cloud):
    volume_id = cloud.volume()
    attachment = attachments.reserve(cloud.context, volume_id)
    attachments.connect(cloud.context, attachment.id, {'host': 'here', 'mode': 'rw'})
    info = cloud.volume_api.connect_attachment(cloud.context, cloud.row(volume_id).host,
                                               attachment.id)
    assert info == {'driver_volume_type': 'local', 'device_path': str(cloud.path(volume_id)),
                    'access_mode': 'rw', 'encrypted': False, 'attachment_id': attachment.id,
                    'qos_specs': None, 'cacheable': False, 'enforce_multipath': False}
    assert attachments.get(cloud.context, attachment.id).connection_info == info


@pytest.mark.parametrize(('consumer', 'told'), [
    ('front-end', {'read_iops_sec': '20'}), ('both', {'read_iops_sec': '20'}), ('back-end', None)])
def test_limits_are_told_to_a_consumer_that_enforces_them(cloud, consumer, told):
    limits = qos_specs.create(cloud.context, 'quick', consumer, {'read_iops_sec_per_gb': '10'})
    qos_specs.associate(cloud.context, limits.id, cloud.types['alpha'])
    volume_id = cloud.volume(size=2)
    attachment = attachments.reserve(cloud.context, volume_id)
    attachments.connect(cloud.context, attachment.id, {'host': 'here', 'enforce_multipath': True})
    info = cloud.volume_api.connect_attachment(cloud.context, cloud.row(volume_id).host,
                                               attachment.id)
    assert info['qos_specs'] == told
    assert info['enforce_multipath'] is True


def test_disconnected_attachment_is_removed_and_the_volume_available(cloud):
    volume_id = cloud.volume()
    host = cloud.row(volume_id).host
    attachment = attachments.reserve(cloud.context, volume_id)
    attachments.connect(cloud.context, attachment.id, {'host': 'here'})
    cloud.volume_api.connect_attachment(cloud.context, host, attachment.id)
    attachments.complete(cloud.context, attachment.id)
    assert cloud.row(volume_id).status == 'in-use'
    attachments.begin_detach(cloud.context, attachment.id)
    cloud.volume_api.disconnect_attachment(cloud.context, host, attachment.id)
    assert attachments.of_volume(cloud.context, volume_id) == []
    assert cloud.row(volume_id).status == 'available'


def test_attachment_that_cannot_be_connected_is_in_error_and_the_caller_hears_why(cloud):
    volume_id = cloud.volume()
    attachment = attachments.reserve(cloud.context, volume_id)
    attachments.connect(cloud.context, attachment.id, {'host': 'here'})
    cloud.path(volume_id).unlink()
    with pytest.raises(exceptions.ResourceMissing):
        cloud.volume_api.connect_attachment(cloud.context, cloud.row(volume_id).host,
                                            attachment.id)
    found = attachments.get(cloud.context, attachment.id)
    assert found.attach_status == 'error_attaching'
    assert cloud.told(volume_id) == [(words.ATTACH_VOLUME, words.UNKNOWN_ERROR, None)]


def test_backend_whose_directory_comes_later_serves_then(make_cloud):
    cloud = make_cloud(sweep_interval=1)
    shutil.rmtree(cloud.directory / 'beta')
    cloud.start_scheduler()
    cloud.start_backends()
    cloud.until(lambda: len(cloud.pools()) == 1)
    (cloud.directory / 'beta').mkdir()
    cloud.until(lambda: len(cloud.pools()) == 2)
    assert cloud.volume(volume_type_id=cloud.types['beta'])


def test_wrongly_configured_backend_leaves_the_other_alone(make_cloud):
    cloud = make_cloud(more='[gamma]\nvolume_driver = nothing\n')
    cloud.conf.set_override('enabled_backends', ['gamma', 'alpha'])
    cloud.start_scheduler()
    cloud.start_backends()
    cloud.until(lambda: len(cloud.pools()) == 1)
    assert cloud.volume()
