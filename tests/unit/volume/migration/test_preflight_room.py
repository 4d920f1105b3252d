"""The room at a destination: for the chain, beside what others have claimed."""
# SPDX-License-Identifier: Apache-2.0

import types

from cinder_ext.db.migration_claims import NOTHING, Claim
from cinder_ext.drivers import values
from cinder_ext.volume.migration import plan, preflight, preflight_room

GIB = values.GIB
LINKS = [plan.Link(0, 's', GIB, 's', 'v', 's2', 'v2'),
         plan.Link(1, None, 2 * GIB, 'v', 'v', 'v2', 'v2')]


def destination(free, total=10 * GIB, provisioned=0, pool='b', ratio='2.0', reserved=0,
                words=('snapshot_connect',), **promises):
    return types.SimpleNamespace(
        host=f'h@b#{pool}', promises=values.Promises(**promises),
        examined={'capabilities': words,
                  'pools': [{'name': 'b', 'free_bytes': free, 'total_bytes': total,
                             'provisioned_bytes': provisioned,
                             'capabilities': {'max_over_subscription_ratio': ratio,
                                              'reserved_percentage': reserved}}]})


def bad(*args, claimed=NOTHING, verify='written', **kwargs):
    found = destination(*args, **kwargs)
    room, is_there = preflight_room.room_of(found)
    claim = preflight_room.claim_of(found, LINKS, [30, 20], [30, 40], verify)
    return [check.name for check in preflight.failed(
        [is_there, *preflight_room.checks(room, claim, claimed)])]


def test_room_of_shared_blocks_is_what_differs():
    assert bad(50, thin=True, snapshots_share_blocks=True) == []
    assert bad(49, thin=True, snapshots_share_blocks=True) == ['physical-capacity']


def test_room_of_copies_is_what_each_holds():
    assert bad(70, thin=True) == []
    assert bad(69, thin=True) == ['physical-capacity']


def test_room_without_thin_provisioning_is_every_size():
    assert bad(3 * GIB) == []
    assert bad(3 * GIB - 1) == ['physical-capacity']


def test_room_of_the_temporary_volume_that_reads_a_snapshot_back():
    assert bad(100, thin=True, words=()) == []
    assert bad(99, thin=True, words=()) == ['physical-capacity']
    assert bad(70, thin=True, words=(), verify='off') == []
    assert bad(50, thin=True, snapshots_share_blocks=True, words=()) == []
    assert bad(4 * GIB - 1, words=()) == ['physical-capacity']


def test_virtual_size_is_held_against_the_ratio_where_it_is_thin():
    assert bad(3 * GIB, provisioned=18 * GIB, thin=True) == []
    assert bad(3 * GIB, provisioned=19 * GIB, thin=True) == ['virtual-capacity']
    assert bad(3 * GIB, provisioned=9 * GIB) == ['virtual-capacity']


def test_what_others_have_claimed_is_not_free():
    assert bad(100, thin=True, claimed=Claim(30, 0)) == []
    assert bad(100, thin=True, claimed=Claim(31, 0)) == ['physical-capacity']
    assert bad(3 * GIB, provisioned=9 * GIB, thin=True, claimed=Claim(0, 9 * GIB)) == []
    assert bad(3 * GIB, provisioned=9 * GIB, thin=True, claimed=Claim(0, 9 * GIB + 1)) == [
        'virtual-capacity']


def test_the_reserve_is_not_given_out():
    assert bad(GIB + 70, thin=True, reserved=10) == []
    assert bad(GIB + 69, thin=True, reserved=10) == ['physical-capacity']
    assert bad(3 * GIB, provisioned=16 * GIB, thin=True, reserved=10) == []
    assert bad(3 * GIB, provisioned=16 * GIB + 1, thin=True, reserved=10) == ['virtual-capacity']


def test_automatic_ratio_follows_what_is_used():
    # 1 + 9 / (7 + 1) of 10 GiB is 21.25 GiB.
    assert bad(3 * GIB, provisioned=9 * GIB, ratio='auto', thin=True) == []
    # 1 + 0.5 / (0 + 1) of 1 GiB is 1.5 GiB.
    assert bad(GIB, total=GIB, provisioned=GIB // 2, ratio='auto', thin=True) == [
        'virtual-capacity']


def test_pool_that_cannot_tell_its_capacity_is_believed():
    assert bad('infinite', thin=True, claimed=Claim(GIB, GIB)) == []
    assert bad(5, total='unknown') == []


def test_pool_that_is_not_there():
    assert bad(9 * GIB, pool='x') == ['destination-pool']


def test_source_that_is_not_readable_leaves_the_room_unknown():
    room, _ = preflight_room.room_of(destination(9 * GIB))
    assert [check.passed for check in preflight_room.checks(room, None, NOTHING)] == [None, None]


def test_checks_of_a_claim_that_came_second():
    found = destination(100, thin=True)
    room, is_there = preflight_room.room_of(found)
    claim = preflight_room.claim_of(found, LINKS, [30, 20], [30, 40], 'written')
    before = [is_there, *preflight_room.checks(room, claim, NOTHING)]
    after = preflight_room.refused(before, ['physical'], room, claim)
    assert [check.name for check in preflight.failed(after)] == ['physical-capacity']
    assert 'another migration has just claimed' in after[1].detail
