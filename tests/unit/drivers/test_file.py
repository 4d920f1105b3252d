"""What is special about the file driver; the contract itself is tested by the conformance."""
# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import stat
import threading
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, file, values
from cinder_ext.drivers.conformance import workbench

MIB = values.MIB


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / 'alpha'
    made.mkdir()
    return made


@pytest.fixture
def driver(directory):
    return workbench.started('file', file_path=directory)


def new_volume(size_bytes=64 * MIB):
    return values.Volume(str(uuid.uuid4()), size_bytes)


def snapshot_of(volume):
    return values.Snapshot(str(uuid.uuid4()), volume.name_id, volume.size_bytes)


def files(directory):
    return sorted(name for _, _, names in os.walk(directory) for name in names)


def test_files_are_private_and_named_after_their_ids(driver, directory):
    volume = new_volume()
    driver.create_volume(volume)
    snapshot = snapshot_of(volume)
    driver.create_snapshot(snapshot)
    for path in (directory / 'volumes' / f'volume-{volume.name_id}.raw',
                 directory / 'snapshots' / f'snapshot-{snapshot.name_id}.raw'):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.stat().st_size == 64 * MIB


@pytest.mark.parametrize('name_id', ['../x', 'a/b', '', '.', '..', 'a\0b', 'a\n', '-a', 'ä'])
def test_a_name_that_could_lead_elsewhere_is_refused(driver, directory, name_id):
    for call in (driver.create_volume, driver.delete_volume,
                 lambda volume: driver.connect_volume(volume, {})):
        with pytest.raises(exceptions.DriverError, match='not fit'):
            call(values.Volume(name_id, MIB))
    assert files(directory) == []


def test_a_link_in_the_place_of_a_volume_is_not_followed(driver, directory, tmp_path):
    volume = new_volume()
    (tmp_path / 'secret').write_bytes(b'secret')
    os.symlink(tmp_path / 'secret', directory / 'volumes' / f'volume-{volume.name_id}.raw')
    with pytest.raises(exceptions.DriverError):
        driver.connect_volume(volume, {})


def test_what_a_killed_create_left_is_replaced(driver, directory):
    volume = new_volume()
    left = directory / 'volumes' / f'volume-{volume.name_id}.raw.partial'
    left.write_bytes(b'half')
    driver.create_volume(volume)
    assert files(directory) == [f'volume-{volume.name_id}.raw']
    assert not any((directory / 'volumes' / files(directory)[0]).read_bytes())


def test_what_a_killed_create_left_is_deleted_with_the_volume(driver, directory):
    volume = new_volume()
    (directory / 'volumes' / f'volume-{volume.name_id}.raw.partial').write_bytes(b'half')
    driver.delete_volume(volume)
    assert files(directory) == []


def test_what_killed_creates_left_is_removed_at_start(driver, directory):
    volume = new_volume()
    driver.create_volume(volume)
    (directory / 'volumes' / 'volume-1.raw.partial').write_bytes(b'half')
    (directory / 'snapshots' / 'snapshot-1.raw.partial').write_bytes(b'half')
    driver.start()
    assert files(directory) == [f'volume-{volume.name_id}.raw']


def test_a_create_that_fails_leaves_nothing(driver, directory):
    with pytest.raises(exceptions.ResourceMissing):
        driver.clone_volume(new_volume(), new_volume())
    assert files(directory) == []


def test_a_smaller_volume_of_the_same_name_is_not_taken_for_the_result(driver):
    volume = new_volume()
    driver.create_volume(volume)
    with pytest.raises(exceptions.DriverError, match='smaller'):
        driver.create_volume(values.Volume(volume.name_id, 128 * MIB))


@pytest.mark.parametrize('whole', [True, False])
def test_a_vanished_directory_is_never_a_success(driver, directory, whole):
    volume = new_volume()
    driver.create_volume(volume)
    shutil.rmtree(directory)
    if not whole:
        directory.mkdir()
    for call in (driver.create_volume, driver.delete_volume, driver.delete_snapshot,
                 lambda gone: driver.connect_volume(gone, {}),
                 lambda gone: driver.extend_volume(gone, 128 * MIB),
                 lambda gone: driver.create_snapshot(snapshot_of(gone)),
                 driver.allocated_ranges, lambda gone: driver.report()):
        with pytest.raises(exceptions.BackendDown):
            call(volume)


@pytest.mark.parametrize('path', ['', 'relative/path'])
def test_a_path_that_is_not_absolute_is_misconfigured(path):
    with pytest.raises(exceptions.Misconfigured, match='file_path'):
        workbench.started('file', file_path=path)


def test_a_path_that_is_a_file_is_misconfigured(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(exceptions.Misconfigured):
        workbench.started('file', file_path=tmp_path / 'file')


def test_a_directory_that_is_not_there_yet_is_retried(tmp_path):
    with pytest.raises(exceptions.BackendDown):
        workbench.started('file', file_path=tmp_path / 'later')


def test_without_shared_blocks_changes_are_not_told(directory):
    driver = workbench.started('file', file_path=directory, file_reflink='off')
    volume = new_volume()
    driver.create_volume(volume)
    snapshot = snapshot_of(volume)
    driver.create_snapshot(snapshot)
    assert not capabilities.has(driver, capabilities.ChangedRanges)
    assert not capabilities.has(driver, capabilities.GroupSnapshots)
    assert 'changed_ranges' not in capabilities.of(driver)
    assert not driver.promises().snapshots_share_blocks
    with pytest.raises(exceptions.NotCapable):
        driver.changed_ranges(snapshot, volume)


def test_the_report_counts_what_is_promised_and_what_is_taken(driver, directory):
    volume = new_volume()
    driver.create_volume(volume)
    with open(driver.connect_volume(volume, {}).data['device_path'], 'r+b') as device:
        device.write(b'x' * 3 * MIB)
        device.flush()
        os.fsync(device.fileno())
    (directory / 'volumes' / 'volume-2.raw.partial').write_bytes(b'x' * MIB)
    pool, = driver.report()
    assert pool.name == workbench.SECTION
    assert pool.provisioned_bytes == 64 * MIB
    assert 3 * MIB <= pool.allocated_bytes < 4 * MIB
    assert pool.capabilities['thin_provisioning_support'] is True
    assert pool.capabilities['allocated_ranges'] is True
    assert pool.capabilities['consistent_group_snapshot_enabled'] is False
    assert pool.capabilities['max_over_subscription_ratio'] == 20.0


def test_connection_info_says_how_a_file_is_opened(driver):
    volume = new_volume()
    driver.create_volume(volume)
    snapshot = snapshot_of(volume)
    driver.create_snapshot(snapshot)
    info = driver.connect_volume(volume, {}).as_dict()
    assert info['driver_volume_type'] == 'local'
    assert info['data']['access_mode'] == 'rw'
    assert driver.connect_snapshot(snapshot, {}).data['access_mode'] == 'ro'


def test_threads_that_create_the_same_volume_make_it_once(driver, directory):
    source, clone, faults = new_volume(), new_volume(), []
    driver.create_volume(source)

    def run():
        try:
            driver.clone_volume(clone, source)
        except exceptions.DriverError as fault:
            faults.append(fault)

    crowd = [threading.Thread(target=run) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert faults == []
    assert files(directory) == sorted(
        [f'volume-{source.name_id}.raw', f'volume-{clone.name_id}.raw'])


def test_options_are_declared_by_the_driver():
    assert {option.name for option in file.FileDriver.options()} == {
        'file_path', 'file_copy_bytes_per_second', 'file_group_snapshot_seconds',
        'file_reflink', 'file_format', 'file_qcow2_chain_limit', 'file_export',
        'file_export_options', 'file_control_file', 'replication_device'}


@pytest.fixture
def synced(monkeypatch):
    """Names of the files and directories that were put on the medium, in order."""
    seen, fsync = [], os.fsync

    def watched(descriptor):
        seen.append(os.path.basename(os.readlink(f'/proc/self/fd/{descriptor}')))
        fsync(descriptor)

    monkeypatch.setattr(os, 'fsync', watched)
    return seen


def test_repeated_calls_sync_what_a_killed_predecessor_may_not_have(driver, synced):
    """It may have been killed between the change and its sync: the repetition vouches for it."""
    volume = new_volume()
    driver.create_volume(volume)
    snapshot = snapshot_of(volume)
    driver.create_snapshot(snapshot)
    driver.extend_volume(volume, 65 * MIB)

    synced.clear()
    driver.create_volume(volume)
    driver.create_snapshot(snapshot)
    driver.extend_volume(volume, 65 * MIB)
    driver.delete_snapshot(snapshot)
    driver.delete_snapshot(snapshot)

    assert synced == ['volumes', 'snapshots', f'volume-{volume.name_id}.raw', 'snapshots',
                      'snapshots']


def test_start_syncs_the_directories_it_makes(driver, directory, synced):
    driver.start()
    assert directory.name in synced
