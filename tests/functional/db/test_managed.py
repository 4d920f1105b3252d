"""Volumes and snapshots that are managed and let go, in the database."""
# SPDX-License-Identifier: Apache-2.0

import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    managed,
    snapshots,
    transition,
    volume_migrations,
    volume_requests,
    volumes,
)
from cinder_ext.states import volume as states

REFERENCE = {'source-name': 'mine'}


def _managing(ctxt, **values):
    return managed.create_volume(ctxt, {'project_id': 'project', 'user_id': 'user', **values}, None,
                                 'node@alpha', REFERENCE).id


def test_a_volume_to_be_managed_waits_for_its_pool_and_gets_it_once(database, ctxt):
    volume_id = _managing(ctxt)
    assert managed.waiting(ctxt) == [volume_id]
    assert managed.place(ctxt, volume_id, 'node@alpha#pool')
    assert not managed.place(ctxt, volume_id, 'node@alpha#other')
    assert managed.waiting(ctxt) == []
    assert managed.unfinished_volumes(ctxt, 'node@alpha') == [volume_id]
    assert managed.unfinished_volumes(ctxt, 'node@ALPHA') == []
    assert volumes.unfinished(ctxt, 'node@alpha') == volumes.unfinished(ctxt, None) == []
    row = volumes.get(ctxt, volume_id)
    assert (row.size, row.status, row.request['reference']) == (0, 'managing', REFERENCE)


def test_a_size_is_taken_only_while_it_is_managed(ctxt, make_volume):
    available, managing = make_volume(), _managing(ctxt)
    for volume_id in (available, managing):
        managed.measure(ctxt, volume_id, 7)
    assert [volumes.get(ctxt, each).size for each in (available, managing)] == [1, 7]


def test_only_what_could_not_be_managed_is_forgotten(ctxt, make_volume):
    with pytest.raises(exceptions.InvalidState):
        managed.forget(ctxt, make_volume())
    volume_id = _managing(ctxt)
    transition.move(ctxt, states.MACHINE, volume_id, 'manage-failed')
    managed.forget(ctxt, volume_id)
    with pytest.raises(exceptions.VolumeNotFound):
        volumes.get(ctxt, volume_id)


def test_a_volume_that_no_backend_has_is_let_go_at_once(ctxt, make_volume):
    volume_id = make_volume(host=None, status='error')
    managed.begin_unmanage(ctxt, volume_id)
    with pytest.raises(exceptions.VolumeNotFound):
        volumes.get(ctxt, volume_id)


@pytest.mark.parametrize('columns', [
    {'status': 'in-use'}, {'status': 'creating'}, {'status': 'deleting'},
    {'group_id': 'g' * 36}, {'encryption_key_id': 'k' * 36},
    {'migration_status': 'migrating'}], ids=lambda columns: next(iter(columns.items()))[0])
def test_a_volume_that_is_busy_or_bound_is_not_let_go(ctxt, make_volume, columns):
    volume_id = make_volume(**columns)
    with pytest.raises((exceptions.InvalidState, exceptions.MigrationActive)):
        managed.begin_unmanage(ctxt, volume_id)
    assert volumes.get(ctxt, volume_id).status == columns.get('status', 'available')


def test_a_volume_with_an_attachment_or_a_clone_is_not_let_go(ctxt, make_volume):
    attached, source = make_volume(), make_volume()
    attachments.reserve(ctxt, attached)
    volume_requests.reset_status(ctxt, attached, 'available')
    make_volume(status='creating', source_volid=source)
    for volume_id in (attached, source):
        with pytest.raises(exceptions.InvalidState):
            managed.begin_unmanage(ctxt, volume_id)


def test_a_snapshot_to_be_managed_is_no_work_of_those_that_make_snapshots(ctxt, make_volume):
    volume_id = make_volume()
    made = snapshots.create(ctxt, {'volume_id': volume_id}).id
    found = managed.create_snapshot(ctxt, {'volume_id': volume_id}, {'a': 'b'}, REFERENCE).id
    assert snapshots.unfinished(ctxt, 'node@alpha') == [(made, 'creating')]
    assert managed.unfinished_snapshots(ctxt, 'node@alpha') == [found]
    assert snapshots.metadata(ctxt, found) == {'a': 'b'}


def test_a_snapshot_is_let_go_once_and_keeps_migrations_away(ctxt, make_volume):
    volume_id = make_volume()
    snapshot_id = snapshots.create(ctxt, {'volume_id': volume_id}).id
    with pytest.raises(exceptions.InvalidState, match='creating'):
        managed.begin_unmanage_snapshot(ctxt, snapshot_id)
    volume_requests.reset_snapshot_status(ctxt, snapshot_id, 'available')
    managed.begin_unmanage_snapshot(ctxt, snapshot_id)
    with pytest.raises(exceptions.InvalidState):
        managed.begin_unmanage_snapshot(ctxt, snapshot_id)
    with pytest.raises(exceptions.InvalidState, match='unmanaging'):
        volume_migrations.start(ctxt, volume_id, {'operation': 'retype'}, 'retype')
    assert managed.unfinished_snapshots(ctxt, 'node@alpha') == [snapshot_id]


def test_a_snapshot_of_a_group_snapshot_is_not_let_go(ctxt, make_volume):
    snapshot_id = snapshots.create(ctxt, {'volume_id': make_volume(),
                                          'group_snapshot_id': str(uuid.uuid4())}).id
    volume_requests.reset_snapshot_status(ctxt, snapshot_id, 'available')
    with pytest.raises(exceptions.InvalidState, match='group'):
        managed.begin_unmanage_snapshot(ctxt, snapshot_id)


def test_names_have_owners_by_id_by_name_id_and_by_migration(ctxt, make_volume):
    name_id = str(uuid.uuid4())
    plain, renamed, gone = make_volume(), make_volume(name_id=name_id), make_volume()
    volumes.mark_deleted(ctxt, gone)
    record = volume_migrations.start(ctxt, plain, {'operation': 'retype'}, 'retype')
    new_name = record.destination_name_id
    found = managed.owners(ctxt, 'volume', [plain, renamed, name_id, gone, new_name])
    assert found == {plain: plain, name_id: renamed, new_name: plain}
    assert managed.managed_id(ctxt, new_name) == plain
    assert managed.managed_id(ctxt, gone) is None


def test_snapshots_own_their_names_and_those_of_their_links(ctxt, make_volume):
    volume_id, other = make_volume(), str(uuid.uuid4())
    snapshot_id = snapshots.create(ctxt, {'volume_id': volume_id}).id
    volume_requests.reset_snapshot_status(ctxt, snapshot_id, 'available')
    record = volume_migrations.start(ctxt, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    _planned(ctxt, record, snapshot_id, other)
    assert managed.owners(ctxt, 'snapshot', [snapshot_id, other, volume_id]) == {
        snapshot_id: snapshot_id, other: snapshot_id}
    assert managed.volumes_of_snapshots(ctxt, [snapshot_id]) == {snapshot_id: volume_id}


def test_what_a_migration_has_yet_to_remove_is_not_to_be_had(ctxt, make_volume):
    """A temporary volume while it is read, and what a failed migration left: it will be removed."""
    temporary, left, kept = (str(uuid.uuid4()) for _ in range(3))
    volume_id = make_volume()
    record = volume_migrations.start(ctxt, volume_id, {'operation': 'retype'}, 'retype')
    for name_id, more in ((temporary, {'temporary': True}), (left, {}),
                          (kept, {'acknowledged': True})):
        volume_migrations.note_leftover(ctxt, record.id, {
            'host': 'node@alpha#alpha', 'kind': 'volume', 'name_id': name_id, 'size_bytes': 1,
            'reason': 'it is used', **more})
    wanted = [temporary, left, kept]
    assert managed.owners(ctxt, 'volume', wanted) == {temporary: volume_id, left: volume_id}
    assert managed.owners(ctxt, 'snapshot', wanted) == {}
    volume_migrations.fail(ctxt, record.id, 'fail', 'it', 'code', 'none')
    assert managed.owners(ctxt, 'volume', wanted) == {temporary: volume_id, left: volume_id}
    volume_migrations.drop_leftover(ctxt, record.id, {
        'host': 'node@alpha#alpha', 'kind': 'volume', 'name_id': left})
    assert managed.owners(ctxt, 'volume', wanted) == {temporary: volume_id}


def _planned(ctxt, record, snapshot_id, destination_name_id):
    transition.move(ctxt, volume_migrations.states.MACHINE, record.id, 'schedule')
    volume_migrations.save_plan(ctxt, record.id, [
        {'snapshot_id': snapshot_id, 'size_bytes': 1, 'source_name_id': snapshot_id,
         'destination_name_id': destination_name_id}], {})
