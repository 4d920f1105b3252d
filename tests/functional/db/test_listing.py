"""Pages of rows, on real databases: nothing is lost and nothing comes twice."""
# SPDX-License-Identifier: Apache-2.0

import itertools

import pytest

from cinder_ext import exceptions
from cinder_ext.db import listing, models, session

NAMES = ['a', 'b', None, 'a', None, 'c', 'b%', 'a']


@pytest.fixture
def volumes(make_volume):
    return [make_volume(name=name, size=number % 3 + 1) for number, name in enumerate(NAMES)]


def _walk(ctxt, keys, limit):
    """Every row by pages of ``limit``."""
    found, marker = [], None
    while True:
        page = listing.rows(ctxt, models.Volume, listing.Page(keys, marker, limit),
                            missing=exceptions.VolumeNotFound)
        if not page:
            return found
        found.extend(page)
        marker = page[-1].id


@pytest.mark.parametrize('limit', [1, 3])
@pytest.mark.parametrize('keys', [
    (('id', 'asc'),), (('created_at', 'desc'), ('id', 'desc')),
    *((('name', one), ('size', two), ('id', three))
      for one, two, three in itertools.product(('asc', 'desc'), repeat=3))])
def test_pages_are_the_whole_list(ctxt, volumes, keys, limit):
    whole = listing.rows(ctxt, models.Volume, listing.Page(keys))
    assert sorted(row.id for row in whole) == sorted(volumes)
    assert [row.id for row in _walk(ctxt, keys, limit)] == [row.id for row in whole]


def test_null_is_the_least_value(ctxt, volumes):
    rows = listing.rows(ctxt, models.Volume, listing.Page((('name', 'asc'), ('id', 'asc'))))
    assert [row.name for row in rows] == [None, None, 'a', 'a', 'a', 'b', 'b%', 'c']


def test_a_marker_must_be_in_the_list(ctxt, volumes):
    page = listing.Page(marker=volumes[0])
    with pytest.raises(exceptions.VolumeNotFound):
        listing.rows(ctxt, models.Volume, page, project_id='other',
                     missing=exceptions.VolumeNotFound)


@pytest.mark.parametrize(('comparison', 'value', 'count'), [
    ('eq', 'a', 3), ('eq', None, 2), ('neq', 'a', 3), ('gt', 'a', 3), ('lte', 'a', 3),
    ('like', '%', 1), ('like', 'b', 2), ('in', ('a', 'c'), 4)])
def test_conditions(ctxt, volumes, comparison, value, count):
    wanted = [listing.Condition('name', comparison, value)]
    assert len(listing.rows(ctxt, models.Volume, listing.Page(), wanted)) == count
    assert listing.count(ctxt, models.Volume, wanted) == count


def test_a_project_has_its_own_rows_only(ctxt, volumes, make_volume):
    make_volume(project_id='other')
    assert listing.count(ctxt, models.Volume, project_id='project') == len(NAMES)
    assert listing.count(ctxt, models.Volume) == len(NAMES) + 1


def test_deleted_rows_are_not_listed(ctxt, volumes):
    @session.writer
    def delete(context):
        context.session.get(models.Volume, volumes[0]).deleted_at = models.timeutils.utcnow()

    delete(ctxt)
    assert listing.count(ctxt, models.Volume) == len(NAMES) - 1


def test_metadata_must_all_be_there(ctxt, volumes):
    @session.writer
    def describe(context):
        for volume_id, key, value in ((volumes[0], 'a', '1'), (volumes[0], 'b', '2'),
                                      (volumes[1], 'a', '1')):
            context.session.add(models.VolumeMetadata(volume_id=volume_id, key=key, value=value))

    describe(ctxt)
    both = [listing.Condition('metadata', 'has', ('a', '1')),
            listing.Condition('metadata', 'has', ('b', '2'))]
    found = listing.rows(ctxt, models.Volume, listing.Page(), both,
                         metadata=(models.VolumeMetadata, 'volume_id'))
    assert [row.id for row in found] == [volumes[0]]
    assert listing.metadata_of(ctxt, models.VolumeMetadata, 'volume_id', volumes) == {
        volumes[0]: {'a': '1', 'b': '2'}, volumes[1]: {'a': '1'}}
