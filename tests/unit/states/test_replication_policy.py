"""What types, groups and backends ask of replication: words, what is unset, contradictions."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.states import replication_policy as policies
from cinder_ext.states.replication_policy import Policy

ON = {'replication_enabled': '<is> True'}


def _asked(**words):
    return policies.parse({**ON, **{f'replication:{name}': value for name, value in words.items()}})


def test_other_specs_ask_for_nothing():
    assert policies.parse({'volume_backend_name': 'alpha', 'capabilities:x': 'y'}) == Policy()
    assert policies.parse(None) == Policy()
    assert not policies.concerns(['volume_backend_name', 'replicationish'])


def test_every_word_is_understood():
    found = _asked(scope='group', mode='sync', target='dr', rpo_seconds='30', retention='7',
                   topology='active-passive', auto_failover='mediator')
    assert found == Policy(True, 'group', 'sync', 'dr', 30, None, 7, 'active-passive', 'mediator')
    assert policies.concerns(['replication:rpo_seconds'])


@pytest.mark.parametrize('key', policies.ENABLED_KEYS)
@pytest.mark.parametrize(('value', 'is_on'), [
    ('<is> True', True), ('<is> true', True), ('<is> False', False)])
def test_it_is_asked_for_by_true_only(key, value, is_on):
    assert policies.parse({key: value}).is_enabled is is_on
    assert policies.is_enabled({key: value}) is is_on


@pytest.mark.parametrize(('bare', 'name'), [
    ('replication_scope', 'scope'), ('replication_mode', 'mode')])
def test_bare_keys_mean_the_same(bare, name):
    value = {'scope': 'pool', 'mode': 'async'}[name]
    assert policies.parse({bare: value}) == policies.parse({f'replication:{name}': value})
    assert policies.parse({bare: value, f'replication:{name}': value}) is not None


def test_two_spellings_that_contradict_are_both_named():
    with pytest.raises(exceptions.InvalidInput) as refusal:
        policies.parse({'replication_mode': 'sync', 'replication:mode': 'async'}, 'the volume type')
    assert 'replication_mode' in refusal.value.message
    assert 'replication:mode' in refusal.value.message


@pytest.mark.parametrize(('schedule', 'seconds'), [
    ('every 1 second', 1), ('every 15 seconds', 15), ('every 2 minutes', 120),
    ('every  1  hour', 3600)])
def test_a_schedule_is_an_interval(schedule, seconds):
    assert _asked(schedule=schedule).interval_seconds == seconds


@pytest.mark.parametrize(('rpo', 'seconds'), [('2', 1), ('3', 1), ('10', 5), ('300', 150)])
def test_points_are_made_twice_as_often_as_the_objective(rpo, seconds):
    assert _asked(rpo_seconds=rpo).interval_seconds == seconds


BAD = {
    'a scope': {'replication:scope': 'project'}, 'a mode': {'replication:mode': 'Async'},
    'an objective of one second': {'replication:rpo_seconds': '1'},
    'an objective of a month': {'replication:rpo_seconds': '2592000'},
    'no number': {'replication:rpo_seconds': '1e3'},
    'another digit': {'replication:rpo_seconds': '३०'},
    'a retention of nothing': {'replication:retention': '0'},
    'a retention without end': {'replication:retention': '101'},
    'a schedule of cron': {'replication:schedule': '* * * * *'},
    'a schedule of nothing': {'replication:schedule': 'every 0 seconds'},
    'a schedule of a year': {'replication:schedule': 'every 8760 hours'},
    'a target without a name': {'replication:target': ' '},
    'a target with a line': {'replication:target': 'a\nb'},
    'an unknown word': {'replication:rpo': '30'},
    'a topology': {'replication:topology': 'ring'},
    'an automatism': {'replication:auto_failover': 'True'},
    'neither true nor false': {'replication_enabled': 'True'},
    'nothing at all': {'replication:mode': ''},
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_word_is_refused_and_named(name):
    (key, _value), = BAD[name].items()
    with pytest.raises(exceptions.InvalidInput) as refusal:
        policies.validate(BAD[name], 'the volume type')
    assert key in refusal.value.message
    assert 'the volume type' in refusal.value.message


def test_an_objective_and_a_schedule_are_both_named():
    with pytest.raises(exceptions.InvalidInput, match='rpo_seconds.*schedule'):
        _asked(rpo_seconds='30', schedule='every 1 hour')


# Who asks: group, type, backend

def test_what_nobody_sets_has_defaults():
    found = policies.merge(None, Policy(True))
    assert found == Policy(True, 'volume', 'async', None, 300, None, 3, 'active-passive', 'none')
    assert found.interval_seconds == 150


def test_the_group_fills_the_type_and_the_backend_fills_both():
    found = policies.merge(Policy(True, 'group', target='dr'), Policy(True, mode='sync'),
                           Policy(retention=9, rpo_seconds=20))
    assert (found.scope, found.target, found.mode, found.retention, found.rpo_seconds) == (
        'group', 'dr', 'sync', 9, 20)


def test_what_is_set_beats_the_default_of_the_backend():
    default = Policy(True, 'pool', 'sync', 'far', 20, None, 9)
    found = policies.merge(None, Policy(True, 'volume', 'async', 'near', None, 'every 1 hour', 2),
                           default)
    assert (found.scope, found.mode, found.target, found.rpo_seconds, found.schedule,
            found.retention) == ('volume', 'async', 'near', None, 'every 1 hour', 2)


def test_a_backend_that_replicates_by_default_is_not_asked_by_an_ordinary_type():
    assert not policies.merge(None, Policy(), Policy(True, 'volume')).is_enabled


@pytest.mark.parametrize('name', ['scope', 'mode', 'target', 'rpo_seconds', 'retention', 'schedule'])
def test_two_set_values_that_contradict_are_both_named(name):
    values = {'scope': ('group', 'volume'), 'mode': ('sync', 'async'), 'target': ('a', 'b'),
              'rpo_seconds': (10, 20), 'retention': (1, 2),
              'schedule': ('every 1 hour', 'every 2 hours')}[name]
    group, kind = (Policy(True, **{name: value}) for value in values)
    with pytest.raises(exceptions.InvalidInput) as refusal:
        policies.merge(group, kind)
    for part in ('the group type', 'the volume type', *(f"'{value}'" for value in values)):
        assert part in refusal.value.message


def test_an_objective_of_the_group_contradicts_a_schedule_of_the_type():
    with pytest.raises(exceptions.InvalidInput, match='group type.*rpo_seconds.*volume type.*schedule'):
        policies.merge(Policy(True, rpo_seconds=10), Policy(True, schedule='every 1 hour'))


def test_values_that_agree_do_not_contradict():
    asked = Policy(True, 'group', 'async')
    assert policies.merge(asked, asked).scope == 'group'


def test_a_replicated_group_is_replicated_as_one_unless_it_says_otherwise():
    assert policies.merge(Policy(True), Policy(True)).scope == 'group'
    assert policies.merge(Policy(True), Policy(True, scope='volume')).scope == 'volume'
    assert policies.merge(Policy(), Policy(True)).scope == 'volume'


def test_the_scope_group_needs_a_group():
    with pytest.raises(exceptions.InvalidInput, match='in no group'):
        policies.merge(None, Policy(True, 'group'))
    assert not policies.merge(None, Policy(False, 'group')).is_enabled


def test_a_policy_comes_back_from_its_document():
    whole = policies.merge(None, Policy(True, rpo_seconds=10))
    assert Policy(**whole.as_document()) == whole


def test_what_a_request_asks_for_stays_its_own_and_contradicts_no_type():
    whole = policies.merge(Policy(True, 'volume', by_request=True), Policy(mode='async'))
    assert whole.by_request
    assert Policy(**whole.as_document()) == whole
    assert 'by_request' not in policies.merge(None, Policy(True)).as_document()
