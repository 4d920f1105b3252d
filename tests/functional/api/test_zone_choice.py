"""In which availability zone a new volume is."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext import context, exceptions
from cinder_ext.api.resources import availability_zones
from cinder_ext.db import services


@pytest.fixture
def choose(cloud):
    """choose(wanted, zones of the type, zone of the source, **options); east and west are known."""
    ctxt = context.admin_context()
    for zone in ('east', 'west'):
        services.heartbeat(ctxt, 'cinder-volume', f'node@{zone}', 'topic', zone)
    cloud.conf.set_override('availability_zone', 'east')

    def chosen(wanted=None, of_type=None, of_source=None, **options):
        for name, value in options.items():
            cloud.conf.set_override(name, value)
        specs = {} if of_type is None else {availability_zones.ZONES: of_type}
        call = types.SimpleNamespace(context=ctxt, conf=cloud.conf)
        return availability_zones.chosen(call, wanted, specs, of_source)

    return chosen


@pytest.mark.parametrize(('asked', 'zone'), [
    ({}, 'east'), ({'wanted': 'west'}, 'west'), ({'of_source': 'west'}, 'west'),
    ({'default_availability_zone': 'west'}, 'west'), ({'of_type': 'east, west'}, None),
    ({'of_type': 'west,nowhere'}, 'west'), ({'of_type': 'east,west', 'wanted': 'west'}, 'west'),
    ({'wanted': 'nowhere', 'allow_availability_zone_fallback': True}, 'east'),
    ({'wanted': 'west', 'of_source': 'east', 'cloned_volume_same_az': False}, 'west')])
def test_a_volume_is_where_it_was_asked_for_or_else_where_its_source_or_type_is(choose, asked, zone):
    assert choose(**asked) == zone


@pytest.mark.parametrize('asked', [
    {'wanted': 'nowhere'}, {'of_type': 'nowhere'}, {'of_type': ''},
    {'of_type': 'east', 'wanted': 'west'}, {'wanted': 'west', 'of_source': 'east'},
    {'default_availability_zone': 'nowhere'}])
def test_elsewhere_it_cannot_be(choose, asked):
    with pytest.raises(exceptions.InvalidInput):
        choose(**asked)
