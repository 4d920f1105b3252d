"""Groups in the database: who is in one, and what may begin on it."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    group_requests,
    group_snapshots,
    group_types,
    groups,
    quota_errors,
    quotas,
    services,
    snapshots,
    transition,
    volume_migrations,
    volume_requests,
    volume_types,
    volumes,
)
from cinder_ext.states import volume as volume_states

HOST = 'node@alpha#alpha'
OWNER = {'project_id': 'project', 'user_id': 'user'}


@pytest.fixture
def type_id(database, ctxt):
    return volume_types.create(ctxt, {'name': 'type'}).id


@pytest.fixture
def group_type_id(database, ctxt):
    return group_types.create(ctxt, {'name': 'plain'}).id


@pytest.fixture
def make_group(ctxt, type_id, group_type_id):
    """make_group(**columns) -> id of an available group that takes ``type_id``."""
    def make(**columns):
        group = groups.create(ctxt, {**OWNER, 'group_type_id': group_type_id, 'host': HOST,
                                     **columns}, [type_id])
        groups.created(ctxt, group.id)
        return group.id
    return make


@pytest.fixture
def group_id(make_group):
    return make_group()


@pytest.fixture
def member_id(make_volume, group_id, type_id):
    return make_volume(group_id=group_id, volume_type_id=type_id)


def _taken(ctxt, group_id):
    whole = group_snapshots.create(ctxt, group_id, {'user_id': 'user'})
    members = snapshots.of_group_snapshot(ctxt, whole.id)
    group_snapshots.created(ctxt, whole.id, {member.id: None for member in members})
    return whole.id, [member.id for member in members]


def test_a_group_of_another_project_is_not_found(group_id, ctxt):
    with pytest.raises(exceptions.GroupNotFound):
        groups.get(ctxt, group_id, 'other')


def test_types_and_volumes_of_groups_are_told_apart(make_group, make_volume, type_id, ctxt):
    first, second = make_group(), make_group()
    volume_id = make_volume(group_id=first)
    assert groups.volume_ids_of(ctxt, [first, second]) == {first: [volume_id], second: []}
    assert groups.volume_types_of(ctxt, [first, second]) == {first: [type_id], second: [type_id]}


def test_a_volume_joins_and_leaves(group_id, make_volume, type_id, ctxt):
    volume_id = make_volume(volume_type_id=type_id)
    group_requests.update(ctxt, group_id, {}, add=[volume_id])
    assert volumes.get(ctxt, volume_id).group_id == group_id
    group_requests.update(ctxt, group_id, {'name': 'n'}, remove=[volume_id])
    assert volumes.get(ctxt, volume_id).group_id is None
    assert groups.get(ctxt, group_id).name == 'n'


@pytest.mark.parametrize(('columns', 'reason'), [
    ({'host': 'node@beta#beta'}, 'not on the backend'),
    ({'volume_type_id': None}, 'volumes of its type'),
    ({'project_id': 'other'}, 'cannot be found')])
def test_what_does_not_fit_is_not_added(group_id, make_volume, type_id, ctxt, columns, reason):
    volume_id = make_volume(**{'volume_type_id': type_id, **columns})
    with pytest.raises(exceptions.InvalidInput, match=reason):
        group_requests.update(ctxt, group_id, {}, add=[volume_id])
    assert groups.members(ctxt, group_id) == []


def test_an_administrator_adds_no_volume_of_another_project(group_id, make_volume, type_id, ctxt):
    volume_id = make_volume(volume_type_id=type_id, project_id='other')
    with pytest.raises(exceptions.InvalidInput, match='another project'):
        group_requests.update(ctxt.elevated(), group_id, {}, add=[volume_id])


def test_one_that_does_not_fit_keeps_all_out(group_id, make_volume, type_id, ctxt):
    good, bad = make_volume(volume_type_id=type_id), make_volume(status='error',
                                                                volume_type_id=type_id)
    with pytest.raises(exceptions.InvalidState):
        group_requests.update(ctxt, group_id, {'name': 'new'}, add=[good, bad])
    assert volumes.get(ctxt, good).group_id is None
    assert groups.get(ctxt, group_id).name is None


def test_a_migrating_volume_is_not_added(group_id, make_volume, type_id, ctxt):
    volume_id = make_volume(volume_type_id=type_id)
    record = volume_migrations.start(ctxt, volume_id, {'operation': 'migrate'}, None)
    with pytest.raises(exceptions.MigrationActive, match=record.id):
        group_requests.update(ctxt, group_id, {}, add=[volume_id])


def test_a_member_is_neither_migrated_nor_deleted(member_id, ctxt):
    with pytest.raises(exceptions.InvalidState, match='belongs to group'):
        volume_migrations.start(ctxt, member_id, {'operation': 'retype'}, 'retype')
    for force in (False, True):
        with pytest.raises(exceptions.InvalidState, match='belongs to group'):
            volume_requests.begin_delete(ctxt, member_id, force)
    assert volumes.get(ctxt, member_id).status == 'available'


def test_what_has_left_a_group_with_a_snapshot_stays_on_its_backend(member_id, group_id, ctxt):
    _taken(ctxt, group_id)
    group_requests.update(ctxt, group_id, {}, remove=[member_id])
    with pytest.raises(exceptions.InvalidState, match='belongs to group snapshot'):
        volume_migrations.start(ctxt, member_id, {'operation': 'migrate'}, None)


def test_a_new_member_has_one_of_the_types_and_starts_where_the_group_is(
        group_id, make_volume, type_id, ctxt):
    values = {**OWNER, 'size': 1, 'group_id': group_id, 'volume_type_id': type_id}
    assert group_requests.create_volume(ctxt, None, None, values).group_id == group_id
    with pytest.raises(exceptions.InvalidInput, match='volume_type'):
        group_requests.create_volume(ctxt, None, None, {**values, 'volume_type_id': None})
    elsewhere = volumes.get(ctxt, make_volume(host='node@beta#beta'))
    with pytest.raises(exceptions.InvalidInput, match='backend'):
        group_requests.create_volume(ctxt, None, elsewhere, values)


def test_a_group_snapshot_takes_every_member_or_none(group_id, member_id, make_volume, ctxt):
    broken = make_volume(group_id=group_id, status='error')
    with pytest.raises(exceptions.InvalidState):
        group_snapshots.create(ctxt, group_id, {'user_id': 'user'})
    assert snapshots.of_volume(ctxt, member_id) == []
    group_requests.update(ctxt, group_id, {}, remove=[broken])
    _whole, members = _taken(ctxt, group_id)
    assert [snapshots.get(ctxt, each).volume_id for each in members] == [member_id]


def test_a_member_snapshot_goes_with_its_group_snapshot_only(group_id, member_id, ctxt):
    whole_id, members = _taken(ctxt, group_id)
    for force in (False, True):
        with pytest.raises(exceptions.InvalidState, match='belongs to group snapshot'):
            snapshots.begin_delete(ctxt, members[0], force)
    assert group_snapshots.begin_delete(ctxt, whole_id) == HOST
    assert snapshots.get(ctxt, members[0]).status == 'deleting'


def test_the_snapshots_of_a_group_snapshot_are_not_taken_one_by_one(group_id, member_id, ctxt):
    whole = group_snapshots.create(ctxt, group_id, {'user_id': 'user'})
    assert snapshots.unfinished(ctxt, 'node@alpha') == []
    assert group_snapshots.unfinished(ctxt, 'node@alpha') == [(whole.id, 'creating')]
    assert group_snapshots.unfinished(ctxt, 'node@alph') == []


def test_a_group_snapshot_that_a_group_is_made_from_is_not_deleted(group_id, member_id, ctxt):
    whole_id, _members = _taken(ctxt, group_id)
    whole = group_snapshots.get(ctxt, whole_id)
    group_requests.create_from_snapshot(ctxt, whole, OWNER)
    with pytest.raises(exceptions.InvalidState, match='being created from'):
        group_snapshots.begin_delete(ctxt, whole_id)


def test_a_copy_has_the_kind_and_the_place_of_its_source(group_id, member_id, type_id, ctxt):
    copy = group_requests.create_from_group(ctxt, group_id, OWNER)
    source = groups.get(ctxt, group_id)
    assert (copy.host, copy.group_type_id, copy.source_group_id) == (
        source.host, source.group_type_id, group_id)
    assert groups.volume_types_of(ctxt, [copy.id])[copy.id] == [type_id]
    ((volume_id, status),) = groups.members(ctxt, copy.id)
    row = volumes.get(ctxt, volume_id)
    assert (status, row.source_volid, row.host) == ('creating', member_id, HOST)


def test_nothing_is_made_from_an_empty_group(group_id, ctxt):
    with pytest.raises(exceptions.InvalidState, match='empty'):
        group_requests.create_from_group(ctxt, group_id, OWNER)
    whole_id, _members = _taken(ctxt, group_id)
    with pytest.raises(exceptions.InvalidState, match='empty'):
        group_requests.create_from_snapshot(ctxt, group_snapshots.get(ctxt, whole_id), OWNER)


def test_a_source_volume_that_is_busy_makes_no_group(group_id, member_id, ctxt):
    transition.force(ctxt, volume_states.MACHINE, member_id, 'error')
    with pytest.raises(exceptions.InvalidState):
        group_requests.create_from_group(ctxt, group_id, OWNER)
    assert groups.unfinished(ctxt, 'node@alpha') == []


def test_a_failed_copy_takes_all_its_volumes_to_error(group_id, member_id, ctxt):
    copy = group_requests.create_from_group(ctxt, group_id, OWNER)
    assert groups.create_failed(ctxt, copy)
    assert [status for _id, status in groups.members(ctxt, copy.id)] == ['error']
    assert volumes.get(ctxt, member_id).status == 'available'
    assert not groups.create_failed(ctxt, copy)


@pytest.mark.parametrize('delete_volumes', [True, False])
def test_a_group_with_snapshots_is_not_deleted(group_id, ctxt, delete_volumes):
    _taken(ctxt, group_id)
    with pytest.raises(exceptions.InvalidState, match='group snapshots'):
        group_requests.begin_delete(ctxt, group_id, delete_volumes)
    assert groups.get(ctxt, group_id).status == 'available'


def test_a_group_with_an_attached_volume_is_not_deleted(group_id, member_id, ctxt):
    attachments.reserve(ctxt, member_id, 'server')
    with pytest.raises(exceptions.InvalidState):
        group_requests.begin_delete(ctxt, group_id, True)
    assert groups.get(ctxt, group_id).status == 'available'


def test_a_group_in_the_making_is_deleted_with_its_volumes_only(group_id, ctxt):
    groups.reset_status(ctxt, group_id, 'creating')
    with pytest.raises(exceptions.InvalidState, match='creating'):
        group_requests.begin_delete(ctxt, group_id)
    group_requests.begin_delete(ctxt, group_id, True)
    assert groups.get(ctxt, group_id).status == 'deleting'


def test_an_unknown_group_is_not_found(database, ctxt):
    for call in (lambda: group_requests.begin_delete(ctxt, 'none'),
                 lambda: group_requests.update(ctxt, 'none', {'name': 'n'}),
                 lambda: group_snapshots.create(ctxt, 'none', {'user_id': 'user'})):
        with pytest.raises(exceptions.GroupNotFound):
            call()


def test_a_group_type_in_use_is_not_removed_and_a_removed_one_makes_no_group(
        group_id, group_type_id, ctxt):
    with pytest.raises(exceptions.InvalidState, match='in use'):
        group_types.delete(ctxt, group_type_id)
    group_requests.begin_delete(ctxt, group_id)
    groups.mark_deleted(ctxt, group_id)
    group_types.delete(ctxt, group_type_id)
    with pytest.raises(exceptions.GroupTypeNotFound):
        groups.create(ctxt, {**OWNER, 'group_type_id': group_type_id}, [])


def test_the_name_of_a_removed_group_type_is_free(group_type_id, ctxt):
    with pytest.raises(exceptions.AlreadyExists):
        group_types.create(ctxt, {'name': 'plain'})
    group_types.delete(ctxt, group_type_id)
    assert group_types.create(ctxt, {'name': 'plain'}).id != group_type_id


def test_a_volume_type_that_a_group_takes_is_not_removed(group_id, type_id, ctxt):
    with pytest.raises(exceptions.InvalidState, match='in use'):
        volume_types.delete(ctxt, type_id)
    groups.mark_deleted(ctxt, group_id)
    volume_types.delete(ctxt, type_id)


def test_a_project_has_no_more_groups_than_it_may(make_group, ctxt):
    quotas.set_limits(ctxt, 'project', {'groups': 1})
    first = make_group()
    with pytest.raises(quota_errors.GroupLimitExceeded):
        make_group()
    groups.mark_deleted(ctxt, first)
    assert make_group()


def test_a_copy_that_would_exceed_a_limit_leaves_nothing(group_id, member_id, ctxt):
    quotas.set_limits(ctxt, 'project', {'volumes': 1})
    with pytest.raises(quota_errors.VolumeLimitExceeded):
        group_requests.create_from_group(ctxt, group_id, OWNER)
    quotas.set_limits(ctxt, 'project', {'snapshots': 0})
    with pytest.raises(quota_errors.SnapshotLimitExceeded):
        group_snapshots.create(ctxt, group_id, {'user_id': 'user'})
    assert groups.unfinished(ctxt, 'node@alpha') == []
    assert group_snapshots.unfinished(ctxt, 'node@alpha') == []


def test_a_frozen_backend_keeps_its_groups_as_they_are(group_id, member_id, ctxt):
    services.heartbeat(ctxt, 'cinder-volume', 'node@alpha', 'topic', 'nova')
    whole_id, _members = _taken(ctxt, group_id)
    services.set_frozen(ctxt, 'node@alpha', True)
    for call in (lambda: group_snapshots.create(ctxt, group_id, {'user_id': 'user'}),
                 lambda: group_snapshots.begin_delete(ctxt, whole_id),
                 lambda: group_requests.begin_delete(ctxt, group_id, True),
                 lambda: group_requests.create_from_group(ctxt, group_id, OWNER)):
        with pytest.raises(exceptions.InvalidInput, match='frozen'):
            call()


@pytest.mark.parametrize('change', [
    group_requests.begin_delete,
    lambda ctxt, group_id: group_requests.update(ctxt, group_id, {'name': 'new'}),
], ids=['delete', 'update'])
def test_a_group_of_a_frozen_backend_is_not_changed(ctxt, group_id, change):
    services.heartbeat(ctxt, services.VOLUME_BINARY, 'node@alpha', 'topic', 'nova')
    services.set_frozen(ctxt, 'node@alpha', True)
    with pytest.raises(exceptions.InvalidInput, match='frozen'):
        change(ctxt, group_id)
    services.set_frozen(ctxt, 'node@alpha', False)
    change(ctxt, group_id)
