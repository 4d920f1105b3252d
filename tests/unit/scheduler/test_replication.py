"""Which pools serve the replication that is asked for, and what is said of the others."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from cinder_ext.scheduler import filters, pick, replication, request
from cinder_ext.scheduler.replication import Wanted, Whole

POOL = request.Pool('h@a#p', total_bytes=10, free_bytes=10, capabilities={
    'replication_enabled': True, 'replication_targets': ['near', 'far'],
    'replication_target_details': [{'backend_id': 'near', 'modes': ['async', 'sync']},
                                   {'backend_id': 'far', 'modes': ['async']}]})
PLAIN = request.Pool('h@b#p', total_bytes=10, free_bytes=10)


def _refusal(wanted, pool=POOL, **changes):
    return replication.refusal(dataclasses.replace(pool, **changes), wanted)


def _whole(scope='pool', target='near', mode='async', state='enabled'):
    return Whole(scope, 'h@a#p' if scope == 'pool' else 'h@a', target, mode, state)


@pytest.mark.parametrize('scope', ['volume', 'group'])
def test_backend_that_replicates_nothing_is_left_out(scope):
    assert _refusal(Wanted(scope), PLAIN) == (
        f'it replicates nothing, replication of scope {scope} is asked for')
    assert _refusal(Wanted(scope)) is None


@pytest.mark.parametrize(('mode', 'target', 'expected'), [
    ('async', None, None),
    ('async', 'far', None),
    ('sync', None, None),
    ('sync', 'near', None),
    ('sync', 'far', 'it cannot replicate sync to far'),
    ('async', 'nowhere', 'it has no replication target nowhere'),
])
def test_mode_counts_per_target(mode, target, expected):
    assert _refusal(Wanted(mode=mode, target=target)) == expected


def test_backend_that_cannot_do_sync_is_not_chosen():
    late = dataclasses.replace(POOL, host='h@c#p', capabilities={
        'replication_enabled': True,
        'replication_target_details': [{'backend_id': 'far', 'modes': ['async']}]})
    wanted = request.Request(1, replication=Wanted(mode='sync'))
    assert pick.pick([late, POOL], wanted).pool.host == 'h@a#p'
    choice = pick.pick([late], wanted)
    assert choice.pool is None
    assert choice.summary == '1 of 1 pools: it cannot replicate sync.'


@pytest.mark.parametrize('scope', ['volume', 'group'])
@pytest.mark.parametrize('whole', ['pool', 'backend'])
def test_what_is_replicated_by_itself_goes_to_no_place_that_is_replicated(scope, whole):
    assert _refusal(Wanted(scope), wholes=(_whole(whole),)) == (
        f'its whole {whole} is replicated, replication of scope {scope} is asked for')


@pytest.mark.parametrize('whole', ['pool', 'backend'])
def test_what_asks_for_nothing_may_go_to_a_place_that_is_replicated(whole):
    assert _refusal(None, wholes=(_whole(whole),)) is None


@pytest.mark.parametrize(('wanted', 'expected'), [
    (Wanted('pool'), None),
    (Wanted('pool', target='near'), None),
    (Wanted('pool', target='far'), 'its pool is replicated async to near, not async to far'),
    (Wanted('pool', mode='sync'), 'its pool is replicated async to near, not sync'),
    (Wanted('backend'), 'its backend is not replicated as a whole, as is asked for'),
])
def test_replicated_pool_is_asked_for(wanted, expected):
    assert _refusal(wanted, wholes=(_whole(),)) == expected


@pytest.mark.parametrize('state', replication.ELSEWHERE)
def test_place_that_is_failed_over_gets_nothing_new(state):
    expected = f'its pool is failed over ({state})'
    assert _refusal(None, wholes=(_whole(state=state),)) == expected
    assert _refusal(Wanted('pool'), wholes=(_whole(state=state),)) == expected


@pytest.mark.parametrize('status', replication.ELSEWHERE)
def test_backend_that_is_failed_over_replicates_nothing_new(status):
    assert _refusal(Wanted(), replication_status=status) == (
        f'its backend is failed over ({status})')
    assert _refusal(None, replication_status=status) is None


def test_what_no_place_can_serve_says_why():
    assert _refusal(Wanted(fault='they contradict each other')) == 'they contradict each other'


def test_it_is_asked_whatever_filters_are_configured_and_of_the_present_place_too():
    rules = pick.Rules((*filters.ALWAYS,))
    assert filters.replication in rules.filters
    assert rules.of_present_place == (filters.replication,)


@pytest.mark.parametrize('key', filters.BARE_REPLICATION)
def test_bare_words_are_no_capabilities(key):
    assert filters.capabilities(PLAIN, request.Request(1, extra_specs={key: 'x'})) is None
