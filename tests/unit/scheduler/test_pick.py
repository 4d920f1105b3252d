"""The choice, and the reasons for the others."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.scheduler import pick, request

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
