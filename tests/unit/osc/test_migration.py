"""How the commands read rates and show records."""
# SPDX-License-Identifier: Apache-2.0

import argparse

import pytest

from cinder_ext.osc import migration

RECORD = {
    'id': 'one', 'volume_id': 'v', 'operation': 'migrate', 'phase': 'leftovers', 'percent': 100,
    'paused': False, 'bytes': {'done': 1, 'total': 2}, 'source': {'host': 'a@b#c', 'type': 'gold'},
    'destination': {'host': None, 'type': None},
    'checks': [{'name': 'room', 'passed': False, 'detail': 'none', 'remedy': 'Make some.'},
               {'name': 'ends', 'passed': True, 'detail': 'found', 'remedy': ''},
               {'name': 'last', 'passed': None, 'detail': 'no answer', 'remedy': ''}],
    'leftovers': [{'kind': 'volume', 'name_id': 'x', 'host': 'a@b#c', 'reason': 'busy',
                   'acknowledged': True}],
    'links': [{'number': 0, 'snapshot_id': None, 'percent': 100, 'bytes_read': 2048,
               'bytes_written': 1024, 'rate_bytes_per_second': 512, 'retries': 1,
               'digest': None}]}


@pytest.mark.parametrize(('text', 'expected'), [
    ('0', 0), ('1048576', 1 << 20), ('500K', 500 << 10), ('10M', 10 << 20), ('10MiB', 10 << 20),
    ('2GB', 2 << 30), ('1T', 1 << 40)])
def test_rate_is_in_powers_of_1024(text, expected):
    assert migration.rate(text) == expected


@pytest.mark.parametrize('text', ['', '-1', '1.5M', 'M', '10m', '1e3', '٣', '1 M', '9' * 20])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        migration.rate(text)


def test_details_are_flat_and_say_what_failed():
    shown = dict(zip(*migration.details(RECORD), strict=True))
    assert shown['source'] == 'a@b#c (type gold)'
    assert shown['destination'] == '- (type -)'
    assert shown['checks'] == ('FAILED: room: none. Make some.\npassed: ends: found\n'
                               'NOT LOOKED AT: last: no answer. ')
    assert shown['leftovers'] == 'volume x at a@b#c: busy (acknowledged)'
    assert shown['links'] == ('0: volume, 100 %, 2.0 KiB read, 1.0 KiB written, 512 B/s, '
                              '1 retries, digest -')


def test_details_do_without_what_owners_do_not_see():
    hidden = {key: value for key, value in RECORD.items()
              if key not in ('source', 'destination', 'checks', 'leftovers')}
    shown = dict(zip(*migration.details(hidden), strict=True))
    assert (shown['source'], shown['checks'], shown['leftovers']) == ('- (type -)', '', '')
