"""Microversions and the tables that are keyed by them."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.api import microversion


def test_versions_are_sequential():
    assert list(microversion.VERSIONS) == [f'3.{minor}' for minor in range(77)]
    assert all(change for _version, change in microversion.HISTORY)


@pytest.mark.parametrize(('header', 'version'), [
    (None, '3.0'), ('', '3.0'), (',', '3.0'), ('compute 2.1', '3.0'), ('volume 3.45', '3.45'),
    ('VOLUME 3.45', '3.45'), ('block-storage 3.45', '3.45'), ('compute 2.1, volume 3.50', '3.50'),
    ('volume latest', '3.76'), ('volume 3.1,volume 3.2', '3.2')])
def test_a_header_is_read(header, version):
    assert microversion.negotiate(header) == version


@pytest.mark.parametrize('header', ['volume', 'volume 3', 'volume 3.', 'volume 3.01', 'volume 3.1.2',
                                    'volume 3 1', 'volume -3.1', 'volume ٣.٣', 'volume x'])
def test_a_malformed_version_is_a_bad_request(header):
    with pytest.raises(exceptions.BadRequest):
        microversion.negotiate(header)


@pytest.mark.parametrize('header', ['volume 2.99', 'volume 3.77', 'volume 4.0', 'volume 0.0'])
def test_a_version_that_is_not_served_is_not_acceptable(header):
    with pytest.raises(exceptions.NotAcceptable):
        microversion.negotiate(header)


def test_the_newest_entry_not_above_the_version_counts():
    table = microversion.ByVersion({'3.2': 'two', '3.10': 'ten'})
    assert [table.at(version) for version in ('3.1', '3.2', '3.9', '3.10', '3.76')] == [
        None, 'two', 'two', 'ten', 'ten']


def test_every_addition_up_to_the_version_counts():
    table = microversion.Additions({'3.0': 'a', '3.2': 'b', '3.10': 'c'})
    assert table.upto('3.9') == ['a', 'b']


@pytest.mark.parametrize('entries', [{'3.77': 1}, {'3.10': 1, '3.9': 2}])
def test_a_table_of_unknown_or_unordered_versions_is_refused(entries):
    with pytest.raises(ValueError, match='unknown or out of order'):
        microversion.ByVersion(entries)
