"""Filters: None, or the reason why not."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import pytest

from cinder_ext.scheduler import filters, request

GIB = filters.GIB
POOL = request.Pool('h@a#p', total_bytes=100 * GIB, free_bytes=50 * GIB,
                    capabilities={'thin_provisioning_support': True, 'nested': {'key': '5'}},
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


@pytest.mark.parametrize(('asked', 'of_type', 'fits'), [
    (None, 'west, nova', True), (None, 'west,east', False), ('nova', 'west,nova', True),
    ('west', 'west,nova', False), ('west', 'nova', True), (None, None, True)])
def test_zones_of_the_type_are_the_choice(asked, of_type, fits):
    wanted = _request(availability_zone=asked, extra_specs={filters.ZONES: of_type})
    assert (filters.availability_zone(POOL, wanted) is None) == fits


@pytest.mark.parametrize(('specs', 'is_taken'), [
    ({}, True),
    ({'thin_provisioning_support': '<is> True'}, True),
    ({'thin_provisioning_support': '<is> False'}, False),
    ({'capabilities:thin_provisioning_support': '<is> True'}, True),
    ({'capabilities:nested:key': '>= 4'}, True),
    ({'capabilities:nested:key': '>= 6'}, False),
    ({'capabilities:nested:key:deeper': '1'}, False),
    ({'migration:include_snapshots': '<is> True'}, True),
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
