"""Checks that need only records, and the room at a destination."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext.drivers import values
from cinder_ext.volume.migration import preflight

GIB = values.GIB


def subject(**changes):
    return preflight.Subject(**{
        'volume': types.SimpleNamespace(host='h@a#a'), 'attachments': [], 'clones': [],
        'snapshots': [types.SimpleNamespace(id='s', status='available')], **changes})


def record(**changes):
    return types.SimpleNamespace(**{'previous_status': 'available', 'include_snapshots': True,
                                    'destination_host': 'h@b#b', **changes})


def bad(record_, subject_):
    return [check.name for check in preflight.failed(preflight.state_checks(record_, subject_))]


def test_all_is_well():
    assert bad(record(), subject()) == []


@pytest.mark.parametrize(('name', 'record_', 'subject_'), [
    ('volume-status', {'previous_status': 'error'}, {}),
    ('volume-detached', {}, {'attachments': [1]}),
    ('snapshots-available', {},
     {'snapshots': [types.SimpleNamespace(id='s', status='error')]}),
    ('snapshots-included', {'include_snapshots': False}, {}),
    ('no-clone-in-progress', {}, {'clones': ['c']}),
    ('destination-differs', {'destination_host': 'h@a#a'}, {}),
])
def test_one_thing_is_wrong(name, record_, subject_):
    assert bad(record(**record_), subject(**subject_)) == [name]


def test_refusal_names_every_failed_check_and_its_remedy():
    checks = list(preflight.state_checks(record(previous_status='error'), subject(clones=['c'])))
    fault = preflight.refusal(checks)
    assert 'volume-status' in fault.message
    assert 'no-clone-in-progress' in fault.message
    assert 'available or in use' in fault.remedy
    assert 'Wait until' in fault.remedy


def room(free, total=10 * GIB, provisioned=0, pool='b', ratio='2.0', **promises):
    destination = types.SimpleNamespace(
        host=f'h@b#{pool}', promises=values.Promises(**promises),
        examined={'pools': [{'name': 'b', 'free_bytes': free, 'total_bytes': total,
                             'provisioned_bytes': provisioned,
                             'capabilities': {'max_over_subscription_ratio': ratio}}]})
    links = [types.SimpleNamespace(size_bytes=GIB), types.SimpleNamespace(size_bytes=2 * GIB)]
    return [check.name for check in preflight.failed(
        preflight._room(destination, links, totals=[30, 20], held=[30, 40]))]


def test_room_of_shared_blocks_is_what_differs():
    assert room(50, thin=True, snapshots_share_blocks=True) == []
    assert room(49, thin=True, snapshots_share_blocks=True) == ['physical-capacity']


def test_room_of_copies_is_what_each_holds():
    assert room(70, thin=True) == []
    assert room(69, thin=True) == ['physical-capacity']


def test_room_without_thin_provisioning_is_every_size():
    assert room(3 * GIB) == []
    assert room(3 * GIB - 1) == ['physical-capacity']


def test_virtual_size_is_held_against_the_ratio_where_it_is_thin():
    assert room(3 * GIB, provisioned=18 * GIB, thin=True) == []
    assert room(3 * GIB, provisioned=19 * GIB, thin=True) == ['virtual-capacity']
    assert room(3 * GIB, provisioned=9 * GIB) == ['virtual-capacity']


def test_automatic_ratio_follows_what_is_used():
    # 1 + 9 / (7 + 1) of 10 GiB is 21.25 GiB.
    assert room(3 * GIB, provisioned=9 * GIB, ratio='auto', thin=True) == []
    # 1 + 0.5 / (0 + 1) of 1 GiB is 1.5 GiB.
    assert room(GIB, total=GIB, provisioned=GIB // 2, ratio='auto', thin=True) == [
        'virtual-capacity']


def test_pool_that_cannot_tell_its_capacity_is_believed():
    assert room('infinite', thin=True) == []
    assert room(5, total='unknown') == []


def test_pool_that_is_not_there():
    assert room(9 * GIB, pool='x') == ['destination-pool']
