"""Groups and their snapshots from the recorded row to the files and back."""
# SPDX-License-Identifier: Apache-2.0

import os

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    group_requests,
    group_snapshots,
    group_types,
    groups,
    snapshots,
    volumes,
)
from cinder_ext.drivers.conformance import media
from cinder_ext.states import messages as words

CONSISTENT = {group_types.CONSISTENT: group_types.TRUE}


class Groups:
    """What the API does with groups, on a Cloud of conftest.py."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.context = cloud.context

    def group_type(self, specs=None, name='plain'):
        return group_types.create(self.context, {'name': name}, specs).id

    def record(self, group_type_id=None, types=('alpha',)):
        return groups.create(self.context, {
            'project_id': 'project', 'user_id': 'user',
            'group_type_id': group_type_id or self.group_type()},
            [self.cloud.types[name] for name in types]).id

    def group(self, status='available', **more):
        """A new group, asked for and waited for; returns its id."""
        group_id = self.record(**more)
        self.cloud.scheduler_api.create_group(self.context, group_id)
        self.becomes(group_id, status)
        return group_id

    def becomes(self, group_id, status):
        self.cloud.until(lambda: groups.get(self.context, group_id).status == status)
        return groups.get(self.context, group_id)

    def member(self, group_id, **values):
        """A new volume in a group."""
        volume_id = group_requests.create_volume(self.context, None, None, {
            'project_id': 'project', 'user_id': 'user', 'size': 1, 'group_id': group_id,
            'volume_type_id': self.cloud.types['alpha'], **values}).id
        self.cloud.scheduler_api.create_volume(self.context, volume_id)
        self.cloud.becomes(volume_id, 'available')
        return volume_id

    def record_snapshot(self, group_id):
        return group_snapshots.create(self.context, group_id, {'user_id': 'user', 'name': 's'}).id

    def snapshot(self, group_id, status='available'):
        """A new group snapshot, asked for and waited for; returns its id and its members'."""
        whole_id = self.record_snapshot(group_id)
        self.cloud.volume_api.create_group_snapshot(self.context, self.host(group_id), whole_id)
        self.snapshot_becomes(whole_id, status)
        return whole_id, self.members(whole_id)

    def snapshot_becomes(self, whole_id, status):
        self.cloud.until(lambda: group_snapshots.get(self.context, whole_id).status == status)

    def members(self, whole_id):
        """Of a group snapshot: volume id -> snapshot id."""
        return {each.volume_id: each.id
                for each in snapshots.of_group_snapshot(self.context, whole_id)}

    def host(self, group_id):
        return groups.get(self.context, group_id).host

    def volumes(self, group_id):
        return [self.cloud.row(volume_id)
                for volume_id, _status in groups.members(self.context, group_id)]

    def from_snapshot(self, whole_id):
        return group_requests.create_from_snapshot(
            self.context, group_snapshots.get(self.context, whole_id),
            {'project_id': 'project', 'user_id': 'user', 'name': 'copy'})

    def from_group(self, group_id):
        return group_requests.create_from_group(
            self.context, group_id, {'project_id': 'project', 'user_id': 'user', 'name': 'copy'})

    def is_gone(self, get, identity):
        try:
            get(self.context, identity)
        except exceptions.NotFound:
            return True
        return False


@pytest.fixture
def work(cloud):
    return Groups(cloud)


@pytest.fixture
def on_xfs(make_cloud, tmp_path):
    """Groups on a backend whose files share blocks; the type ``alpha`` is there."""
    if os.geteuid() != 0:
        pytest.skip('mounting an XFS needs root')
    place = tmp_path / 'medium'
    place.mkdir()
    with media.mounted_xfs(place) as point:
        (tmp_path / 'alpha').symlink_to(point)
        cloud = make_cloud()
        cloud.start()
        yield Groups(cloud)
        cloud.close()


def _two(work, **more):
    """A group with two volumes that hold their number."""
    group_id = work.group(**more)
    members = [work.member(group_id) for _ in range(2)]
    for number, volume_id in enumerate(members):
        work.cloud.write(volume_id, 4096, b'content %d' % number)
    return group_id, members


def _content(work, path):
    return work.cloud.read(path, 4096, 9)


def _files(work):
    return sorted(path.name for path in (work.cloud.directory / 'alpha').rglob('*')
                  if path.is_file())


def test_a_group_is_placed_on_the_backend_that_fits_its_types(work):
    group_id = work.group(types=('beta',))
    assert work.host(group_id) == 'node@beta#beta'
    assert groups.get(work.context, group_id).availability_zone == 'nova'


def test_a_group_whose_types_no_backend_has_all_is_in_error_and_its_owner_is_told(work):
    group_id = work.group('error', types=('alpha', 'beta'))
    assert work.host(group_id) is None
    ((action, detail, text),) = work.cloud.told(group_id)
    assert (action, detail) == (words.CREATE_GROUP, words.NO_BACKEND_AVAILABLE)
    assert 'the volume type asks for alpha' in text


def test_a_volume_in_a_group_goes_to_the_backend_of_the_group(work):
    group_id = work.group()
    volume_id = work.member(group_id)
    assert work.cloud.row(volume_id).host == work.host(group_id)


def test_a_group_snapshot_has_a_snapshot_of_every_volume(work):
    group_id, members = _two(work)
    _whole_id, taken = work.snapshot(group_id)
    for volume_id in members:
        work.cloud.write(volume_id, 4096, b'changed! ')
    assert [_content(work, work.cloud.path(taken[volume_id], kind='snapshot'))
            for volume_id in members] == [b'content 0', b'content 1']
    assert all(snapshots.get(work.context, each).status == 'available' for each in taken.values())


def test_an_empty_group_has_an_empty_snapshot(work):
    _whole_id, taken = work.snapshot(work.group())
    assert taken == {}


def test_a_deleted_group_snapshot_leaves_no_file_and_no_row(work):
    group_id, members = _two(work)
    whole_id, taken = work.snapshot(group_id)
    host = group_snapshots.begin_delete(work.context, whole_id)
    work.cloud.volume_api.delete_group_snapshot(work.context, host, whole_id)
    work.cloud.until(lambda: work.is_gone(group_snapshots.get, whole_id))
    assert all(work.is_gone(snapshots.get, each) for each in taken.values())
    assert _files(work) == sorted(f'volume-{volume_id}.raw' for volume_id in members)


def test_a_group_snapshot_fails_with_one_of_its_members(work):
    group_id, members = _two(work)
    work.cloud.path(members[1]).unlink()
    whole_id, taken = work.snapshot(group_id, 'error')
    assert snapshots.get(work.context, taken[members[1]]).status == 'error'
    assert work.cloud.told(whole_id) == [
        (words.CREATE_GROUP_SNAPSHOT, words.GROUP_SNAPSHOT_NOT_MADE, None)]


def test_a_deleted_group_takes_its_volumes_along(work):
    group_id, members = _two(work)
    group_requests.begin_delete(work.context, group_id, delete_volumes=True)
    work.cloud.volume_api.delete_group(work.context, 'node@alpha#alpha', group_id)
    work.cloud.until(lambda: work.is_gone(groups.get, group_id))
    assert all(work.is_gone(volumes.get, volume_id) for volume_id in members)
    assert _files(work) == []


def test_a_group_from_a_group_snapshot_has_its_content(work):
    group_id, members = _two(work)
    whole_id, taken = work.snapshot(group_id)
    for volume_id in members:
        work.cloud.write(volume_id, 4096, b'changed! ')
    copy = work.from_snapshot(whole_id)
    work.cloud.volume_api.create_group(work.context, copy.host, copy.id)
    work.becomes(copy.id, 'available')
    made = {row.snapshot_id: row for row in work.volumes(copy.id)}
    assert [_content(work, work.cloud.path(made[taken[volume_id]].id)) for volume_id in members] == [
        b'content 0', b'content 1']
    assert {row.status for row in made.values()} == {'available'}


def test_a_group_from_a_group_has_its_content(work):
    group_id, members = _two(work)
    copy = work.from_group(group_id)
    work.cloud.volume_api.create_group(work.context, copy.host, copy.id)
    work.becomes(copy.id, 'available')
    made = {row.source_volid: row for row in work.volumes(copy.id)}
    assert [_content(work, work.cloud.path(made[volume_id].id)) for volume_id in members] == [
        b'content 0', b'content 1']


def test_a_group_from_a_source_that_the_backend_lost_is_in_error_with_all_its_volumes(work):
    group_id, members = _two(work)
    work.cloud.path(members[1]).unlink()
    copy = work.from_group(group_id)
    work.cloud.volume_api.create_group(work.context, copy.host, copy.id)
    work.becomes(copy.id, 'error')
    assert [row.status for row in work.volumes(copy.id)] == ['error', 'error']
    assert work.cloud.told(copy.id) == [
        (words.CREATE_GROUP, words.GROUP_MEMBERS_NOT_MADE, None)]
    group_requests.begin_delete(work.context, copy.id, delete_volumes=True)
    work.cloud.volume_api.delete_group(work.context, copy.host, copy.id)
    work.cloud.until(lambda: work.is_gone(groups.get, copy.id))
    assert _files(work) == [f'volume-{members[0]}.raw']


def test_a_consistent_group_is_not_placed_where_no_moment_can_be_kept(work):
    group_id = work.group('error', group_type_id=work.group_type(CONSISTENT, 'consistent'))
    assert 'consistent_group_snapshot_enabled' in work.cloud.told(group_id)[0][2]


def test_a_consistent_group_snapshot_is_taken_where_blocks_are_shared(on_xfs):
    group_id, members = _two(on_xfs, group_type_id=on_xfs.group_type(CONSISTENT, 'consistent'))
    whole_id, taken = on_xfs.snapshot(group_id)
    assert [_content(on_xfs, on_xfs.cloud.path(taken[volume_id], kind='snapshot'))
            for volume_id in members] == [b'content 0', b'content 1']
    rows = [snapshots.get(on_xfs.context, each) for each in taken.values()]
    assert {(row.status, row.progress) for row in rows} == {('available', '100%')}
    assert not list((on_xfs.cloud.directory / 'alpha' / 'snapshots').glob('*.partial'))
    assert group_snapshots.get(on_xfs.context, whole_id).status == 'available'


def test_a_consistent_group_snapshot_that_lacks_a_volume_leaves_nothing(on_xfs):
    group_id, members = _two(on_xfs, group_type_id=on_xfs.group_type(CONSISTENT, 'consistent'))
    on_xfs.cloud.path(members[1]).unlink()
    _whole_id, taken = on_xfs.snapshot(group_id, 'error')
    assert {snapshots.get(on_xfs.context, each).status for each in taken.values()} == {'error'}
    assert list((on_xfs.cloud.directory / 'alpha' / 'snapshots').iterdir()) == []


def test_what_was_recorded_is_done_at_the_next_start(work):
    """Every message is lost: a group, a group snapshot, a copy of it, and two removals."""
    group_id, _members = _two(work)
    old_id, _taken = work.snapshot(group_id)
    doomed_id = work.group(group_type_id=work.group_type(name='other'))
    work.cloud.stop()
    new_id = work.record(group_types.get_by_name(work.context, 'plain').id)
    whole_id = work.record_snapshot(group_id)
    copy = work.from_group(group_id)
    group_requests.begin_delete(work.context, doomed_id)
    group_snapshots.begin_delete(work.context, old_id)
    work.cloud.start()
    work.becomes(new_id, 'available')
    work.snapshot_becomes(whole_id, 'available')
    work.becomes(copy.id, 'available')
    work.cloud.until(lambda: work.is_gone(groups.get, doomed_id))
    work.cloud.until(lambda: work.is_gone(group_snapshots.get, old_id))
    assert [_content(work, work.cloud.path(row.id)) for row in work.volumes(copy.id)] == [
        b'content 0', b'content 1']


def test_a_status_that_was_set_by_hand_removes_nothing(work):
    group_id, members = _two(work)
    groups.reset_status(work.context, group_id, 'deleting')
    work.cloud.volume_api.delete_group(work.context, 'node@alpha#alpha', group_id)
    work.becomes(group_id, 'error')
    assert {row.status for row in work.volumes(group_id)} == {'available'}
    assert len(_files(work)) == len(members)


def test_repeated_messages_change_nothing(work):
    group_id, members = _two(work)
    whole_id, taken = work.snapshot(group_id)
    host = work.host(group_id)
    for _ in range(3):
        work.cloud.scheduler_api.create_group(work.context, group_id)
        work.cloud.volume_api.create_group(work.context, host, group_id)
        work.cloud.volume_api.delete_group(work.context, host, group_id)
        work.cloud.volume_api.create_group_snapshot(work.context, host, whole_id)
        work.cloud.volume_api.delete_group_snapshot(work.context, host, whole_id)
    # A later request of the same server is done after what it was given before has begun.
    assert work.member(group_id)
    assert groups.get(work.context, group_id).status == 'available'
    assert group_snapshots.get(work.context, whole_id).status == 'available'
    assert work.members(whole_id) == taken
    assert set(members) <= {row.id for row in work.volumes(group_id)}
