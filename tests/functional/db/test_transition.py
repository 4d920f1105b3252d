"""The door: one of several movers wins, and a refusal says why."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import models, transition, volume_migrations, volumes
from cinder_ext.states import migration as migration_states
from cinder_ext.states import volume as states


def _race(count, function):
    """Results of ``function(context)`` from threads that start together; errors as values."""
    barrier = threading.Barrier(count)

    def run(number):
        ctxt = contexts.RequestContext(user_id=f'user-{number}', overwrite=False)
        barrier.wait()
        try:
            return function(ctxt)
        except exceptions.CinderExtError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


def test_of_twenty_movers_exactly_one_wins(make_volume):
    volume_id = make_volume()
    results = _race(20, lambda ctxt: transition.try_move(ctxt, states.MACHINE, volume_id, 'extend'))
    assert sorted(results) == [False] * 19 + [True]


def test_of_twenty_different_requests_exactly_one_wins(make_volume, ctxt):
    volume_id = make_volume()
    events = ['delete', 'extend', 'retype', 'lock'] * 5
    results = _race(20, lambda context: volumes.begin(context, volume_id, events.pop(), 'be changed'))
    refused = [each for each in results if isinstance(each, exceptions.InvalidState)]
    assert (len(refused), results.count(None)) == (19, 1)
    assert volumes.get(ctxt, volume_id).status in ('deleting', 'extending', 'retyping', 'maintenance')


def test_a_refusal_carries_the_facts(make_volume, ctxt):
    volume_id = make_volume(status='error')
    with pytest.raises(exceptions.TransitionRefused) as caught:
        transition.move(ctxt, states.MACHINE, volume_id, 'extend')
    assert caught.value.facts == {'kind': 'volume', 'id': volume_id, 'event': 'extend',
                                  'column': 'status', 'current': 'error', 'expected': 'available'}
    assert volumes.get(ctxt, volume_id).status == 'error'


def test_a_refusal_changes_no_other_column(make_volume, ctxt):
    volume_id = make_volume(status='error')
    assert not transition.try_move(ctxt, states.MACHINE, volume_id, 'extend', {'size': 7})
    assert volumes.get(ctxt, volume_id).size == 1


def test_a_condition_that_does_not_hold_refuses(make_volume, ctxt):
    volume_id = make_volume()
    with pytest.raises(exceptions.TransitionRefused):
        transition.move(ctxt, states.MACHINE, volume_id, 'delete',
                        where=(models.Volume.host == 'elsewhere',))
    assert volumes.get(ctxt, volume_id).status == 'available'


def test_an_unknown_row_is_refused_with_no_current_state(database, ctxt):
    with pytest.raises(exceptions.TransitionRefused) as caught:
        transition.move(ctxt, states.MACHINE, 'none', 'delete')
    assert caught.value.facts['current'] is None


def test_an_unknown_event_is_a_programming_error(make_volume, ctxt):
    with pytest.raises(KeyError):
        transition.move(ctxt, states.MACHINE, make_volume(), 'no such event')


def test_a_new_row_starts_only_in_an_initial_state(database, ctxt):
    with pytest.raises(ValueError, match='no initial state'):
        transition.insert(ctxt, states.MACHINE, {}, state='in-use')


def test_a_move_sets_values_and_the_time_with_it(make_volume, ctxt):
    volume_id = make_volume()
    transition.move(ctxt, states.MACHINE, volume_id, 'extend', {'request': {'new_size': 2}})
    volume = volumes.get(ctxt, volume_id)
    assert (volume.status, volume.request) == ('extending', {'new_size': 2})
    assert volume.updated_at >= volume.created_at


def test_force_sets_any_state_and_others_with_it(make_volume, ctxt):
    volume_id = make_volume(status='deleting')
    transition.force(ctxt, states.MACHINE, volume_id, 'error', also={'attach_status': 'detached'})
    assert volumes.get(ctxt, volume_id).status == 'error'


def _start(ctxt, volume_id, lock='retype'):
    return volume_migrations.start(ctxt, volume_id, {'operation': 'retype'}, lock)


@pytest.mark.parametrize(('events', 'shown'), [
    ([], 'starting'),
    (['schedule'], 'starting'),
    (['schedule', 'copy'], 'migrating'),
    (['schedule', 'copy', 'verify'], 'migrating'),
    (['schedule', 'copy', 'verify', 'commit'], 'completing'),
    (['schedule', 'copy', 'verify', 'commit', 'committed'], 'success'),
    (['schedule', 'copy', 'commit', 'committed', 'tidy', 'leave'], 'success'),
    (['schedule', 'copy', 'commit', 'committed', 'tidy', 'finish'], 'success'),
    (['schedule', 'copy', 'revert'], 'migrating'),
    (['schedule', 'copy', 'revert', 'fail'], 'error'),
    (['refuse'], None),
    (['retype-in-place'], None),
])
def test_the_volume_shows_the_phase_of_its_migration(make_volume, ctxt, events, shown):
    volume_id = make_volume()
    record = _start(ctxt, volume_id)
    for event in events:
        transition.move(ctxt, migration_states.MACHINE, record.id, event)
    assert volumes.get(ctxt, volume_id).migration_status == shown


def test_tidying_an_earlier_migration_does_not_hide_the_next_one(make_volume, ctxt):
    volume_id = make_volume()
    first = _start(ctxt, volume_id)
    for event in ('schedule', 'copy', 'commit', 'committed'):
        transition.move(ctxt, migration_states.MACHINE, first.id, event)
    transition.move(ctxt, states.MACHINE, volume_id, 'release')
    _start(ctxt, volume_id)
    transition.move(ctxt, migration_states.MACHINE, first.id, 'tidy')
    assert volumes.get(ctxt, volume_id).migration_status == 'starting'


def test_of_twenty_migrations_of_one_volume_exactly_one_starts(make_volume, ctxt):
    volume_id = make_volume()
    results = _race(20, lambda context: _start(context, volume_id, None))
    started = [each.id for each in results if isinstance(each, models.VolumeMigration)]
    refused = [each for each in results if isinstance(each, exceptions.MigrationActive)]
    assert (len(started), len(refused)) == (1, 19)
    assert {each.facts['migration_id'] for each in refused} == set(started)
