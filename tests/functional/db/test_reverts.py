"""What may be reverted, and what is left."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import messages, reverts, snapshots, transition, volume_requests, volumes
from cinder_ext.states import snapshot as states
from cinder_ext.states import volume as volume_states


def _snapshot(ctxt, volume_id):
    made = snapshots.create(ctxt, {'volume_id': volume_id})
    transition.move(ctxt, states.MACHINE, made.id, 'created')
    return made.id


def _statuses(ctxt, volume_id, snapshot_id):
    return volumes.get(ctxt, volume_id).status, snapshots.get(ctxt, snapshot_id).status


@pytest.fixture
def chain(make_volume, ctxt):
    volume_id = make_volume()
    return volume_id, [_snapshot(ctxt, volume_id) for _ in range(2)]


def test_the_latest_snapshot_is_reverted_to_and_both_are_available_again(chain, ctxt):
    volume_id, (_older, latest) = chain
    reverts.begin(ctxt, volume_id, latest)
    assert _statuses(ctxt, volume_id, latest) == ('reverting', 'restoring')
    assert reverts.unfinished(ctxt, 'node@alpha') == [volume_id]
    assert reverts.unfinished(ctxt, 'node@beta') == []
    volume, snapshot = reverts.origin(ctxt, volume_id)
    assert snapshot.id == latest
    for _ in range(2):
        reverts.done(ctxt, volume, snapshot)
    assert _statuses(ctxt, volume_id, latest) == ('available', 'available')
    assert reverts.origin(ctxt, volume_id) is None


def test_an_older_snapshot_is_refused(chain, ctxt):
    volume_id, (older, latest) = chain
    for wrong in (older, None, volume_id):
        with pytest.raises(exceptions.InvalidInput, match='not the latest'):
            reverts.begin(ctxt, volume_id, wrong)
    assert _statuses(ctxt, volume_id, latest) == ('available', 'available')


def test_a_volume_that_was_extended_is_refused(chain, ctxt):
    volume_id, (_older, latest) = chain
    volumes.update(ctxt, volume_id, {'size': 2})
    with pytest.raises(exceptions.InvalidInput, match='extended'):
        reverts.begin(ctxt, volume_id, latest)


def test_a_busy_volume_or_snapshot_is_a_conflict_and_nothing_changes(chain, ctxt):
    volume_id, (_older, latest) = chain
    volume_requests.reset_snapshot_status(ctxt, latest, 'error')
    with pytest.raises(exceptions.Conflict):
        reverts.begin(ctxt, volume_id, latest)
    assert _statuses(ctxt, volume_id, latest) == ('available', 'error')
    volume_requests.reset_snapshot_status(ctxt, latest, 'available')
    volume_requests.reset_status(ctxt, volume_id, 'maintenance')
    with pytest.raises(exceptions.Conflict):
        reverts.begin(ctxt, volume_id, latest)
    assert _statuses(ctxt, volume_id, latest) == ('maintenance', 'available')


def test_what_is_being_cloned_is_not_reverted(chain, ctxt):
    volume_id, (_older, latest) = chain
    clone = volume_requests.create_from_volume(
        ctxt, volumes.get(ctxt, volume_id), {'project_id': 'project', 'user_id': 'user', 'size': 1})
    with pytest.raises(exceptions.Conflict, match=clone.id):
        reverts.begin(ctxt, volume_id, latest)
    transition.move(ctxt, volume_states.MACHINE, clone.id, 'created')
    reverts.begin(ctxt, volume_id, latest)


def test_meanwhile_no_snapshot_is_taken_or_deleted_and_nothing_is_cloned(chain, ctxt):
    volume_id, (older, latest) = chain
    reverts.begin(ctxt, volume_id, latest)
    values = {'project_id': 'project', 'user_id': 'user', 'size': 1}
    with pytest.raises(exceptions.InvalidState):
        snapshots.create(ctxt, {'volume_id': volume_id}, force=True)
    for force in (False, True):
        for snapshot_id in (older, latest):
            with pytest.raises(exceptions.InvalidState):
                snapshots.begin_delete(ctxt, snapshot_id, force)
    with pytest.raises(exceptions.InvalidState):
        volume_requests.create_from_volume(ctxt, volumes.get(ctxt, volume_id), values)
    with pytest.raises(exceptions.InvalidState):
        volume_requests.create_from_snapshot(ctxt, snapshots.get(ctxt, latest), values)
    with pytest.raises(exceptions.InvalidState):
        volume_requests.begin_delete(ctxt, volume_id)


def test_a_failure_leaves_the_snapshot_and_tells_the_owner(chain, ctxt):
    volume_id, (_older, latest) = chain
    reverts.begin(ctxt, volume_id, latest)
    reverts.failed(ctxt, *reverts.origin(ctxt, volume_id))
    assert _statuses(ctxt, volume_id, latest) == ('error', 'available')
    (told,) = messages.list_all(ctxt, resource_uuid=volume_id)
    assert (told.action_id, told.detail_id) == ('905', '910')
