"""Checks that need only records."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext.db import migration_facts
from cinder_ext.volume.migration import preflight, preflight_records

LUKS = types.SimpleNamespace(provider='luks', cipher='aes', key_size=256,
                             control_location='front-end')
LUKS2 = types.SimpleNamespace(provider='luks2', cipher='aes', key_size=256,
                              control_location='front-end')


def snapshot(**columns):
    return types.SimpleNamespace(
        **{'id': 's', 'status': 'available', 'group_snapshot_id': None, **columns})


def volume(**columns):
    return types.SimpleNamespace(**{
        'host': 'h@a#a', 'size': 5, 'group_id': None, 'replication_status': None,
        'encryption_key_id': None, **columns})


def service(**columns):
    return types.SimpleNamespace(**{'disabled': False, 'frozen': False, **columns})


def subject(**changes):
    return migration_facts.Subject(**{
        'volume': volume(), 'snapshots': [snapshot()], 'attachments': [], 'clones': [],
        'dependents': [], 'others': [], 'source_service': service(),
        'destination_service': service(), 'source_encryption': None,
        'destination_encryption': None, 'specs': {}, 'lacking': [], **changes})


def record(**changes):
    return types.SimpleNamespace(**{'previous_status': 'available', 'include_snapshots': True,
                                    'destination_host': 'h@b#b', **changes})


def checks(record_, subject_, needs_source=True):
    driver = types.SimpleNamespace(clones_need_their_source=needs_source)
    return list(preflight_records.checks(record_, subject_, driver))


def bad(*args, **kwargs):
    return [check.name for check in preflight.failed(checks(*args, **kwargs))]


def test_all_is_well():
    assert bad(record(), subject()) == []


@pytest.mark.parametrize(('name', 'record_', 'subject_'), [
    ('volume-status', {'previous_status': 'reserved'}, {}),
    ('volume-detached', {}, {'attachments': [1]}),
    ('no-other-migration', {}, {'others': ['m']}),
    ('source-not-frozen', {}, {'source_service': service(frozen=True)}),
    ('snapshots-available', {}, {'snapshots': [snapshot(status='error')]}),
    ('snapshots-included', {'include_snapshots': False}, {}),
    ('no-clone-in-progress', {}, {'clones': ['c']}),
    ('no-dependent-clones', {}, {'dependents': ['c']}),
    ('not-in-group', {}, {'volume': volume(group_id='g')}),
    ('no-group-snapshots', {}, {'snapshots': [snapshot(group_snapshot_id='g')]}),
    ('not-replicated', {}, {'volume': volume(replication_status='enabled')}),
    ('not-replicated', {}, {'volume': volume(replication_status='failover-error')}),
    ('encryption', {}, {'source_encryption': LUKS}),
    ('encryption', {}, {'destination_encryption': LUKS}),
    ('encryption', {}, {'source_encryption': LUKS, 'destination_encryption': LUKS2}),
    ('type-size-limits', {}, {'specs': {'provisioning:max_vol_size': '4'}}),
    ('type-size-limits', {}, {'specs': {'provisioning:min_vol_size': '6'}}),
    ('quota', {}, {'lacking': ['Quota exceeded.']}),
    ('destination-differs', {'destination_host': 'h@a#a'}, {}),
    ('destination-enabled', {}, {'destination_service': service(disabled=True)}),
    ('destination-enabled', {}, {'destination_service': service(frozen=True)}),
])
def test_one_thing_is_wrong(name, record_, subject_):
    assert bad(record(**record_), subject(**subject_)) == [name]


@pytest.mark.parametrize('subject_', [
    {'volume': volume(replication_status='disabled')},
    {'volume': volume(replication_status='not-capable')},
    {'specs': {'provisioning:min_vol_size': '5', 'provisioning:max_vol_size': '5'}},
    {'specs': {'provisioning:max_vol_size': 'many'}},
])
def test_that_is_no_fault(subject_):
    assert bad(record(), subject(**subject_)) == []


def test_clones_that_are_independent_may_stay():
    assert bad(record(), subject(dependents=['c']), needs_source=False) == []


def test_same_key_and_provider_are_copied_raw_and_it_says_so():
    encrypted = subject(volume=volume(encryption_key_id='k'), source_encryption=LUKS,
                        destination_encryption=LUKS)
    [check] = [each for each in checks(record(), encrypted) if each.name == 'encryption']
    assert check.passed
    assert 'the ciphertext is copied as it is (luks)' in check.detail


def test_without_a_destination_what_asks_for_it_is_not_looked_at():
    found = {check.name: check.passed for check in checks(record(destination_host=None), subject())}
    assert (found['destination-differs'], found['destination-enabled']) == (None, None)
    assert found['volume-status'] is True
