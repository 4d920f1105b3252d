"""Files that lie on a backend become volumes and snapshots, and these are let go."""
# SPDX-License-Identifier: Apache-2.0

import os

import pytest

from cinder_ext import exceptions
from cinder_ext.db import managed, quotas, snapshots, volumes
from cinder_ext.states import messages as words

GIB = 1024 ** 3
REF = {'source-name': 'mine.raw'}


class Operator:
    """Puts files on the backend alpha, and does what the API does to have them managed."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.api = cloud.volume_api

    def file(self, name='mine.raw', size_bytes=GIB, content=b'kept', room='volumes'):
        path = self.cloud.directory / 'alpha' / room / name
        with open(path, 'wb') as file:
            file.write(content)
            file.truncate(size_bytes)
        return path

    def record(self, reference=REF, host='node@alpha', volume_type='alpha'):
        return managed.create_volume(self.cloud.context, {
            'project_id': 'project', 'user_id': 'user',
            'volume_type_id': self.cloud.types[volume_type]}, None, host, reference).id

    def manage(self, *args, status='available', **keywords):
        volume_id = self.record(*args, **keywords)
        self.cloud.scheduler_api.manage_volume(self.cloud.context, volume_id)
        return self.cloud.becomes(volume_id, status)

    def unmanage(self, volume_id):
        managed.begin_unmanage(self.cloud.context, volume_id)
        self.api.unmanage_volume(self.cloud.context, 'node@alpha#alpha', volume_id)
        self.cloud.until(lambda: _is_gone(volumes.get, self.cloud, volume_id))

    def record_snapshot(self, volume_id, reference):
        return managed.create_snapshot(self.cloud.context, {'volume_id': volume_id}, None,
                                       reference).id

    def manage_snapshot(self, volume_id, reference, status='available'):
        snapshot_id = self.record_snapshot(volume_id, reference)
        self.api.manage_snapshot(self.cloud.context, 'node@alpha', snapshot_id)
        self.cloud.until(lambda: snapshots.get(self.cloud.context, snapshot_id).status == status)
        return snapshots.get(self.cloud.context, snapshot_id)

    def listed(self, kind='volumes', **page):
        call = getattr(self.api, f'get_manageable_{kind}')
        return call(self.cloud.context, 'node@alpha',
                    **{'keys': [('reference', 'asc')], **page})


@pytest.fixture
def operator(cloud):
    return Operator(cloud)


def _is_gone(get, cloud, identity):
    try:
        get(cloud.context, identity)
    except exceptions.NotFound:
        return True
    return False


def test_a_file_becomes_a_volume_of_whole_gibibytes_with_its_content(cloud, operator):
    path = operator.file(size_bytes=GIB + 1)
    row = operator.manage()
    assert (row.size, row.host) == (2, 'node@alpha#alpha')
    assert row.launched_at is not None
    assert not path.exists()
    assert os.path.getsize(cloud.path(row.id)) == 2 * GIB
    assert cloud.read(cloud.path(row.id), 0, 4) == b'kept'
    assert cloud.path(row.id).stat().st_mode & 0o777 == 0o600


def test_an_unmanaged_volume_keeps_its_file_and_can_be_managed_again(cloud, operator):
    volume_id = cloud.volume()
    cloud.write(volume_id, 0, b'mine')
    operator.unmanage(volume_id)
    assert cloud.read(cloud.path(volume_id), 0, 4) == b'mine'
    assert operator.listed()[0]['safe_to_manage']
    row = operator.manage({'source-name': f'volume-{volume_id}.raw'})
    assert cloud.read(cloud.path(row.id), 0, 4) == b'mine'
    assert not cloud.path(volume_id).exists()


@pytest.mark.parametrize('reference', [
    {'source-name': 'other.raw'}, {'source-name': '../alpha/volumes/mine.raw'},
    {'source-name': 'link.raw'}, {'source-name': 'empty.raw'}, {'source-name': 'twin.raw'},
    {'source-name': 'pipe.raw'}, {'source-name': 'mine.raw.partial'}, {'source-id': 'mine.raw'},
    'mine.raw', {'source-name': ['mine.raw']}], ids=str)
def test_what_is_no_file_of_the_backend_is_not_managed(cloud, operator, reference):
    path = operator.file()
    operator.file('empty.raw', 0, b'')
    operator.file('mine.raw.partial')
    os.symlink('/etc/passwd', path.with_name('link.raw'))
    os.link(operator.file('one.raw'), path.with_name('twin.raw'))
    os.mkfifo(path.with_name('pipe.raw'))
    before = sorted(os.listdir(path.parent))
    row = operator.manage(reference, status='error_managing')
    assert [message[:2] for message in cloud.told(row.id)] == [
        (words.MANAGE_VOLUME, words.MANAGE_FAILED)]
    assert sorted(os.listdir(path.parent)) == before


def test_what_is_managed_is_not_managed_twice(cloud, operator):
    volume_id = cloud.volume()
    row = operator.manage({'source-name': f'volume-{volume_id}.raw'}, status='error_managing')
    assert volume_id in cloud.told(row.id)[0][2]
    assert cloud.path(volume_id).exists()


def test_deleting_what_could_not_be_managed_leaves_the_file(cloud, operator):
    path = operator.file()
    row = operator.manage({'source-name': 'other.raw'}, status='error_managing')
    managed.forget(cloud.context, row.id)
    assert _is_gone(volumes.get, cloud, row.id)
    assert path.exists()


def test_a_type_that_the_backend_cannot_have_is_refused(cloud, operator):
    path = operator.file()
    row = operator.manage(volume_type='beta', status='error_managing')
    assert row.host is None
    assert cloud.told(row.id)[0][:2] == (words.MANAGE_VOLUME, words.NO_BACKEND_AVAILABLE)
    assert path.exists()


def test_what_was_recorded_is_taken_up_by_the_sweep(make_cloud):
    cloud = make_cloud(sweep_interval=1)
    cloud.start()
    operator = Operator(cloud)
    operator.file()
    volume_id = operator.record()
    cloud.becomes(volume_id, 'available')
    managed.begin_unmanage(cloud.context, volume_id)
    cloud.until(lambda: _is_gone(volumes.get, cloud, volume_id))
    assert cloud.path(volume_id).exists()


def test_what_a_killed_service_has_renamed_already_is_finished(cloud, operator):
    path = operator.file(size_bytes=GIB + 1)
    volume_id = operator.record()
    os.rename(path, cloud.path(volume_id))
    cloud.scheduler_api.manage_volume(cloud.context, volume_id)
    assert cloud.becomes(volume_id, 'available').size == 2


def test_the_list_says_whose_things_are_and_why_they_are_not_safe(cloud, operator):
    volume_id = cloud.volume()
    path = operator.file(size_bytes=3 * GIB - 5)
    os.symlink('/etc/passwd', path.with_name('link.raw'))
    entries = {each['reference']['source-name']: each for each in operator.listed()}
    assert set(entries) == {'mine.raw', 'link.raw', f'volume-{volume_id}.raw'}
    assert entries['mine.raw'] == {
        'reference': REF, 'size': 3, 'safe_to_manage': True, 'reason_not_safe': None,
        'cinder_id': None, 'extra_info': None}
    ours = entries[f'volume-{volume_id}.raw']
    assert (ours['cinder_id'], ours['reason_not_safe']) == (volume_id, 'already managed')
    assert not entries['link.raw']['safe_to_manage']


def test_a_list_has_pages(cloud, operator):
    for number, gib in enumerate((2, 3, 1)):
        operator.file(f'{number}.raw', gib * GIB)

    def names(**page):
        return [each['reference']['source-name'][0] for each in operator.listed(**page)]

    assert names(limit=2) == ['0', '1']
    assert names(marker='{"source-name": "1.raw"}') == ['2']
    assert names(keys=[('size', 'desc')], offset=1) == ['0', '2']
    for marker in ('{"source-name": "9.raw"}', 'no json'):
        with pytest.raises(exceptions.InvalidInput, match='marker'):
            operator.listed(marker=marker)


def test_an_unmanaged_snapshot_becomes_one_again(cloud, operator):
    volume_id = cloud.volume()
    cloud.write(volume_id, 0, b'before')
    old = cloud.snapshot(volume_id)
    cloud.write(volume_id, 0, b'after!')
    assert operator.listed('snapshots')[0]['source_reference'] == {'source-id': volume_id}
    managed.begin_unmanage_snapshot(cloud.context, old)
    operator.api.unmanage_snapshot(cloud.context, 'node@alpha', old)
    cloud.until(lambda: _is_gone(snapshots.get, cloud, old))
    row = operator.manage_snapshot(volume_id, {'source-name': f'snapshot-{old}.raw'})
    assert (row.size, row.progress) == (1, '100%')
    assert cloud.read(cloud.path(row.id, kind='snapshot'), 0, 6) == b'before'
    assert not cloud.path(old, kind='snapshot').exists()


def test_a_snapshot_larger_than_its_volume_is_not_managed(cloud, operator):
    volume_id = cloud.volume()
    path = operator.file('big.raw', 2 * GIB, room='snapshots')
    row = operator.manage_snapshot(volume_id, {'source-name': 'big.raw'}, status='error')
    assert cloud.told(row.id)[0][:2] == (words.MANAGE_SNAPSHOT, words.MANAGE_FAILED)
    assert path.exists()


def test_a_snapshot_that_was_recorded_is_managed_and_not_made_by_the_sweep(make_cloud):
    cloud = make_cloud(sweep_interval=1)
    cloud.start()
    operator = Operator(cloud)
    volume_id = cloud.volume()
    operator.file('old.raw', content=b'old', room='snapshots')
    snapshot_id = operator.record_snapshot(volume_id, {'source-name': 'old.raw'})
    cloud.until(lambda: snapshots.get(cloud.context, snapshot_id).status == 'available')
    assert cloud.read(cloud.path(snapshot_id, kind='snapshot'), 0, 3) == b'old'


def test_what_is_used_is_not_let_go(cloud):
    volume_id = cloud.volume()
    cloud.snapshot(volume_id)
    with pytest.raises(exceptions.InvalidState, match='snapshots'):
        managed.begin_unmanage(cloud.context, volume_id)
    assert cloud.row(volume_id).status == 'available'
    with pytest.raises(exceptions.InvalidState, match='managing'):
        managed.begin_unmanage(cloud.context, Operator(cloud).record())


def test_what_passes_the_quota_is_not_managed_and_stays(cloud, operator):
    path = operator.file(size_bytes=3 * GIB)
    quotas.set_limits(cloud.context, 'project', {'gigabytes': 2})
    row = operator.manage(status='error_managing')
    assert (row.size, path.exists()) == (0, True)
    assert cloud.told(row.id)[0][:2] == (words.MANAGE_VOLUME, words.QUOTA_EXCEED)
