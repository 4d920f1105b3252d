"""The lease of a migration and the fence of its worker, on every database."""
# SPDX-License-Identifier: Apache-2.0

import threading

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    lease,
    messages,
    migration_copies,
    session,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.states import migration as states


@pytest.fixture
def migration_id(make_volume, ctxt):
    record = volume_migrations.start(ctxt, make_volume(), {'operation': 'retype'}, 'retype')
    transition.move(ctxt, states.MACHINE, record.id, 'schedule', {'destination_host': 'h@b#b'})
    return record.id


def standing(ctxt, migration_id):
    found, = lease.standings(ctxt, [migration_id])
    return found


def test_lease_is_taken_once_as_it_was_seen(migration_id, ctxt):
    seen = standing(ctxt, migration_id)
    assert seen == lease.Standing(migration_id, None, 0, 0)
    first = lease.take(ctxt, seen, 'one', False)
    assert (first.record_id, first.attempt) == (migration_id, 1)
    assert lease.take(ctxt, seen, 'two', False) is None
    assert standing(ctxt, migration_id) == lease.Standing(migration_id, 'one', 1, 0)
    assert volume_migrations.get(ctxt, migration_id).doubtful_attempt == 0
    assert lease.owners(ctxt) == {'one'}


def test_sign_of_the_owner_defeats_who_saw_none(migration_id, ctxt):
    fence = lease.take(ctxt, standing(ctxt, migration_id), 'one', False)
    seen = standing(ctxt, migration_id)
    assert lease.renew(ctxt, [fence]) == []
    assert lease.take(ctxt, seen, 'two', True) is None
    second = lease.take(ctxt, standing(ctxt, migration_id), 'two', True)
    assert second.attempt == 2
    assert volume_migrations.get(ctxt, migration_id).doubtful_attempt == 2
    assert lease.renew(ctxt, [fence, second]) == [fence]


def test_of_several_candidates_one_wins(migration_id, ctxt):
    seen, gate, found = standing(ctxt, migration_id), threading.Barrier(5), []

    def run(name):
        gate.wait()
        found.append(lease.take(ctxt, seen, name, True))

    threads = [threading.Thread(target=run, args=(f'candidate {number}',)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([fence for fence in found if fence is not None]) == 1
    assert standing(ctxt, migration_id).attempt == 1


def test_lease_that_was_given_back_is_free_and_a_lost_one_stays_with_its_owner(migration_id, ctxt):
    first = lease.take(ctxt, standing(ctxt, migration_id), 'one', False)
    lease.release(ctxt, first)
    assert standing(ctxt, migration_id).owner is None
    lease.take(ctxt, standing(ctxt, migration_id), 'two', False)
    lease.release(ctxt, first)
    assert standing(ctxt, migration_id).owner == 'two'


def test_every_write_is_a_sign_and_is_refused_when_another_attempt_has_begun(migration_id, ctxt):
    record = volume_migrations.get(ctxt, migration_id)
    fence = lease.take(ctxt, standing(ctxt, migration_id), 'one', False)
    mine = lease.fenced(ctxt, fence)
    volume_migrations.update(mine, migration_id, {'percent': 7})
    assert standing(ctxt, migration_id).beat == 1
    lease.take(ctxt, standing(ctxt, migration_id), 'two', True)
    before = (volume_migrations.get(ctxt, migration_id).as_dict(),
              volumes.get(ctxt, record.volume_id).as_dict())
    writes = (
        lambda: volume_migrations.update(mine, migration_id, {'percent': 99}),
        lambda: transition.move(mine, states.MACHINE, migration_id, 'copy'),
        lambda: volume_migrations.fail(mine, migration_id, 'fail', 'error', 'code', 'remedy'),
        lambda: volume_migrations.note_leftover(mine, migration_id, {
            'host': 'h', 'kind': 'volume', 'name_id': 'n'}),
        lambda: migration_copies.forget_copies(mine, migration_id),
        lambda: volumes.update(mine, record.volume_id, {'name': 'stale'}),
        lambda: messages.create(mine, 'project', None, 'VOLUME', record.volume_id, '001', '001'))
    for write in writes:
        with pytest.raises(exceptions.RecordLost):
            write()
    assert before == (volume_migrations.get(ctxt, migration_id).as_dict(),
                      volumes.get(ctxt, record.volume_id).as_dict())
    assert fence.is_lost


def test_reading_needs_no_lease(migration_id, ctxt):
    fence = lease.take(ctxt, standing(ctxt, migration_id), 'one', False)
    lease.take(ctxt, standing(ctxt, migration_id), 'two', True)
    mine = lease.fenced(ctxt, fence)
    assert volume_migrations.get(mine, migration_id).attempt == 2
    with pytest.raises(exceptions.RecordLost):
        lease.check(mine, migration_id, 1)
    lease.check(mine, migration_id, 2)


def test_fence_that_is_known_to_be_lost_asks_nobody(migration_id, ctxt):
    fence = lease.take(ctxt, standing(ctxt, migration_id), 'one', False)
    fence.lose()
    with pytest.raises(exceptions.RecordLost):
        volume_migrations.update(lease.fenced(ctxt, fence), migration_id, {'percent': 1})


def test_write_inside_of_a_transaction_is_held_by_its_fence_once(migration_id, ctxt):
    mine = lease.fenced(ctxt, lease.take(ctxt, standing(ctxt, migration_id), 'one', False))

    @session.writer
    def both(context):
        volume_migrations.update(context, migration_id, {'percent': 1})
        volume_migrations.update(context, migration_id, {'percent': 2})

    both(mine)
    assert standing(ctxt, migration_id).beat == 1


def test_superseded_names_are_stored_only_while_it_is_copied(migration_id, ctxt):
    with pytest.raises(exceptions.RecordLost):
        lease.supersede(ctxt, migration_id, 2, [(0, 'name', None)], [])
    volume_migrations.save_plan(ctxt, migration_id, [
        {'size_bytes': 1, 'source_name_id': 's', 'destination_name_id': 'd'}], {})
    lease.supersede(ctxt, migration_id, 2, [(0, 'name', 'place')], [{'name_id': 'd'}])
    record, link = volume_migrations.get(ctxt, migration_id), volume_migrations.links(
        ctxt, migration_id)[0]
    assert (record.destination_name_id, record.destination_location) == ('name', 'place')
    assert (link.destination_name_id, link.destination_location) == ('name', 'place')
    assert (record.superseded_attempt, record.leftovers) == (2, [{'name_id': 'd'}])
