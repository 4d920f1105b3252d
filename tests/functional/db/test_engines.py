"""What databases do differently if one lets them: every one of them must do the same."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import datetime
import threading
import warnings

import pytest
import servers
import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import listing, models, session, volume_types, volumes

ROWS = 1500
MARIADB = [url for url in servers.database_urls() if servers.kind(url) == 'mysql']


def _other():
    return contexts.RequestContext(user_id='other', project_id='project', overwrite=False)


@session.writer
def _add(context, *rows):
    context.session.add_all(rows)


# Text, time, documents

def test_names_that_differ_in_case_accent_or_spaces_are_different(ctxt, make_volume):
    names = ['disk', 'Disk', 'dîsk', 'disk ', 'ｄisk']
    for name in names:
        make_volume(name=name)
    for name in names:
        wanted = [listing.Condition('name', 'eq', name)]
        assert [row.name for row in listing.rows(ctxt, models.Volume, listing.Page(), wanted)] == [name]


def test_keys_of_metadata_that_differ_in_case_or_spaces_stand_side_by_side(ctxt, make_volume):
    volume_id = make_volume()
    metadata = {'key': '1', 'Key': '2', 'KEY': '3', 'key ': '4', 'kéy': '5'}
    _add(ctxt, *(models.VolumeMetadata(volume_id=volume_id, key=key, value=value)
                 for key, value in metadata.items()))
    assert volumes.metadata(ctxt, volume_id) == metadata


def test_types_may_have_names_that_differ_in_case(database, ctxt):
    lower, upper = (volume_types.create(ctxt, {'name': name}) for name in ('fast', 'FAST'))
    assert volume_types.get_by_name_or_id(ctxt, 'fast').id == lower.id
    assert volume_types.get_by_name_or_id(ctxt, 'FAST').id == upper.id
    with pytest.raises(exceptions.AlreadyExists):
        volume_types.create(ctxt, {'name': 'fast'})


def test_part_of_a_name_is_found_whatever_its_case(ctxt, make_volume):
    make_volume(name='MyDisk')
    wanted = [listing.Condition('name', 'like', 'ydISK')]
    assert listing.count(ctxt, models.Volume, wanted) == 1


def test_text_beyond_the_basic_plane_is_kept(ctxt, make_volume):
    text = 'ü € 漢字 💾 \t\n \\ \' " % _'
    volume_id = make_volume(name=text, description=text)
    row = volumes.get(ctxt, volume_id)
    assert (row.name, row.description) == (text, text)


def test_times_keep_their_microseconds(ctxt, make_volume):
    moment = datetime.datetime(2026, 3, 29, 1, 59, 59, 999999)
    volume_id = make_volume(created_at=moment)
    assert volumes.get(ctxt, volume_id).created_at == moment
    for comparison, count in (('eq', 1), ('lt', 0), ('gte', 1)):
        wanted = [listing.Condition('created_at', comparison, moment)]
        assert listing.count(ctxt, models.Volume, wanted) == count


def test_documents_come_back_as_they_went(ctxt, make_volume):
    document = {'ü 💾': [1, 2.5, None, True, {'deep': ['"', "'", '\\', '\n']}], 'big': 2 ** 60, '': {}}
    assert volumes.get(ctxt, make_volume(request=document)).request == document


@pytest.mark.parametrize('url', MARIADB, ids=servers.kind)
def test_every_text_of_mariadb_is_compared_exactly(database):
    query = sa.text('SELECT table_name, column_name, collation_name FROM information_schema.columns '
                    'WHERE table_schema = DATABASE() AND collation_name IS NOT NULL '
                    "AND collation_name NOT LIKE '%bin' AND table_name != 'alembic_version'")
    with session.get_engine().connect() as connection:
        assert connection.execute(query).all() == []


# Long lists

@pytest.fixture
def long_list(ctxt, make_volume):
    """Volumes with two keys of metadata each; some of them were created at one moment."""
    moment = datetime.datetime(2026, 1, 1)

    @session.writer
    def fill(context):
        ids = [f'{number:036d}' for number in range(ROWS)]
        context.session.execute(sa.insert(models.Volume), [
            {'id': row_id, 'project_id': 'project', 'user_id': 'user', 'size': 1,
             'status': 'available', 'attach_status': 'detached', 'name': f'name {number % 7}',
             'created_at': moment + datetime.timedelta(microseconds=number // 3)}
            for number, row_id in enumerate(ids)])
        context.session.execute(sa.insert(models.VolumeMetadata), [
            {'volume_id': row_id, 'key': key, 'value': row_id} for row_id in ids for key in 'ab'])
        return ids

    return fill(ctxt)


def test_a_list_of_1500_rows_is_whole_with_its_metadata(ctxt, long_list):
    @session.reader
    def both(context):
        rows = listing.rows(context, models.Volume, listing.Page())
        return rows, listing.metadata_of(context, models.VolumeMetadata, 'volume_id',
                                         [row.id for row in rows])

    rows, metadata = both(ctxt)
    assert [row.id for row in rows] == long_list[::-1]
    assert metadata == {row_id: {'a': row_id, 'b': row_id} for row_id in long_list}


@pytest.mark.parametrize('keys', [
    (('created_at', 'asc'), ('id', 'desc')), (('name', 'desc'), ('created_at', 'asc'), ('id', 'asc'))])
def test_pages_of_a_long_list_lose_nothing(ctxt, long_list, keys):
    found, marker = [], None
    while page := listing.rows(ctxt, models.Volume, listing.Page(keys, marker, 400),
                               missing=exceptions.VolumeNotFound):
        found.extend(row.id for row in page)
        marker = page[-1].id
    assert sorted(found) == long_list


def test_a_statement_beside_an_unread_stream_loses_no_rows_silently(
        ctxt, database, bind, long_list):
    @session.reader
    def beside(context):
        query = sa.select(models.Volume.id).execution_options(yield_per=100)
        found = []
        for row in context.session.execute(query):
            found.append(row.id)
            if len(found) == 150:
                context.session.execute(sa.select(sa.func.count()).select_from(models.Volume)).all()
        return found

    with warnings.catch_warnings():
        # The rule is the package's own, whatever the test runner does with warnings.
        warnings.simplefilter('ignore')
        bind(database)
        if servers.kind(database) == 'mysql':
            with pytest.raises(oslo_db_exception.DBError, match='unbuffered'):
                beside(ctxt)
        else:
            assert len(beside(ctxt)) == ROWS


# Transactions

def test_who_waited_for_a_lock_sees_what_was_done_meanwhile(ctxt, make_volume):
    """A count behind a lock row counts what the holder of the lock added."""
    lock, began, seen = make_volume(), threading.Event(), threading.Event()

    def take(context):
        context.session.execute(sa.update(models.Volume).where(models.Volume.id == lock)
                                .values(status='in-use'))

    def count(context):
        return context.session.execute(sa.select(sa.func.count()).select_from(models.Volume)).scalar()

    @session.writer
    def first(context):
        take(context)
        began.set()
        # SQLite lets no second writer begin.
        seen.wait(0.5)
        context.session.add(models.Volume(project_id='project', user_id='user', size=1,
                                          status='available'))

    @session.writer
    def second(context):
        count(context)
        seen.set()
        take(context)
        return count(context)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        held = pool.submit(first, _other())
        assert began.wait(10)
        assert pool.submit(second, ctxt).result(20) == 2
        held.result()


def test_a_deadlock_is_repeated_until_both_are_done(make_volume):
    one, two = make_volume(name=''), make_volume(name='')
    meeting, attempts = threading.Barrier(2), []

    @session.writer
    def both(context, order):
        attempts.append(order)
        for row_id in order:
            context.session.execute(sa.update(models.Volume).where(models.Volume.id == row_id)
                                    .values(size=models.Volume.size + 1))
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(1)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(both, _other(), order) for order in ((one, two), (two, one))]:
            done.result(30)
    assert {volumes.get(_other(), row_id).size for row_id in (one, two)} == {3}
    assert len(attempts) == (2 if session.get_engine().dialect.name == 'sqlite' else 3)


def test_connections_that_the_server_closed_are_replaced(ctxt, make_volume):
    volume_id = make_volume()
    engine = session.get_engine()
    if engine.dialect.name != 'sqlite':
        _close_all_connections(engine)
    assert volumes.get(ctxt, volume_id).id == volume_id
    volumes.update(ctxt, volume_id, {'name': 'still here'})
    assert volumes.get(ctxt, volume_id).name == 'still here'


def _close_all_connections(engine):
    """As a restart of the server does."""
    aside = sa.create_engine(engine.url, poolclass=sa.NullPool, isolation_level='AUTOCOMMIT')
    with aside.connect() as connection:
        if engine.dialect.name == 'mysql':
            own = connection.exec_driver_sql('SELECT CONNECTION_ID()').scalar()
            query = ('SELECT id FROM information_schema.processlist '
                     f'WHERE db = DATABASE() AND id != {own}')
            for number in connection.exec_driver_sql(query).scalars().all():
                connection.exec_driver_sql(f'KILL {number}')
        else:
            connection.exec_driver_sql(
                'SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
                'WHERE datname = current_database() AND pid != pg_backend_pid()')


# Connections

@pytest.mark.parametrize('url', MARIADB, ids=servers.kind)
def test_a_transaction_is_ended_with_one_statement(database, ctxt):
    @session.reader
    def ended(context):
        query = sa.text("SHOW SESSION STATUS WHERE variable_name IN ('Com_rollback', 'Com_commit')")
        return {name: int(value) for name, value in context.session.execute(query)}

    @session.writer
    def write(context):
        context.session.execute(sa.delete(models.Volume))

    first, second = ended(ctxt), ended(ctxt)
    write(ctxt)
    third = ended(ctxt)
    assert (second['Com_rollback'] - first['Com_rollback'],
            second['Com_commit'] - first['Com_commit']) == (1, 0)
    assert (third['Com_rollback'] - second['Com_rollback'],
            third['Com_commit'] - second['Com_commit']) == (1, 1)


@pytest.mark.parametrize('url', MARIADB, ids=servers.kind)
def test_what_is_left_undone_on_a_connection_is_rolled_back(ctxt, make_volume):
    volume_id = make_volume(name='before')
    for _ in range(2):
        raw = session.get_engine().raw_connection()
        raw.cursor().execute("UPDATE volumes SET name = 'after'")
        raw.close()
        with session.get_engine().connect() as connection:
            connection.exec_driver_sql("UPDATE volumes SET name = 'after'")
        assert volumes.get(ctxt, volume_id).name == 'before'
    volumes.update(ctxt, volume_id, {'name': 'later'})
    assert volumes.get(ctxt, volume_id).name == 'later'


_KILL = {'mysql': 'KILL CONNECTION {}', 'postgresql': 'SELECT pg_terminate_backend({})'}
_OWN = {'mysql': 'SELECT CONNECTION_ID()', 'postgresql': 'SELECT pg_backend_pid()'}


@pytest.mark.parametrize('url', servers.database_urls(), ids=servers.kind)
def test_connection_lost_in_a_transaction_is_told_as_lost(url, database, ctxt):
    """Whoever undoes the transaction gives no other fault instead: it passes, others do not."""
    kind = servers.kind(url)

    tries = []

    @session.writer
    def lose(context):
        tries.append(1)
        _cut(context, kind)
        volumes.update(context, 'nobody', {'name': 'x'})

    with pytest.raises(oslo_db_exception.DBConnectionError):
        lose(ctxt)
    assert len(tries) == 1
    assert volumes.unfinished(ctxt, None) == []


@pytest.mark.parametrize('url', servers.database_urls(), ids=servers.kind)
def test_what_only_reads_is_repeated_when_its_connection_is_lost(url, database, ctxt, make_volume):
    kind, tries, volume_id = servers.kind(url), [], make_volume(name='disk')

    @session.reader
    def read(context, losses):
        tries.append(1)
        if len(tries) <= losses:
            _cut(context, kind)
        return volumes.get(context, volume_id).name

    assert read(ctxt, 2) == 'disk'
    assert len(tries) == 3
    tries.clear()
    with pytest.raises(oslo_db_exception.DBConnectionError):
        read(ctxt, 100)
    assert len(tries) == 4


def _cut(context, kind):
    """Have the server end the connection of a transaction."""
    number = context.session.execute(sa.text(_OWN[kind])).scalar_one()
    with session.get_engine().connect() as other:
        other.execute(sa.text(_KILL[kind].format(number)))
