"""Who waits for the one lock of an SQLite file, for how long, and in which order."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import sqlite3
import threading
import time

import pytest
import sqlalchemy as sa

from cinder_ext import context
from cinder_ext.db import away, models, session, volumes

WRITERS = 5


@pytest.fixture
def url(tmp_path):
    return f'sqlite:///{tmp_path}/test.db'


@pytest.fixture
def aside(database, tmp_path):
    """A connection of somebody else."""
    made = sqlite3.connect(tmp_path / 'test.db', isolation_level=None)
    yield made
    made.close()


@pytest.fixture
def impatient(database, bind):
    """The package is bound to the file so that it waits for a tenth of a second."""
    bind(f'{database}?timeout=0.1')


def _rename(ctxt, volume_id, name='new'):
    volumes.update(ctxt, volume_id, {'name': name})


def test_the_url_says_how_long_to_wait(ctxt, make_volume, impatient, aside):
    volume_id, began = make_volume(), time.monotonic()
    aside.execute('BEGIN IMMEDIATE')
    with pytest.raises(sa.exc.OperationalError) as caught:
        _rename(ctxt, volume_id)
    assert 0.1 <= time.monotonic() - began < 5
    assert away.is_away(caught.value)
    aside.execute('ROLLBACK')
    _rename(ctxt, volume_id)
    assert volumes.get(ctxt, volume_id).name == 'new'


def test_otherwise_it_waits_for_half_a_minute(database):
    with session.get_engine().connect() as connection:
        assert connection.exec_driver_sql('PRAGMA busy_timeout').scalar() == 30000


def test_what_was_read_too_early_is_read_again(ctxt, make_volume, aside):
    """A transaction that reads, and then writes, cannot wait; it is repeated at once."""
    seen = []
    make_volume(name='a')

    @session.reader
    def late(context):
        name = context.session.execute(sa.select(models.Volume.name)).scalar_one()
        if not seen:
            aside.execute("UPDATE volumes SET name = 'b'")
        seen.append(name)
        context.session.execute(sa.update(models.Volume).values(name=name + 'c'))

    late(ctxt)
    assert seen == ['a', 'b']


def test_writers_are_served_in_the_order_in_which_they_came(ctxt, make_volume):
    volume_id, served, is_held, go_on = make_volume(), [], threading.Event(), threading.Event()

    @session.writer
    def hold(context):
        _rename(context, volume_id)
        is_held.set()
        assert go_on.wait(20)

    @session.writer
    def serve(context, number):
        served.append(number)

    with concurrent.futures.ThreadPoolExecutor(WRITERS + 1) as pool:
        asked = [pool.submit(hold, _other())]
        assert is_held.wait(20)
        for number in range(WRITERS):
            asked.append(pool.submit(serve, _other(), number))
            while len(session._Database.turns._waiting) <= number:
                time.sleep(0.001)
        go_on.set()
        for each in asked:
            each.result(20)
    assert served == list(range(WRITERS))


def test_a_second_transaction_of_the_one_who_writes_is_refused(ctxt, make_volume, impatient):
    volume_id = make_volume()

    @session.writer
    def twice(context):
        _rename(context, volume_id, 'outer')
        _rename(_other(), volume_id, 'inner')

    began = time.monotonic()
    with pytest.raises(sa.exc.OperationalError, match='locked'):
        twice(ctxt)
    assert time.monotonic() - began < 5
    _rename(ctxt, volume_id, 'later')
    assert volumes.get(ctxt, volume_id).name == 'later'


def _other():
    return context.RequestContext(is_admin=True, overwrite=False)
