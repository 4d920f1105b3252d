"""Pages of what a backend has to be managed."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.volume.manage import pages

ENTRIES = [{'reference': {'source-name': name}, 'size': size}
           for name, size in (('b', 1), ('c', 2), ('a', 1))]


def names(*args, **keywords):
    return ''.join(each['reference']['source-name'] for each in pages.page(ENTRIES, *args, **keywords))


@pytest.mark.parametrize(('keys', 'expected'), [
    ([('reference', 'asc')], 'abc'), ([('reference', 'desc')], 'cba'),
    ([('size', 'desc'), ('reference', 'asc')], 'cab'),
    ([('size', 'asc'), ('reference', 'desc')], 'bac')],
    ids=['up', 'down', 'size', 'size-down'])
def test_entries_are_sorted_by_every_key(keys, expected):
    assert names(keys) == expected


def test_a_page_follows_its_marker():
    assert names([('reference', 'asc')], '{"source-name": "a"}', 1) == 'b'
    assert names([('reference', 'asc')], '{"source-name": "a"}', None, 1) == 'c'
    assert names([('reference', 'asc')], '{"source-name": "c"}') == ''


@pytest.mark.parametrize('marker', ['a', '{"source-name": "z"}', '[]', '1'])
def test_a_marker_that_is_none_is_refused(marker):
    with pytest.raises(exceptions.InvalidInput):
        names([('reference', 'asc')], marker)


@pytest.mark.parametrize(('size_bytes', 'gib'), [(0, 1), (1, 1), (1 << 30, 1), ((1 << 30) + 1, 2)])
def test_sizes_are_rounded_up(size_bytes, gib):
    assert pages.gib(size_bytes) == gib
