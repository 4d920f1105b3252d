"""Requests for one volume that arrive at once: what wins keeps the others out."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    attached_migrations,
    attachments,
    snapshots,
    transition,
    volume_migrations,
    volume_requests,
    volume_types,
    volumes,
)
from cinder_ext.states import migration as migration_states
from cinder_ext.states import snapshot as snapshot_states


def _race(*functions):
    """What each function returns or raises; all start together, each in a thread."""
    barrier = threading.Barrier(len(functions))

    def run(function):
        barrier.wait()
        try:
            return function(contexts.RequestContext(user_id='user', overwrite=False))
        except (exceptions.BadRequest, exceptions.Conflict) as refusal:
            return refusal

    with concurrent.futures.ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(run, functions))


def _won(results):
    return [each for each in results if not isinstance(each, exceptions.CinderExtError)]


@pytest.fixture
def volume_id(make_volume):
    return make_volume()


def _migrate(volume_id):
    return lambda ctxt: volume_migrations.start(ctxt, volume_id, {'operation': 'migrate'}, None)


def test_a_migration_and_reservations_exclude_each_other(volume_id):
    reserve = [lambda ctxt: attachments.reserve(ctxt, volume_id, 'server')] * 10
    assert len(_won(_race(_migrate(volume_id), *reserve[:9]))) >= 1
    # The same server may reserve again, so count kinds and not winners.
    kinds = {bool(attachments.of_volume(contexts.admin_context(), volume_id)),
             bool(volume_migrations.of_volumes(contexts.admin_context(), [volume_id]))}
    assert kinds == {True, False}


def test_a_migration_and_new_snapshots_exclude_each_other(volume_id, ctxt):
    create = [lambda context: snapshots.create(context, {'volume_id': volume_id})] * 10
    assert _won(_race(*create[:5], _migrate(volume_id), *create[5:]))
    migrated = bool(volume_migrations.of_volumes(ctxt, [volume_id]))
    assert migrated != bool(snapshots.of_volume(ctxt, volume_id))


def test_a_migration_and_the_removal_of_a_snapshot_exclude_each_other(volume_id, ctxt):
    snapshot = snapshots.create(ctxt, {'volume_id': volume_id})
    transition.move(ctxt, snapshot_states.MACHINE, snapshot.id, 'created')
    remove = [lambda context: snapshots.begin_delete(context, snapshot.id)] * 10
    assert len(_won(_race(*remove[:5], _migrate(volume_id), *remove[5:]))) == 1
    migrated = bool(volume_migrations.of_volumes(ctxt, [volume_id]))
    assert migrated == (snapshots.get(ctxt, snapshot.id).status == 'available')


def test_a_removal_and_reservations_exclude_each_other(volume_id, ctxt):
    results = _race(
        lambda context: volumes.begin(context, volume_id, 'delete', 'be deleted'),
        *[lambda context: attachments.reserve(context, volume_id)] * 10)
    assert len(_won(results)) == 1
    deleting = volumes.get(ctxt, volume_id).status == 'deleting'
    assert deleting != bool(attachments.of_volume(ctxt, volume_id))


def test_a_migration_and_clones_exclude_each_other(volume_id, ctxt):
    source = volumes.get(ctxt, volume_id)
    clone = [lambda context: volume_requests.create_from_volume(
        context, source, {'project_id': 'project', 'user_id': 'user', 'size': 1})] * 10
    assert _won(_race(*clone[:5], _migrate(volume_id), *clone[5:]))
    migrated = bool(volume_migrations.of_volumes(ctxt, [volume_id]))
    assert migrated != bool(volume_migrations.being_cloned(ctxt, volume_id))


def test_a_reset_never_frees_a_migrating_volume_or_its_snapshots(volume_id, ctxt):
    snapshot = snapshots.create(ctxt, {'volume_id': volume_id})
    transition.move(ctxt, snapshot_states.MACHINE, snapshot.id, 'created')
    record = volume_migrations.start(ctxt, volume_id, {'operation': 'retype'}, 'retype')
    results = _race(*[
        lambda context: volume_requests.reset_status(
            context, volume_id, 'available', {'migration_status': None}),
        lambda context: volume_requests.reset_snapshot_status(context, snapshot.id, 'deleting'),
    ] * 5)
    assert all(isinstance(each, exceptions.MigrationActive) for each in results)
    assert all(each.facts['migration_id'] == record.id for each in results)
    assert volumes.get(ctxt, volume_id).status == 'retyping'
    assert snapshots.get(ctxt, snapshot.id).status == 'available'


def test_a_reset_frees_a_volume_whose_migration_has_ended(volume_id, ctxt):
    record = volume_migrations.start(ctxt, volume_id, {'operation': 'retype'}, 'retype')
    volume_migrations.fail(ctxt, record.id, 'fail', 'it', 'code', 'none')
    volume_requests.reset_status(ctxt, volume_id, 'error', {'migration_status': None})
    found = volumes.get(ctxt, volume_id)
    assert (found.status, found.migration_status) == ('error', None)


def test_a_volume_that_was_never_made_is_not_reset_to_available(make_volume, ctxt):
    volume_id = make_volume(status='error', host=None)
    with pytest.raises(exceptions.InvalidInput):
        volume_requests.reset_status(ctxt, volume_id, 'available')
    volume_requests.reset_status(ctxt, volume_id, 'error_deleting')
    assert volumes.get(ctxt, volume_id).status == 'error_deleting'


def test_of_many_new_types_of_one_name_one_is_made(database, ctxt):
    results = _race(*[lambda context: volume_types.create(context, {'name': 'fast'})] * 10)
    assert len(_won(results)) == 1
    assert [each.name for each in volume_types.list_all(ctxt)] == ['fast']


def test_of_many_renames_to_one_name_one_is_done(database, ctxt):
    made = [volume_types.create(ctxt, {'name': f'type-{number}'}).id for number in range(8)]
    results = _race(*[
        lambda context, each=each: volume_types.update(context, each, {'name': 'fast'})
        for each in made])
    assert len(_won(results)) == 1
    assert [each.name for each in volume_types.list_all(ctxt)].count('fast') == 1


def test_a_server_moves_or_is_asked_to_swap_never_both(make_volume, ctxt):
    server = '5e7e4e7e-0000-4000-8000-000000000001'
    volume_id = make_volume()
    made = attachments.reserve(ctxt, volume_id, server).id
    attachments.connect(ctxt, made, {'host': 'one'})
    attachments.complete(ctxt, made)
    record = volume_migrations.start(ctxt, volume_id, {
        'operation': 'migrate', 'server_id': server, 'destination_host': 'node@beta#beta'}, None)
    for event in ('schedule', 'copy'):
        transition.move(ctxt, migration_states.MACHINE, record.id, event)
    results = _race(
        lambda context: attachments.reserve(context, volume_id, server),
        lambda context: attached_migrations.begin_swap(context, record.id, 0))
    assert len(_won(results)) == 1
