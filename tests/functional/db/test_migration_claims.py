"""Claims on a destination: one of two that do not fit together is refused, and nothing is kept."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import migration_claims as claims
from cinder_ext.db import transition, volume_migrations
from cinder_ext.states import migration as states

GIB = 1024 ** 3
BETA = 'node@beta#beta'
THIN = {'thin': True}
ROOM = claims.Room(100, 100)


@pytest.fixture
def placed(make_volume, ctxt):
    """placed(host, **columns of the volume) -> a record in its preflight."""
    def make(host=BETA, **columns):
        record = volume_migrations.start(ctxt, make_volume(**columns), {'operation': 'migrate'}, None)
        transition.move(ctxt, states.MACHINE, record.id, 'schedule', {'destination_host': host})
        return volume_migrations.get(ctxt, record.id)
    return make


def _save(ctxt, record, physical=60, virtual=0, room=ROOM, seen=None, sizes=(GIB,),
          promises=THIN):
    planned = [{'snapshot_id': None, 'size_bytes': size, 'source_name_id': record.source_name_id,
                'destination_name_id': record.destination_name_id} for size in sizes]
    return claims.save_plan(ctxt, record, planned, {'promises': promises},
                            claims.Claim(physical, virtual), room, seen or {})


def test_the_claim_is_stored_with_the_plan(placed, ctxt):
    record = placed()
    assert _save(ctxt, record, 60, 40) == []
    found = volume_migrations.get(ctxt, record.id)
    assert (found.phase, found.claimed_bytes, found.claimed_virtual_bytes) == ('copying', 60, 40)
    assert len(volume_migrations.links(ctxt, record.id)) == 1
    assert claims.outstanding(ctxt, BETA) == {record.id: claims.Claim(60, 40)}
    assert claims.outstanding(ctxt, BETA, but=record.id) == {}
    assert claims.outstanding(ctxt, 'node@beta#other') == {}


@pytest.mark.parametrize(('first', 'second', 'lacking'), [
    ((60, 0), (41, 0), ['physical']), ((0, 60), (0, 41), ['virtual']),
    ((60, 60), (41, 41), ['physical', 'virtual']), ((60, 60), (40, 40), [])])
def test_what_does_not_fit_beside_another_stores_nothing(placed, ctxt, first, second, lacking):
    assert _save(ctxt, placed(), *first) == []
    record = placed()
    assert _save(ctxt, record, *second) == lacking
    found = volume_migrations.get(ctxt, record.id)
    assert (found.phase, found.claimed_bytes) == (
        ('copying', second[0]) if not lacking else ('preflight', None))
    assert len(volume_migrations.links(ctxt, record.id)) == (0 if lacking else 1)


def test_a_pool_that_has_no_limit_takes_everything(placed, ctxt):
    for _number in range(2):
        assert _save(ctxt, placed(), 10 ** 15, 10 ** 15, claims.Room()) == []


@pytest.mark.parametrize('kind', ['physical', 'virtual'])
def test_of_many_that_fit_alone_and_not_together_one_is_taken(placed, ctxt, kind):
    records = [placed() for _ in range(8)]
    barrier = threading.Barrier(len(records))

    def claim(record):
        mine = contexts.RequestContext(user_id='user', overwrite=False)
        seen = claims.outstanding(mine, BETA, record.id)
        barrier.wait()
        return _save(mine, record, **{'physical': 0, kind: 60}, seen=seen)

    with concurrent.futures.ThreadPoolExecutor(len(records)) as threads:
        results = list(threads.map(claim, records))
    assert sorted(results) == [[], *[[kind]] * 7]
    phases = [volume_migrations.get(ctxt, record.id).phase for record in records]
    assert phases.count('copying') == 1
    assert len(claims.outstanding(ctxt, BETA)) == 1


def test_claims_on_different_pools_do_not_meet(placed, ctxt):
    assert _save(ctxt, placed()) == []
    assert _save(ctxt, placed('node@beta#Beta')) == []
    assert _save(ctxt, placed('node@gamma#beta')) == []


def test_what_was_written_is_no_longer_claimed(placed, ctxt):
    record = placed()
    _save(ctxt, record, 60, GIB, claims.Room())
    volume_migrations.update(ctxt, record.id, {'bytes_written': 25})
    volume_migrations.update_link(ctxt, record.id, 0, {'position': 1})
    assert claims.outstanding(ctxt, BETA) == {record.id: claims.Claim(35, 0)}
    volume_migrations.update(ctxt, record.id, {'bytes_written': 99})
    assert claims.outstanding(ctxt, BETA) == {record.id: claims.Claim(0, 0)}


def test_a_volume_that_is_not_thin_takes_its_size_at_once(placed, ctxt):
    record = placed()
    _save(ctxt, record, 5 * GIB, 3 * GIB, claims.Room(), sizes=(GIB, GIB, 3 * GIB), promises={})
    volume_migrations.update_link(ctxt, record.id, 0, {'position': 1})
    assert claims.outstanding(ctxt, BETA)[record.id] == claims.Claim(4 * GIB, 2 * GIB)
    volume_migrations.update_link(ctxt, record.id, 0, {'sealed_at': record.created_at,
                                                       'copied_at': record.created_at})
    assert claims.outstanding(ctxt, BETA)[record.id] == claims.Claim(3 * GIB, 2 * GIB)


def test_who_was_not_seen_before_the_pool_was_asked_counts_in_full(placed, ctxt):
    """It may have written since, into what the pool called free."""
    first, second = placed(), placed()
    seen = claims.outstanding(ctxt, BETA, second.id)
    _save(ctxt, first, 60)
    volume_migrations.update(ctxt, first.id, {'bytes_written': 60})
    assert _save(ctxt, second, 41, seen=seen) == ['physical']
    assert _save(ctxt, second, 41, seen=claims.outstanding(ctxt, BETA, second.id)) == []


OUTCOMES = {
    'finished': ('verify', 'commit', 'committed'),
    'failed': ('revert',), 'cancelled': ('cancel',)}


@pytest.mark.parametrize('events', OUTCOMES.values(), ids=OUTCOMES)
def test_the_claim_ends_with_the_migration(placed, ctxt, events):
    record = placed()
    _save(ctxt, record, 60, 60)
    for event in events:
        assert claims.outstanding(ctxt, BETA) != {}
        transition.move(ctxt, states.MACHINE, record.id, event)
    assert claims.outstanding(ctxt, BETA) == {}
    assert claims.loads(ctxt) == {}
    assert _save(ctxt, placed(), 100, 100) == []


def test_a_claim_stays_while_a_migration_is_paused(placed, ctxt):
    record = placed()
    _save(ctxt, record, 60)
    transition.move(ctxt, states.MACHINE, record.id, 'pause')
    assert _save(ctxt, placed(), 60) == ['physical']


def test_loads_are_what_was_claimed_and_what_was_sent_there(placed, ctxt):
    waiting = placed(size=3)
    placed('node@gamma#gamma', size=2)
    record = placed()
    _save(ctxt, record, 60, 50)
    volume_migrations.update(ctxt, record.id, {'bytes_written': 10})
    assert claims.loads(ctxt) == {
        BETA: claims.Load(claims.Claim(50, 50), (1, 3 * GIB)),
        'node@gamma#gamma': claims.Load(claims.Claim(), (1, 2 * GIB))}
    volume_migrations.fail(ctxt, waiting.id, 'fail', 'it', 'code', 'none')
    assert claims.loads(ctxt)[BETA].expected == (0, 0)


def test_a_plan_of_a_migration_that_was_cancelled_meanwhile_is_not_stored(placed, ctxt):
    record = placed()
    transition.move(ctxt, states.MACHINE, record.id, 'cancel')
    with pytest.raises(exceptions.TransitionRefused):
        _save(ctxt, record)
    assert volume_migrations.get(ctxt, record.id).claimed_bytes is None
