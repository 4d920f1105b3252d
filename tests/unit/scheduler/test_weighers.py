"""Weights."""
# SPDX-License-Identifier: Apache-2.0

import collections

import pytest

from cinder_ext.conf import scheduler
from cinder_ext.scheduler import request, weighers

GIB = 1024 ** 3
WANTED = request.Request(GIB)
THIN = {'thin_provisioning_support': True}


def _pool(name, free=50, **values):
    if not isinstance(free, str):
        free *= GIB
    return request.Pool(f'h@{name}#p', **{'total_bytes': 100 * GIB, 'free_bytes': free, **values})


def _best(pools, *ways, wanted=WANTED):
    return weighers.best(pools, wanted, ways).host[2]


def test_thick_pool_weighs_its_free_bytes_less_the_reserve():
    assert weighers.free_capacity(_pool('a', reserved_percentage=10), WANTED) == 40 * GIB


def test_thin_pool_weighs_what_it_can_still_promise():
    pool = _pool('a', provisioned_bytes=30 * GIB, capabilities=THIN,
                 max_over_subscription_ratio=2.0, reserved_percentage=10)
    assert weighers.free_capacity(pool, WANTED) == 150 * GIB
    thick = request.Request(GIB, extra_specs={'provisioning:type': 'thick'})
    assert weighers.free_capacity(pool, thick) == 40 * GIB


@pytest.mark.parametrize(('multiplier', 'chosen'), [(1.0, 'b'), (-1.0, 'a'), (0.0, 'a')])
def test_multiplier_says_which_capacity_is_best(multiplier, chosen):
    way = weighers.Weigher(weighers.free_capacity, multiplier)
    assert _best([_pool('a', 10), _pool('b', 30), _pool('c', 20)], way) == chosen


@pytest.mark.parametrize('word', ['infinite', 'unknown'])
@pytest.mark.parametrize('multiplier', [1.0, -1.0])
def test_pool_that_cannot_tell_what_is_free_is_the_last_choice(multiplier, word):
    way = weighers.Weigher(weighers.free_capacity, multiplier)
    assert _best([_pool('a', word), _pool('b', 30)], way) == 'b'
    assert _best([_pool('a', word), _pool('b', 30), _pool('c', 30)], way) == 'b'
    assert _best([_pool('a', word), _pool('b', word)], way) == 'a'


def test_pool_with_the_smallest_volumes_is_best_by_allocated_capacity():
    way = weighers.Weigher(weighers.allocated_capacity, -1.0)
    assert _best([_pool('a', allocated_bytes=5), _pool('b', allocated_bytes=3)], way) == 'b'


def test_pool_with_the_fewest_volumes_is_best_by_number():
    way = weighers.Weigher(weighers.volume_number, -1.0)
    assert _best([_pool('a', volume_count=2), _pool('b', volume_count=1)], way) == 'b'


@pytest.mark.parametrize(('formula', 'weight'), [
    (None, 0), ('50', 50), ('volume.size * 10', 50), ('volume.size < 9', 100), ('1 > 2', 0),
    ('101', 0), ('-1', 0), ('text', 0), ('1 /', 0), ('volume.missing', 0), ('100', 100),
])
def test_goodness_is_from_0_to_100_and_else_0(formula, weight):
    pool = _pool('a', goodness_function=formula)
    way = weighers.BY_NAME['GoodnessWeigher'][0]
    assert way(pool, request.Request(GIB, volume={'size': 5})) == weight


def test_pool_with_the_highest_goodness_is_best():
    way = weighers.Weigher(weighers.BY_NAME['GoodnessWeigher'][0])
    pools = [_pool('a', goodness_function='20'), _pool('b', goodness_function='30'), _pool('c')]
    assert _best(pools, way) == 'b'


def test_chance_gives_every_pool_its_turn():
    way = weighers.Weigher(weighers.chance)
    pools = [_pool('a'), _pool('b')]
    found = collections.Counter(_best(pools, way) for _ in range(200))
    assert min(found['a'], found['b']) > 40


def test_weights_of_several_weighers_are_added():
    capacity = weighers.Weigher(weighers.free_capacity)
    number = weighers.Weigher(weighers.volume_number, -2.0)
    pools = [_pool('a', 40, volume_count=9), _pool('b', 10, volume_count=1)]
    assert _best(pools, capacity) == 'a'
    assert _best(pools, capacity, number) == 'b'


def test_without_weighers_the_first_is_best_and_of_none_none():
    assert _best([_pool('a', 10), _pool('b', 30)]) == 'a'
    assert weighers.best([], WANTED) is None


def test_every_name_of_the_option_has_its_weigher_and_multiplier():
    assert tuple(weighers.BY_NAME) == scheduler.WEIGHERS
    known = {option.name for option in scheduler.OPTS}
    assert {option for _, option in weighers.BY_NAME.values() if option} <= known
