"""Snapshots in the database."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import snapshots, transition, volume_migrations, volume_requests, volumes
from cinder_ext.states import snapshot as states


@pytest.fixture
def volume_id(make_volume):
    return make_volume(size=3)


def _available(ctxt, volume_id, **values):
    snapshot = snapshots.create(ctxt, {'volume_id': volume_id, **values})
    transition.move(ctxt, states.MACHINE, snapshot.id, 'created')
    return snapshot.id


def test_a_snapshot_takes_size_and_owner_from_its_volume(volume_id, ctxt):
    snapshot = snapshots.create(ctxt, {'volume_id': volume_id, 'name': 's'}, {'k': 'v'})
    found = snapshots.get(ctxt, snapshot.id, 'project')
    assert (found.size, found.project_id, found.status, found.name) == (3, 'project', 'creating', 's')
    assert snapshots.metadata(ctxt, snapshot.id) == {'k': 'v'}


def test_a_snapshot_of_an_unknown_volume_is_not_found(database, ctxt):
    with pytest.raises(exceptions.VolumeNotFound):
        snapshots.create(ctxt, {'volume_id': 'none'})


def test_an_attached_volume_is_snapshotted_only_by_force(make_volume, ctxt):
    volume_id = make_volume(status='in-use')
    with pytest.raises(exceptions.InvalidState, match='in-use'):
        snapshots.create(ctxt, {'volume_id': volume_id})
    assert snapshots.create(ctxt, {'volume_id': volume_id}, force=True).status == 'creating'


def test_a_volume_in_error_is_not_snapshotted_even_by_force(make_volume, ctxt):
    with pytest.raises(exceptions.InvalidState):
        snapshots.create(ctxt, {'volume_id': make_volume(status='error')}, force=True)


def test_a_migrating_volume_is_not_snapshotted_and_the_migration_is_named(volume_id, ctxt):
    record = volume_migrations.start(ctxt, volume_id, {'operation': 'migrate'}, None)
    with pytest.raises(exceptions.MigrationActive, match=record.id):
        snapshots.create(ctxt, {'volume_id': volume_id})
    assert snapshots.of_volume(ctxt, volume_id) == []


def test_a_snapshot_of_a_migrating_volume_is_not_deleted(volume_id, ctxt):
    snapshot_id = _available(ctxt, volume_id)
    volume_migrations.start(ctxt, volume_id, {'operation': 'migrate'}, None)
    for force in (False, True):
        with pytest.raises(exceptions.MigrationActive):
            snapshots.begin_delete(ctxt, snapshot_id, force)
    assert snapshots.get(ctxt, snapshot_id).status == 'available'


def test_another_project_does_not_find_it(volume_id, ctxt):
    with pytest.raises(exceptions.SnapshotNotFound):
        snapshots.get(ctxt, _available(ctxt, volume_id), 'another')


def test_delete_begins_and_a_second_one_is_refused(volume_id, ctxt):
    snapshot_id = _available(ctxt, volume_id)
    snapshots.begin_delete(ctxt, snapshot_id)
    assert snapshots.get(ctxt, snapshot_id).status == 'deleting'
    with pytest.raises(exceptions.InvalidState, match='its status is deleting'):
        snapshots.begin_delete(ctxt, snapshot_id)


def test_force_deletes_whatever_its_status(volume_id, ctxt):
    snapshot = snapshots.create(ctxt, {'volume_id': volume_id})
    snapshots.begin_delete(ctxt, snapshot.id, force=True)
    assert snapshots.get(ctxt, snapshot.id).status == 'deleting'


def test_a_snapshot_that_a_volume_is_being_made_from_stays(volume_id, make_volume, ctxt):
    snapshot_id = _available(ctxt, volume_id)
    child = make_volume(status='creating', snapshot_id=snapshot_id)
    with pytest.raises(exceptions.InvalidState, match=child):
        snapshots.begin_delete(ctxt, snapshot_id)


def test_a_member_of_a_group_snapshot_stays(volume_id, ctxt):
    snapshot_id = _available(ctxt, volume_id, group_snapshot_id='group')
    with pytest.raises(exceptions.InvalidState, match='group snapshot'):
        snapshots.begin_delete(ctxt, snapshot_id)


def test_a_removed_snapshot_is_found_no_more_and_its_metadata_goes(volume_id, ctxt):
    snapshot = snapshots.create(ctxt, {'volume_id': volume_id}, {'k': 'v'})
    snapshots.mark_deleted(ctxt, snapshot.id)
    snapshots.mark_deleted(ctxt, snapshot.id)
    with pytest.raises(exceptions.SnapshotNotFound):
        snapshots.get(ctxt, snapshot.id)
    assert snapshots.metadata(ctxt, snapshot.id) == {}
    assert snapshots.count_of_volume(ctxt, volume_id) == 0


def test_snapshots_of_a_volume_come_oldest_first(volume_id, ctxt):
    made = [_available(ctxt, volume_id) for _ in range(4)]
    assert [each.id for each in snapshots.of_volume(ctxt, volume_id)] == made
    assert snapshots.count_of_volume(ctxt, volume_id) == 4


def test_unfinished_names_only_open_work_of_the_backend(volume_id, make_volume, ctxt):
    _available(ctxt, volume_id)
    creating = snapshots.create(ctxt, {'volume_id': volume_id}).id
    deleting = _available(ctxt, volume_id)
    snapshots.begin_delete(ctxt, deleting)
    snapshots.create(ctxt, {'volume_id': make_volume(host='node@alphabet#alpha')})
    assert snapshots.unfinished(ctxt, 'node@alpha') == [(creating, 'creating'), (deleting, 'deleting')]


def test_an_underscore_in_a_host_matches_only_itself(make_volume, ctxt):
    snapshots.create(ctxt, {'volume_id': make_volume(host='node@a-b#pool')})
    assert snapshots.unfinished(ctxt, 'node@a_b') == []


def test_metadata_is_added_changed_replaced_and_removed(volume_id, ctxt):
    snapshot_id = snapshots.create(ctxt, {'volume_id': volume_id}, {'a': '1', 'b': '2'}).id
    assert snapshots.set_metadata(ctxt, snapshot_id, {'b': '3', 'c': '4'}) == {
        'a': '1', 'b': '3', 'c': '4'}
    assert snapshots.set_metadata(ctxt, snapshot_id, {'c': '5'}, replace=True) == {'c': '5'}
    snapshots.delete_metadata(ctxt, snapshot_id, 'c')
    assert snapshots.metadata(ctxt, snapshot_id) == {}
    with pytest.raises(exceptions.MetadataNotFound):
        snapshots.delete_metadata(ctxt, snapshot_id, 'c')
    with pytest.raises(exceptions.SnapshotNotFound):
        snapshots.set_metadata(ctxt, 'none', {'c': '5'})


def test_an_update_leaves_the_volume_free_to_be_held(volume_id, ctxt):
    snapshot_id = _available(ctxt, volume_id)
    snapshots.update(ctxt, snapshot_id, {'name': 'new', 'provider_location': 'where'})
    volumes.hold(ctxt, volume_id, 'be held', ('available',))
    assert snapshots.get(ctxt, snapshot_id).name == 'new'


@pytest.mark.parametrize(('current', 'reported', 'after'), [
    ('creating', 'creating', 'creating'),
    ('creating', 'available', 'available'),
    ('creating', 'error', 'error'),
    ('deleting', 'deleting', 'deleting'),
    ('deleting', 'error_deleting', 'error_deleting'),
])
def test_a_report_that_fits_is_taken_with_its_progress(volume_id, ctxt, current, reported, after):
    snapshot_id = snapshots.create(ctxt, {'volume_id': volume_id}).id
    volume_requests.reset_snapshot_status(ctxt, snapshot_id, current)
    snapshots.report(ctxt, snapshot_id, reported, '70%')
    found = snapshots.get(ctxt, snapshot_id)
    assert (found.status, found.progress) == (after, '70%')


@pytest.mark.parametrize(('current', 'reported'), [
    ('creating', 'deleting'), ('creating', 'error_deleting'), ('deleting', 'available'),
    ('deleting', 'error'), ('available', 'available'), ('error', 'available'),
    ('error_deleting', 'deleting')])
def test_a_report_that_does_not_fit_is_refused(volume_id, ctxt, current, reported):
    snapshot_id = snapshots.create(ctxt, {'volume_id': volume_id}).id
    volume_requests.reset_snapshot_status(ctxt, snapshot_id, current)
    with pytest.raises(exceptions.InvalidState, match=current):
        snapshots.report(ctxt, snapshot_id, reported)
    assert snapshots.get(ctxt, snapshot_id).status == current
