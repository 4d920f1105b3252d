"""Filters: None, or the reason why not."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from cinder_ext.conf import scheduler
from cinder_ext.scheduler import filters, request

GIB = filters.GIB
POOL = request.Pool('h@a#p', total_bytes=100 * GIB, free_bytes=50 * GIB,
                    capabilities={'thin_provisioning_support': True, 'nested': {'key': '5'},
                                 'nothing': None},
                    max_over_subscription_ratio=2.0, availability_zone='nova')


def _pool(**changes):
    return dataclasses.replace(POOL, **changes)


def _request(size=1, **values):
    return request.Request(size_bytes=size * GIB, **values)


@pytest.mark.parametrize('named', [None, 'h@a#p', 'h@a'])
def test_pool_is_taken_when_its_host_is_named(named):
    assert filters.named(POOL, _request(named=named)) is None


@pytest.mark.parametrize('named', ['h@b#p', 'h@a#q', 'h', 'h@'])
def test_pool_is_refused_when_another_host_is_named(named):
    assert filters.named(POOL, _request(named=named)) == 'another host was named'


def test_pool_that_has_the_volume_is_refused():
    assert filters.excluded(POOL, _request(excluded='h@a#p')) == 'the volume is there already'
    assert filters.excluded(POOL, _request(excluded='h@a#q')) is None


@pytest.mark.parametrize(('changes', 'expected'), [
    ({}, None),
    ({'is_alive': False}, 'its volume service is down'),
    ({'is_enabled': False}, 'its volume service is disabled'),
    ({'fault': 'unplugged'}, 'its backend cannot be reached: unplugged'),
])
def test_only_living_and_enabled_services_are_taken(changes, expected):
    assert filters.alive(_pool(**changes), _request()) == expected


def test_zone_counts_only_when_one_is_asked_for():
    assert filters.availability_zone(POOL, _request()) is None
    assert filters.availability_zone(POOL, _request(availability_zone='nova')) is None
    assert 'not west' in filters.availability_zone(POOL, _request(availability_zone='west'))


@pytest.mark.parametrize(('wanted', 'of_type', 'is_taken'), [
    (None, 'nova', True),
    (None, 'east, nova', True),
    (None, 'east,west', False),
    ('nova', 'nova,west', True),
    ('west', 'nova,west', False),
    ('west', 'nova', True),
])
def test_zones_of_the_type_count_where_none_of_them_is_asked_for(wanted, of_type, is_taken):
    request_ = _request(availability_zone=wanted, extra_specs={filters.ZONES: of_type})
    assert (filters.availability_zone(POOL, request_) is None) is is_taken


def test_pool_where_it_failed_before_is_refused():
    assert filters.untried(POOL, _request(tried=frozenset({'h@a#p'}))) is not None
    assert filters.untried(POOL, _request(tried=frozenset({'h@a#q'}))) is None


@pytest.mark.parametrize(('specs', 'is_taken'), [
    ({}, True),
    ({'thin_provisioning_support': '<is> True'}, True),
    ({'thin_provisioning_support': '<is> False'}, False),
    ({'capabilities:thin_provisioning_support': '<is> True'}, True),
    ({'capabilities:nested:key': '>= 4'}, True),
    ({'capabilities:nested:key': '>= 6'}, False),
    ({'capabilities:nested:key:deeper': '1'}, False),
    ({'migration:include_snapshots': '<is> True'}, True),
    ({'vendor:anything': 'x'}, True),
    ({'RESKEY:availability_zones': 'x'}, True),
    ({'nested:key': '5'}, True),
    ({'capabilities:nothing': '<is> False'}, False),
    ({'missing': 'x'}, False),
])
def test_extra_specs_must_match_what_the_pool_reports(specs, is_taken):
    reason = filters.capabilities(POOL, _request(extra_specs=specs))
    assert (reason is None) is is_taken


@pytest.mark.parametrize(('changes', 'size', 'is_taken'), [
    ({}, 100, True),
    ({}, 101, False),
    ({'provisioned_bytes': 150 * GIB}, 50, True),
    ({'provisioned_bytes': 150 * GIB}, 51, False),
    ({'reserved_percentage': 40}, 20, True),
    ({'reserved_percentage': 40}, 21, False),
    ({'reserved_percentage': 50}, 1, False),
    ({'free_bytes': 0}, 0, False),
    ({'capabilities': {}}, 50, True),
    ({'capabilities': {}}, 51, False),
    ({'total_bytes': 0, 'free_bytes': 0}, 1, False),
    ({'free_bytes': 'infinite'}, 10 ** 9, True),
    ({'free_bytes': 'unknown', 'reserved_percentage': 10}, 10 ** 9, True),
    ({'total_bytes': 'infinite'}, 10 ** 9, True),
    ({'total_bytes': 'unknown', 'reserved_percentage': 10}, 1, False),
])
def test_capacity_is_virtual_where_the_pool_is_thin(changes, size, is_taken):
    reason = filters.capacity(_pool(**changes), _request(size))
    assert (reason is None) is is_taken


def test_thick_volume_on_a_thin_pool_needs_real_space():
    thick = {'provisioning:type': 'thick'}
    assert filters.capacity(POOL, _request(50, extra_specs=thick)) is None
    assert '51.0 GiB are needed' in filters.capacity(POOL, _request(51, extra_specs=thick))


def test_what_is_known_to_be_written_must_fit_for_real():
    assert filters.capacity(POOL, _request(10, physical_bytes=50 * GIB)) is None
    assert '60.0 GiB are needed' in filters.capacity(POOL, _request(10, physical_bytes=60 * GIB))


@pytest.mark.parametrize(('formula', 'is_taken'), [
    (None, True),
    ('volume.size < 10', True),
    ('volume.size > 10', False),
    ('capabilities.colour == red and extra.iops >= 5', True),
    ('qos.maxIOPS < stats.free_capacity_gb', True),
    ('volume.', False),
    ('volume.nothing', False),
    ('true', False),
    ('"volume.size < 10"', False),
])
def test_backend_takes_what_its_filter_function_is_true_for(formula, is_taken):
    pool = _pool(filter_function=formula, capabilities={'colour': 'red'})
    wanted = _request(volume={'size': 5}, extra_specs={'iops': '6'}, qos={'maxIOPS': '40'})
    assert (filters.driver(pool, wanted) is None) is is_taken


@pytest.mark.parametrize(('hints', 'is_taken'), [
    ({}, True),
    ({'together': frozenset({'h@a#p', 'h@b#p'})}, True),
    ({'together': frozenset({'h@b#p'})}, False),
    ({'together': frozenset()}, False),
    ({'faults': {'same_host': 'x'}}, False),
    ({'faults': {'different_host': 'x'}}, True),
])
def test_same_host_is_where_one_of_its_volumes_is(hints, is_taken):
    reason = filters.same_backend(POOL, _request(hints=request.Hints(**hints)))
    assert (reason is None) is is_taken


@pytest.mark.parametrize(('hints', 'is_taken'), [
    ({}, True),
    ({'apart': frozenset({'h@b#p'})}, True),
    ({'apart': frozenset({'h@b#p', 'h@a#p'})}, False),
    ({'faults': {'different_host': 'x'}}, False),
])
def test_different_host_is_where_none_of_its_volumes_is(hints, is_taken):
    reason = filters.different_backend(POOL, _request(hints=request.Hints(**hints)))
    assert (reason is None) is is_taken


def test_query_must_hold():
    assert filters.json_query(POOL, _request()) is None
    few = request.Hints(query=['>=', '$free_capacity_gb', 50])
    assert filters.json_query(POOL, _request(hints=few)) is None
    many = request.Hints(query=['>', '$free_capacity_gb', 50])
    assert filters.json_query(POOL, _request(hints=many)) == 'the hint query does not hold there'
    wrong = request.Hints(faults={'query': 'it is no JSON'})
    assert filters.json_query(POOL, _request(hints=wrong)) == 'the hint query: it is no JSON'


@pytest.mark.parametrize(('hints', 'is_taken'), [
    ({}, True), ({'beside': 'h'}, True), ({'beside': 'other'}, False),
    ({'faults': {'local_to_instance': 'x'}}, False),
])
def test_local_to_instance_is_on_the_host_of_the_server(hints, is_taken):
    reason = filters.instance_locality(POOL, _request(hints=request.Hints(**hints)))
    assert (reason is None) is is_taken


def test_every_name_of_the_option_has_its_filter():
    assert tuple(filters.BY_NAME) == scheduler.FILTERS
