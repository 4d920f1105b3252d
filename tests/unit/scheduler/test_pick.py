"""The choice, and the reasons for the others."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from oslo_config import cfg

from cinder_ext.conf import options
from cinder_ext.scheduler import filters, pick, request, weighers

GIB = 1024 ** 3


def _pool(host, free, **changes):
    return request.Pool(host, total_bytes=100 * GIB, free_bytes=free * GIB, **changes)


def test_pool_with_the_most_free_capacity_is_chosen():
    choice = pick.pick([_pool('h@a#a', 5), _pool('h@b#b', 9), _pool('h@c#c', 7)],
                       request.Request(GIB))
    assert choice.pool.host == 'h@b#b'
    assert choice.refusals == {}


def test_first_by_name_of_equal_pools_is_chosen():
    pools = [_pool('h@b#b', 5), _pool('h@a#a', 5)]
    assert pick.pick(pools, request.Request(GIB)).pool.host == 'h@a#a'


def test_every_refused_pool_has_its_reason():
    choice = pick.pick([_pool('h@a#a', 5), _pool('h@b#b', 9, is_enabled=False)],
                       request.Request(6 * GIB))
    assert choice.pool is None
    assert choice.refusals == {
        'h@a#a': 'it has 5.0 GiB free besides the reserve, 6.0 GiB are needed',
        'h@b#b': 'its volume service is disabled'}


def test_summary_counts_equal_reasons_and_names_no_backend():
    pools = [_pool(f'h@{name}#p', 9, is_enabled=False) for name in 'abc']
    summary = pick.pick(pools, request.Request(GIB)).summary
    assert summary == '3 of 3 pools: its volume service is disabled.'


def test_summary_without_any_pool_says_that_none_has_reported():
    assert pick.pick([], request.Request(GIB)).summary == 'No backend has reported to the scheduler.'


def _configured(tmp_path, text=''):
    file = tmp_path / 'cinder-ext.conf'
    file.write_text('[DEFAULT]\n' + text)
    conf = options.new()
    options.parse(conf, ['--config-file', str(file)])
    return pick.rules(conf)


def test_rules_are_those_that_are_documented_where_nothing_is_configured(tmp_path):
    found = _configured(tmp_path)
    assert set(found.filters) == set(filters.ALL)
    assert found.weighers == weighers.DEFAULT


def test_filters_and_weighers_are_configured_by_name(tmp_path):
    found = _configured(tmp_path, 'scheduler_default_filters = CapacityFilter,JsonFilter\n'
                        'scheduler_default_weighers = VolumeNumberWeigher,GoodnessWeigher\n'
                        'volume_number_multiplier = 3\n')
    assert found.filters == (*filters.ALWAYS, filters.capacity, filters.json_query)
    assert [each.multiplier for each in found.weighers] == [3.0, 1.0]
    assert found.weighers[0].of_pool is weighers.volume_number


@pytest.mark.parametrize('text', ['scheduler_default_filters = Unknown',
                                  'scheduler_default_weighers = CapacityFilter'])
def test_unknown_name_is_refused(tmp_path, text):
    with pytest.raises(cfg.Error):
        _configured(tmp_path, text)


def test_room_is_not_looked_for_where_the_volume_is_already():
    asked = pick.DEFAULT.of_present_place
    assert filters.capacity not in asked
    assert filters.excluded not in asked
    assert filters.capabilities in asked
    assert filters.driver in asked
