"""Which backend takes a group."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.scheduler import groups, request

GIB = 1024 ** 3


def _pool(host, free_gib=10, **capabilities):
    return request.Pool(host=host, total_bytes=100 * GIB, free_bytes=free_gib * GIB,
                        capabilities=capabilities, availability_zone='nova')


def _chosen(pools, group_specs=None, type_specs=({},), zone='nova'):
    choice = groups.choose(pools, zone, group_specs or {}, list(type_specs))
    return choice.pool and choice.pool.host


def test_the_emptiest_pool_is_taken():
    assert _chosen([_pool('a@x#1'), _pool('b@y#1', 20), _pool('c@z#1')]) == 'b@y#1'


def test_the_group_specs_count_as_what_the_pool_must_have():
    pools = [_pool('a@x#1', 20), _pool('b@y#1', consistent_group_snapshot_enabled=True)]
    assert _chosen(pools, {'consistent_group_snapshot_enabled': '<is> True'}) == 'b@y#1'


def test_every_volume_type_must_fit_somewhere_on_the_backend():
    pools = [_pool('a@x#1', 50, tier='gold'), _pool('b@y#1', tier='gold'),
             _pool('b@y#2', tier='silver')]
    assert _chosen(pools, type_specs=({'tier': 'gold'}, {'tier': 'silver'})) == 'b@y#1'


def test_two_types_on_two_backends_are_refused_and_each_pool_has_a_reason():
    pools = [_pool('a@x#1', tier='gold'), _pool('b@y#1', tier='silver')]
    choice = groups.choose(pools, None, {}, [{'tier': 'gold'}, {'tier': 'silver'}])
    assert choice.pool is None
    assert set(choice.refusals) == {'a@x#1', 'b@y#1'}


def test_another_zone_is_refused():
    assert _chosen([_pool('a@x#1')], zone='elsewhere') is None


def test_no_pools_give_no_choice():
    assert _chosen([]) is None
