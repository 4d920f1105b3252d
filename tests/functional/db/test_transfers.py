"""Transfers: what goes to the new project, what is refused, and who wins a race."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    models,
    quotas,
    session,
    snapshots,
    transfers,
    transition,
    type_models,
    volume_migrations,
    volume_requests,
    volume_types,
    volumes,
)
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as states

KEYS = {'name': None, 'no_snapshots': False, 'salt': 'salt', 'key_hash': 'hash'}


@pytest.fixture
def taker():
    return contexts.RequestContext(user_id='taker', project_id='elsewhere', roles=['member'],
                                   overwrite=False)


@pytest.fixture
def volume_id(make_volume):
    return make_volume(size=2)


def _snapshot(ctxt, volume_id):
    made = snapshots.create(ctxt, {'volume_id': volume_id})
    transition.move(ctxt, snapshot_states.MACHINE, made.id, 'created')
    return made.id


def _offer(ctxt, volume_id, **columns):
    return transfers.create(ctxt, volume_id, {**KEYS, **columns}).id


def _columns(model, row_id, **columns):
    """Set what no request of this room sets."""
    @session.writer
    def change(context):
        for name, value in columns.items():
            setattr(context.session.get(model, row_id), name, value)

    change(contexts.admin_context())


def test_the_volume_and_its_snapshots_go_to_the_taker(volume_id, ctxt, taker):
    snapshot_id = _snapshot(ctxt, volume_id)
    transfer_id = _offer(ctxt, volume_id)
    assert volumes.get(ctxt, volume_id).status == 'awaiting-transfer'
    transfers.accept(taker, transfer_id)
    for row in (volumes.get(ctxt, volume_id), snapshots.get(ctxt, snapshot_id)):
        assert (row.project_id, row.user_id, row.status) == ('elsewhere', 'taker', 'available')
    assert +quotas.usage(ctxt, 'project') == {}
    assert +quotas.usage(ctxt, 'elsewhere') == {'volumes': 1, 'snapshots': 1, 'gigabytes': 4}
    with pytest.raises(exceptions.TransferNotFound):
        transfers.accept(taker, transfer_id)


def test_without_snapshots_they_stay(volume_id, ctxt, taker):
    snapshot_id = _snapshot(ctxt, volume_id)
    transfers.accept(taker, _offer(ctxt, volume_id, no_snapshots=True))
    assert volumes.get(ctxt, volume_id).project_id == 'elsewhere'
    assert snapshots.get(ctxt, snapshot_id).project_id == 'project'


def test_a_withdrawn_offer_frees_the_volume(volume_id, ctxt, taker):
    transfer_id = _offer(ctxt, volume_id)
    transfers.delete(ctxt, transfer_id)
    assert volumes.get(ctxt, volume_id).status == 'available'
    for call in (transfers.delete, transfers.accept, transfers.get):
        with pytest.raises(exceptions.TransferNotFound):
            call(taker, transfer_id)


@pytest.mark.parametrize('status', ['in-use', 'creating', 'error', 'awaiting-transfer'])
def test_only_an_available_volume_is_offered(make_volume, ctxt, status):
    with pytest.raises(exceptions.InvalidState):
        _offer(ctxt, make_volume(status=status))


def test_a_migrating_volume_is_not_offered(volume_id, ctxt):
    volume_migrations.start(ctxt, volume_id, {'operation': 'migrate'}, None)
    with pytest.raises(exceptions.MigrationActive):
        _offer(ctxt, volume_id)


def test_a_volume_of_a_group_is_not_offered(make_volume, ctxt):
    volume_id = make_volume(group_id='00000000-0000-4000-8000-000000000001')
    with pytest.raises(exceptions.InvalidState, match='group'):
        _offer(ctxt, volume_id)
    assert volumes.get(ctxt, volume_id).status == 'available'


def test_a_busy_snapshot_is_in_the_way_unless_it_stays(volume_id, ctxt):
    snapshots.create(ctxt, {'volume_id': volume_id})
    with pytest.raises(exceptions.InvalidState, match='snapshot'):
        _offer(ctxt, volume_id)
    _offer(ctxt, volume_id, no_snapshots=True)


def test_an_encrypted_volume_goes_with_its_snapshots_only_and_where_that_is_known(
        volume_id, ctxt):
    _columns(models.Volume, volume_id, encryption_key_id='00000000-0000-4000-8000-000000000002')
    with pytest.raises(exceptions.InvalidState, match='3.70'):
        _offer(ctxt, volume_id)
    with pytest.raises(exceptions.InvalidState, match='snapshots'):
        transfers.create(ctxt, volume_id, {**KEYS, 'no_snapshots': True}, allow_encrypted=True)
    transfers.create(ctxt, volume_id, KEYS, allow_encrypted=True)


@pytest.mark.parametrize('limit', [{'volumes': 0}, {'snapshots': 0}, {'gigabytes': 3},
                                   {'per_volume_gigabytes': 1}], ids=lambda limit: [*limit][0])
def test_the_taker_needs_room_for_all_of_it(volume_id, ctxt, taker, limit):
    _snapshot(ctxt, volume_id)
    transfer_id = _offer(ctxt, volume_id)
    quotas.set_limits(ctxt, 'elsewhere', limit)
    with pytest.raises(exceptions.OverLimit):
        transfers.accept(taker, transfer_id)
    found = volumes.get(ctxt, volume_id)
    assert (found.project_id, found.status) == ('project', 'awaiting-transfer')
    quotas.forget_limits(ctxt, 'elsewhere')
    transfers.accept(taker, transfer_id)


def test_the_owner_may_take_it_back_with_the_key_although_the_quota_is_used_up(volume_id, ctxt):
    quotas.set_limits(ctxt, 'project', {'volumes': 1})
    transfers.accept(ctxt, _offer(ctxt, volume_id))
    assert volumes.get(ctxt, volume_id).status == 'available'


def test_the_taker_must_be_allowed_to_use_the_type(volume_id, ctxt, taker):
    secret = volume_types.create(ctxt, {'name': 'secret', 'is_public': False}).id
    _columns(models.Volume, volume_id, volume_type_id=secret)
    transfer_id = _offer(ctxt, volume_id)
    with pytest.raises(exceptions.InvalidInput, match='type'):
        transfers.accept(taker, transfer_id)

    @session.writer
    def give_access(context):
        context.session.add(type_models.VolumeTypeProject(volume_type_id=secret,
                                                          project_id='elsewhere'))

    give_access(ctxt)
    transfers.accept(taker, transfer_id)


def test_a_new_offer_voids_one_that_a_reset_left(volume_id, ctxt, taker):
    old = _offer(ctxt, volume_id)
    volume_requests.reset_status(ctxt, volume_id, 'available')
    with pytest.raises(exceptions.InvalidState):
        transfers.accept(taker, old)
    _offer(ctxt, volume_id)
    with pytest.raises(exceptions.TransferNotFound):
        transfers.accept(taker, old)


def test_a_deleted_volume_leaves_no_offer(volume_id, ctxt, taker):
    transfer_id = _offer(ctxt, volume_id)
    transition.force(ctxt, states.MACHINE, volume_id, 'deleting')
    volumes.mark_deleted(ctxt, volume_id)
    with pytest.raises(exceptions.TransferNotFound):
        transfers.get(ctxt, transfer_id)


def test_only_its_project_knows_of_it(volume_id, ctxt):
    transfer_id = _offer(ctxt, volume_id)
    assert transfers.get(ctxt, transfer_id, 'project').id == transfer_id
    with pytest.raises(exceptions.TransferNotFound):
        transfers.get(ctxt, transfer_id, 'elsewhere')


def test_of_many_takers_one_gets_it(volume_id, ctxt):
    transfer_id = _offer(ctxt, volume_id)
    barrier = threading.Barrier(10)

    def take(number):
        barrier.wait()
        try:
            transfers.accept(contexts.RequestContext(
                user_id='taker', project_id=f'project-{number}', overwrite=False), transfer_id)
        except (exceptions.InvalidState, exceptions.TransferNotFound):
            return None
        return f'project-{number}'

    with concurrent.futures.ThreadPoolExecutor(10) as threads:
        won = [each for each in threads.map(take, range(10)) if each]
    assert won == [volumes.get(ctxt, volume_id).project_id]
