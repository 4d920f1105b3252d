"""Volumes that leave for another cloud, and come back, in the database."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    group_types,
    groups,
    replica_handover,
    replication_tombstones,
    snapshots,
    transition,
    volume_migrations,
    volume_types,
    volumes,
)
from cinder_ext.states import snapshot as snapshot_states

THEN = datetime.datetime(2026, 1, 2, 3, 4, 5)


def _adopted(volume_id, epoch, taken=(), **values):
    return {'values': {'id': volume_id, 'project_id': 'project', 'user_id': 'user', 'size': 1,
                       'host': 'node@alpha#alpha', 'bootable': True, **values},
            'metadata': {'a': 'b'}, 'admin_metadata': {'readonly': 'True'},
            'image_metadata': {'os': 'linux'}, 'created_at': THEN, 'epoch': epoch,
            'snapshots': [{'values': {'id': each, 'name': 's', 'size': 1}, 'metadata': {'k': 'v'},
                           'created_at': THEN} for each in taken]}


@pytest.fixture
def group(ctxt, database):
    kind = group_types.create(ctxt, {'name': 'together'}, {})
    gold = volume_types.create(ctxt, {'name': 'gold'}, {})
    made = groups.create(ctxt, {'project_id': 'project', 'user_id': 'user', 'host': 'node@alpha#alpha',
                                'group_type_id': kind.id}, [gold.id])
    groups.created(ctxt, made.id)
    return {'values': {'id': made.id, 'project_id': 'project', 'user_id': 'user',
                       'host': 'node@alpha#alpha', 'group_type_id': kind.id},
            'volume_type_ids': [gold.id]}


def _snapshot(ctxt, volume_id):
    made = snapshots.create(ctxt, {'volume_id': volume_id})
    transition.move(ctxt, snapshot_states.MACHINE, made.id, 'created')
    return made.id


def test_a_volume_leaves_with_its_snapshots_and_its_group_with_the_last_one(ctxt, make_volume, group):
    group_id = group['values']['id']
    first, last = make_volume(group_id=group_id), make_volume(group_id=group_id)
    taken = _snapshot(ctxt, first)
    replica_handover.release(ctxt, first, 2, 'b', {'name_id': first})
    assert groups.get(ctxt, group_id).status == 'available'
    with pytest.raises(exceptions.SnapshotNotFound):
        snapshots.get(ctxt, taken)
    replica_handover.release(ctxt, last, 2, 'b', {'name_id': last})
    with pytest.raises(exceptions.GroupNotFound):
        groups.get(ctxt, group_id)
    stones = replication_tombstones.latest(ctxt, [first, last])
    assert {(each.epoch, each.peer, each.project_id) for each in stones.values()} == {
        (2, 'b', 'project')}
    for volume_id in (first, last):
        with pytest.raises(exceptions.VolumeNotFound):
            volumes.get(ctxt, volume_id)


@pytest.mark.parametrize('status', ['in-use', 'creating', 'deleting', 'retyping'])
def test_a_volume_that_something_is_done_with_stays(ctxt, make_volume, status):
    volume_id = make_volume(status=status)
    with pytest.raises(exceptions.ReplicaRefused, match=f'its status is {status}'):
        replica_handover.release(ctxt, volume_id, 2, 'b', {})
    assert volumes.get(ctxt, volume_id).status == status
    assert replication_tombstones.latest(ctxt, [volume_id]) == {}


def test_a_volume_that_is_attached_stays(ctxt, make_volume):
    volume_id = make_volume()
    attachment = attachments.reserve(ctxt, volume_id, str(uuid.uuid4()))
    with pytest.raises(exceptions.ReplicaRefused, match=attachment.id):
        replica_handover.release(ctxt, volume_id, 2, 'b', {})


def test_a_volume_comes_back_under_its_old_ids(ctxt, make_volume, group):
    group_id = group['values']['id']
    volume_id = make_volume(group_id=group_id)
    taken = _snapshot(ctxt, volume_id)
    replica_handover.release(ctxt, volume_id, 2, 'b', {'name_id': volume_id})
    replica_handover.adopt(ctxt, [_adopted(volume_id, 3, [taken], group_id=group_id)], group)
    row = volumes.get(ctxt, volume_id)
    assert (row.status, row.created_at, row.group_id) == ('available', THEN, group_id)
    assert groups.get(ctxt, group_id).status == 'available'
    back, = snapshots.of_volume(ctxt, volume_id)
    assert (back.id, back.status, back.created_at) == (taken, 'available', THEN)
    assert snapshots.metadata(ctxt, taken) == {'k': 'v'}


def test_what_is_left_of_its_earlier_life_does_not_keep_its_id(ctxt, make_volume):
    volume_id = make_volume()
    record = volume_migrations.start(ctxt, volume_id, {
        'operation': 'migrate', 'destination_host': 'node@beta#beta'}, None)
    volume_migrations.fail(ctxt, record.id, 'fail', 'x', 'y', 'z')
    replica_handover.release(ctxt, volume_id, 2, 'b', {'name_id': volume_id})
    replica_handover.adopt(ctxt, [_adopted(volume_id, 3)])
    assert volumes.get(ctxt, volume_id).status == 'available'
    with pytest.raises(exceptions.MigrationNotFound):
        volume_migrations.get(ctxt, record.id)


def test_a_tombstone_blocks_its_epoch_and_earlier_ones(ctxt, make_volume):
    volume_id = make_volume()
    replica_handover.release(ctxt, volume_id, 4, 'b', {})
    for epoch in (3, 4):
        with pytest.raises(exceptions.ReplicaRefused, match='handed to cloud b at epoch 4'):
            replica_handover.adopt(ctxt, [_adopted(volume_id, epoch)])
    replica_handover.adopt(ctxt, [_adopted(volume_id, 5)])
    assert volumes.get(ctxt, volume_id).status == 'available'


def test_all_are_adopted_or_none(ctxt, make_volume):
    there, new = make_volume(), str(uuid.uuid4())
    with pytest.raises(exceptions.ReplicaRefused, match='has that id'):
        replica_handover.adopt(ctxt, [_adopted(new, 1), _adopted(there, 1)])
    with pytest.raises(exceptions.VolumeNotFound):
        volumes.get(ctxt, new)


def test_names_on_a_backend_are_found(ctxt, make_volume):
    name_id = str(uuid.uuid4())
    own, renamed = make_volume(), make_volume(name_id=name_id)
    make_volume(host='node@other#alpha', name_id=str(uuid.uuid4()))
    found = replica_handover.of_names(ctxt, 'node@alpha', {own, name_id, renamed})
    assert {name: row.id for name, row in found.items()} == {own: own, name_id: renamed}


def test_tombstones_are_put_once_and_the_latest_counts(ctxt, database):
    volume_id = str(uuid.uuid4())
    for epoch in (2, 5, 2):
        replication_tombstones.put(ctxt, volume_id, epoch, 'b')
    assert replication_tombstones.latest(ctxt, [volume_id])[volume_id].epoch == 5
