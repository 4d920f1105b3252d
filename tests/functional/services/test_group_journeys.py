"""Groups and their snapshots from the recorded row to the files and back."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.db import (
    group_requests,
    group_snapshots,
    group_types,
    groups,
    snapshots,
    volumes,
)
from cinder_ext.states import messages as words


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
    group_id, members = work.two()
    _whole_id, taken = work.snapshot(group_id)
    for volume_id in members:
        work.cloud.write(volume_id, 4096, b'changed! ')
    assert [work.content(taken[volume_id], 'snapshot')
            for volume_id in members] == [b'content 0', b'content 1']
    assert all(snapshots.get(work.context, each).status == 'available' for each in taken.values())


def test_an_empty_group_has_an_empty_snapshot(work):
    _whole_id, taken = work.snapshot(work.group())
    assert taken == {}


def test_a_deleted_group_snapshot_leaves_no_file_and_no_row(work):
    group_id, members = work.two()
    whole_id, taken = work.snapshot(group_id)
    host = group_snapshots.begin_delete(work.context, whole_id)
    work.cloud.volume_api.delete_group_snapshot(work.context, host, whole_id)
    work.cloud.until(lambda: work.is_gone(group_snapshots.get, whole_id))
    assert all(work.is_gone(snapshots.get, each) for each in taken.values())
    assert _files(work) == sorted(f'volume-{volume_id}.raw' for volume_id in members)


def test_a_group_snapshot_fails_with_one_of_its_members(work):
    group_id, members = work.two()
    work.cloud.path(members[1]).unlink()
    whole_id, taken = work.snapshot(group_id, 'error')
    assert snapshots.get(work.context, taken[members[1]]).status == 'error'
    assert work.cloud.told(whole_id) == [
        (words.CREATE_GROUP_SNAPSHOT, words.GROUP_SNAPSHOT_NOT_MADE, None)]


def test_a_deleted_group_takes_its_volumes_along(work):
    group_id, members = work.two()
    group_requests.begin_delete(work.context, group_id, delete_volumes=True)
    work.cloud.volume_api.delete_group(work.context, 'node@alpha#alpha', group_id)
    work.cloud.until(lambda: work.is_gone(groups.get, group_id))
    assert all(work.is_gone(volumes.get, volume_id) for volume_id in members)
    assert _files(work) == []


def test_a_group_from_a_group_snapshot_has_its_content(work):
    group_id, members = work.two()
    whole_id, taken = work.snapshot(group_id)
    for volume_id in members:
        work.cloud.write(volume_id, 4096, b'changed! ')
    copy = work.from_snapshot(whole_id)
    work.cloud.volume_api.create_group(work.context, copy.host, copy.id)
    work.becomes(copy.id, 'available')
    made = {row.snapshot_id: row for row in work.volumes(copy.id)}
    assert [work.content(made[taken[volume_id]].id) for volume_id in members] == [
        b'content 0', b'content 1']
    assert {row.status for row in made.values()} == {'available'}


def test_a_group_from_a_group_has_its_content(work):
    group_id, members = work.two()
    copy = work.from_group(group_id)
    work.cloud.volume_api.create_group(work.context, copy.host, copy.id)
    work.becomes(copy.id, 'available')
    made = {row.source_volid: row for row in work.volumes(copy.id)}
    assert [work.content(made[volume_id].id) for volume_id in members] == [
        b'content 0', b'content 1']


def test_a_group_from_a_source_that_the_backend_lost_is_in_error_with_all_its_volumes(work):
    group_id, members = work.two()
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
    group_id = work.group('error', group_type_id=work.group_type(work.CONSISTENT, 'consistent'))
    assert 'consistent_group_snapshot_enabled' in work.cloud.told(group_id)[0][2]


def test_a_consistent_group_snapshot_is_taken_where_blocks_are_shared(on_xfs):
    group_id, members = on_xfs.two(group_type_id=on_xfs.group_type(on_xfs.CONSISTENT, 'consistent'))
    whole_id, taken = on_xfs.snapshot(group_id)
    assert [on_xfs.content(taken[volume_id], 'snapshot')
            for volume_id in members] == [b'content 0', b'content 1']
    rows = [snapshots.get(on_xfs.context, each) for each in taken.values()]
    assert {(row.status, row.progress) for row in rows} == {('available', '100%')}
    assert not list((on_xfs.cloud.directory / 'alpha' / 'snapshots').glob('*.partial'))
    assert group_snapshots.get(on_xfs.context, whole_id).status == 'available'


def test_a_consistent_group_snapshot_that_lacks_a_volume_leaves_nothing(on_xfs):
    group_id, members = on_xfs.two(group_type_id=on_xfs.group_type(on_xfs.CONSISTENT, 'consistent'))
    on_xfs.cloud.path(members[1]).unlink()
    _whole_id, taken = on_xfs.snapshot(group_id, 'error')
    assert {snapshots.get(on_xfs.context, each).status for each in taken.values()} == {'error'}
    assert list((on_xfs.cloud.directory / 'alpha' / 'snapshots').iterdir()) == []


def test_what_was_recorded_is_done_at_the_next_start(work):
    """Every message is lost: a group, a group snapshot, a copy of it, and two removals."""
    group_id, _members = work.two()
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
    assert [work.content(row.id) for row in work.volumes(copy.id)] == [
        b'content 0', b'content 1']


def test_a_status_that_was_set_by_hand_removes_nothing(work):
    group_id, members = work.two()
    groups.reset_status(work.context, group_id, 'deleting')
    work.cloud.volume_api.delete_group(work.context, 'node@alpha#alpha', group_id)
    work.becomes(group_id, 'error')
    assert {row.status for row in work.volumes(group_id)} == {'available'}
    assert len(_files(work)) == len(members)


def test_repeated_messages_change_nothing(work):
    group_id, members = work.two()
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
