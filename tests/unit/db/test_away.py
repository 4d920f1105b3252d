"""Which faults of a database pass: real ones of SQLite, and what the servers' drivers raise."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import sqlite3

import oslo_messaging
import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception

from cinder_ext import exceptions
from cinder_ext.db import away


@pytest.fixture
def open_file(tmp_path):
    """open_file() -> one more connection to one file in WAL mode; it waits for nothing."""
    with contextlib.ExitStack() as opened:
        def connect():
            made = opened.enter_context(contextlib.closing(sqlite3.connect(
                tmp_path / 'test.db', timeout=0, isolation_level=None)))
            made.execute('PRAGMA journal_mode=WAL')
            return made
        connect().execute('CREATE TABLE things (name)')
        yield connect


def _wrapped(orig):
    return sa.exc.OperationalError('INSERT INTO t VALUES (?)', ('secret',), orig)


def _fault(connection, statement):
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute(statement)
    return _wrapped(caught.value)


def test_a_locked_file_passes_but_not_at_once(open_file):
    open_file().execute('BEGIN IMMEDIATE')
    fault = _fault(open_file(), 'BEGIN IMMEDIATE')
    assert away.is_away(fault)
    assert not away.passes_at_once(fault)


def test_a_reader_that_writes_too_late_passes_at_once(open_file):
    late, other = open_file(), open_file()
    late.execute('BEGIN')
    late.execute('SELECT * FROM things').fetchall()
    other.execute("INSERT INTO things VALUES ('new')")
    fault = _fault(late, "INSERT INTO things VALUES ('late')")
    assert fault.orig.sqlite_errorname == 'SQLITE_BUSY_SNAPSHOT'
    assert away.is_away(fault)
    assert away.passes_at_once(fault)


def test_an_unknown_column_or_table_does_not_pass(open_file):
    for name in ('colour', 'name FROM nothings'):
        fault = _fault(open_file(), f'SELECT {name}')
        assert not away.is_away(fault)
        assert not away.passes_at_once(fault)


@pytest.mark.parametrize(('orig', 'passes'), [
    (pymysql.err.OperationalError(2003, "Can't connect to MySQL server"), True),
    (pymysql.err.OperationalError(1040, 'Too many connections'), True),
    (pymysql.err.OperationalError(1053, 'Server shutdown in progress'), True),
    (pymysql.err.OperationalError(1290, 'running with the --read-only option'), True),
    (pymysql.err.OperationalError(1054, 'Unknown column'), False),
    (pymysql.err.OperationalError(1142, 'SELECT command denied'), False),
    (psycopg.OperationalError('connection refused'), True),
    (psycopg.errors.AdminShutdown('terminating connection'), True),
    (psycopg.errors.CannotConnectNow('the database system is starting up'), True),
    (psycopg.errors.TooManyConnections('sorry, too many clients already'), True),
    (psycopg.errors.StatementTooComplex('stack depth'), False),
    (psycopg.errors.InvalidPassword('password authentication failed'), False),
], ids=lambda value: '' if isinstance(value, bool) else str(value.args[-1]))
def test_what_a_server_says_passes_or_not_by_its_code(orig, passes):
    assert away.is_away(_wrapped(orig)) is passes
    assert not away.passes_at_once(_wrapped(orig))


@pytest.mark.parametrize('fault', [
    oslo_db_exception.DBConnectionError(), oslo_db_exception.DBDeadlock(),
    oslo_db_exception.DBNonExistentDatabase(None), oslo_db_exception.CantStartEngineError(),
    sa.exc.TimeoutError('QueuePool limit')], ids=lambda fault: type(fault).__name__)
def test_a_database_that_cannot_be_reached_passes(fault):
    assert away.is_away(fault)
    assert isinstance(fault, away.FAULTS)


@pytest.mark.parametrize('fault', [
    oslo_db_exception.DBDuplicateEntry(), oslo_db_exception.DBDataError(),
    sa.exc.ProgrammingError('', None, None), ValueError()], ids=lambda fault: type(fault).__name__)
def test_a_fault_of_the_program_does_not_pass(fault):
    assert not away.is_away(fault)


@pytest.mark.parametrize('wrap', [
    lambda fault: fault, oslo_db_exception.DBConnectionError], ids=['plain', 'translated'])
def test_a_description_tells_no_values(wrap):
    fault = wrap(_wrapped(sqlite3.OperationalError('database is locked')))
    assert 'secret' in str(fault)
    assert away.describe(fault) == 'OperationalError: database is locked'
    assert away.describe(sa.exc.TimeoutError('QueuePool limit')) == 'TimeoutError: QueuePool limit'


@pytest.mark.parametrize('fault', [
    oslo_db_exception.DBConnectionError(), oslo_db_exception.DBDeadlock(),
    _wrapped(pymysql.err.OperationalError(1040, 'Too many connections'))],
    ids=lambda fault: type(fault).__name__)
def test_what_passes_is_told_by_one_name(fault):
    with pytest.raises(exceptions.DatabaseAway) as raised, away.told():
        raise fault
    assert raised.value.__cause__ is fault
    assert away.is_told(raised.value)
    assert away.is_away(raised.value)


def test_what_another_service_told_is_told_on():
    first = exceptions.DatabaseAway()
    with pytest.raises(exceptions.DatabaseAway) as raised, away.told():
        raise first
    assert raised.value is first


@pytest.mark.parametrize('fault', [
    oslo_db_exception.DBDuplicateEntry(), exceptions.NotFound(), ValueError(),
    _wrapped(pymysql.err.OperationalError(1054, "Unknown column 'colour'"))],
    ids=lambda fault: type(fault).__name__)
def test_any_other_fault_is_told_as_what_it_is(fault):
    with pytest.raises(type(fault)) as raised, away.told():
        raise fault
    assert raised.value is fault


def test_a_service_of_before_tells_it_by_the_name_of_its_fault():
    def remote(exc_type):
        return oslo_messaging.RemoteError(exc_type, 'what it said', [])

    assert away.is_told(remote('DBConnectionError'))
    assert not away.is_told(remote('DBDataError'))
    assert not away.is_told(None)
