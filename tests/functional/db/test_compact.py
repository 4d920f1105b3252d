"""What is read as one document is what stands in the columns."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import pytest
import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.api.resources import volume_view
from cinder_ext.db import compact, listing, models, session, volumes

TEXTS = ('', 'null', '[1, "2"]', '\\', '"', "'", '\\u0041', ''.join(map(chr, range(1, 32))),
         '\x7f\x80\x9f',
         '\u2028\u2029\ufeff\uffff', 'ü € 漢字 💾 % %s :name', ' x ')
TIMES = (datetime.datetime(2026, 3, 29, 1, 59, 59, 999999), datetime.datetime(1970, 1, 1),
         datetime.datetime(2026, 1, 1, 0, 0, 0, 1), datetime.datetime(9999, 12, 31, 23, 59, 59))


def _as_column(ctxt, volume_id):
    volume = volumes.get(ctxt, volume_id)
    return tuple(getattr(volume, name) for name in volume_view.COLUMNS)


def _same(ctxt, volume_id):
    wanted = _as_column(ctxt, volume_id)
    listed, = listing.rows(ctxt, models.Volume, listing.Page(), [
        listing.Condition('id', 'eq', volume_id)], columns=volume_view.COLUMNS)
    for row in (volumes.row(ctxt, volume_id, volume_view.COLUMNS), listed):
        assert tuple(row) == wanted
        assert [type(value) for value in row] == [type(value) for value in wanted]
        assert row.id == volume_id
        assert row.created_at == wanted[volume_view.COLUMNS.index('created_at')]


@pytest.mark.parametrize('number', range(len(TEXTS)))
def test_text_is_whole(ctxt, make_volume, number):
    _same(ctxt, make_volume(name=TEXTS[number], description=TEXTS[number] * 3))


@pytest.mark.parametrize('number', range(len(TIMES)))
def test_times_and_truths_are_of_their_kind(ctxt, make_volume, number):
    _same(ctxt, make_volume(created_at=TIMES[number], bootable=bool(number % 2),
                            shared_targets=(None, True, False, True)[number], size=2 ** 31 - 1))


def test_a_volume_of_another_project_or_a_deleted_one_is_not_there(ctxt, make_volume):
    volume_id = make_volume()
    columns = ('id', 'name')
    assert volumes.row(ctxt, volume_id, columns, 'project').id == volume_id
    with pytest.raises(exceptions.VolumeNotFound):
        volumes.row(ctxt, volume_id, columns, 'elsewhere')
    volumes.mark_deleted(ctxt, volume_id)
    with pytest.raises(exceptions.VolumeNotFound):
        volumes.row(ctxt, volume_id, columns)


def test_only_a_driver_in_python_is_asked_for_documents(ctxt, database):
    @session.reader
    def asked(context):
        return compact.is_compact(context)

    assert asked(ctxt) == ('pymysql' in database)


def test_a_column_of_documents_is_refused():
    shape = compact.of_table(models.Volume.__table__, ('id', 'request'))
    with pytest.raises(ValueError, match='documents'):
        shape.selected(True)
    assert len(shape.selected(False)) == 2


def test_no_row_is_an_empty_list(ctxt, database):
    shape = compact.of_table(models.Volume.__table__, ('id', 'name'))

    @session.reader
    def none(context):
        as_document = compact.is_compact(context)
        return shape.rows(context.session.execute(
            sa.select(*shape.selected(as_document)).where(sa.false())), as_document)

    assert none(ctxt) == []
