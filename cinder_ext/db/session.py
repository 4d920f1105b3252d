"""Transactions: who reads, who writes, and what is repeated when it was disturbed.

A function of this package is decorated with ``reader`` or ``writer`` and finds
the session in ``context.session``.  Called inside another one with the same
context and thread it joins that transaction.

SQLite: a transaction that reads before it writes cannot wait for a lock
(``busy_timeout`` does not help it), so writers begin with BEGIN IMMEDIATE;
WAL lets readers go on meanwhile.  Its waiting is not fair: those of this
process stand in a line (turns.py).  The log is synced at every commit: a
committed swap of records must survive a loss of power, since the source is
removed after it.

MariaDB and MySQL: READ COMMITTED, as PostgreSQL has it.  With their default a
transaction that waited for a lock goes on reading what was true before the
wait, so that a count behind a lock counts too little.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import functools
import math
import threading
import time
import warnings

import sqlalchemy as sa
from oslo_db import api as oslo_db_api
from oslo_db import exception as oslo_db_exception
from oslo_db.sqlalchemy import enginefacade
from oslo_log import log
from sqlalchemy import event, pool

from cinder_ext.db import away, turns

LOG = log.getLogger(__name__)

_local = threading.local()
_ENDED = 'cinder_ext.ended'
"""In the notes of a connection: whether its last transaction was committed or rolled back."""
_retry = oslo_db_api.wrap_db_retry(max_retries=20, retry_interval=0.05, inc_retry_interval=True,
                                   max_retry_interval=1, jitter=True, retry_on_deadlock=True,
                                   exception_checker=away.passes_at_once)
_PAUSES_SECONDS = (0.05, 0.1, 0.2)
_LONGEST_LOSS_SECONDS = 1.0
"""A loss that took longer to notice is not tried again: whoever asks waits long enough already."""


_BUSY_SECONDS = 30
"""So long a transaction waits for the lock of an SQLite file whose URL has no ``?timeout=``."""


class _Database:
    """The one database of this process; chosen by configure()."""

    conf = None
    manager = None
    turns = None


def configure(conf):
    """Bind the package to the database of ``[database] connection``.

    Called once per process, after any fork.
    """
    manager = enginefacade.transaction_context()
    manager.configure(connection=conf.database.connection,
                      max_pool_size=conf.database.max_pool_size,
                      max_overflow=conf.database.max_overflow,
                      max_retries=conf.database.max_retries,
                      retry_interval=conf.database.retry_interval,
                      # For green threads: it gives the processor away at every check-in.
                      thread_checkin=False,
                      sqlite_fk=True)
    manager.append_on_engine_create(_prepare)
    _Database.conf, _Database.manager = conf, manager
    is_sqlite = sa.make_url(conf.database.connection).get_backend_name() == 'sqlite'
    _Database.turns = turns.Turns() if is_sqlite else None


def options():
    """The options that configure() was given."""
    return _Database.conf


def get_engine():
    """The engine, for schema revisions and health checks."""
    return _Database.manager.writer.get_engine()


def answers():
    """Whether the database answers now."""
    try:
        with get_engine().connect() as connection:
            connection.execute(sa.text('SELECT 1'))
    except (oslo_db_exception.DBError, sa.exc.SQLAlchemyError, *away.FAULTS):
        return False
    return True


def dispose():
    """Close every pooled connection; for the end of a process or a test."""
    if _Database.manager is not None and _Database.manager.is_started:
        _Database.manager.dispose_pool()


def reader(function):
    """Run ``function(context, ...)`` in a reading transaction; repeated when that was disturbed.

    After a deadlock, and a few times when the connection was lost: one that lay idle while the
    database was started anew, or that somebody cut, says nothing about the database now.  Nothing
    that writes is: nobody knows whether what was lost had been committed.
    """
    return _connected_again(_in_transaction(function, writes=False))


def writer(function):
    """Run ``function(context, ...)`` in a writing transaction; repeated after a deadlock.

    It begins with the fence that the context carries, if any (db/lease.py): that is the one
    place by which everything that a worker stores has to come.
    """
    return _in_transaction(function, writes=True)


@contextlib.contextmanager
def reading(context):
    """One reading transaction for all that is read while the block runs.

    A connection is taken at the first statement only.
    """
    if _has_transaction(context):
        yield
        return
    with _begin_immediate(False), _Database.manager.reader.using(context):
        yield


def after_commit(function):
    """Call ``function()`` when the transaction that this thread is in has committed.

    It is not called when that is rolled back or repeated, and must not raise.

    :raises RuntimeError: there is no transaction
    """
    awaiting = getattr(_local, 'awaiting', None)
    if awaiting is None:
        raise RuntimeError('after_commit() outside of a transaction')
    awaiting.append(function)


@contextlib.contextmanager
def _awaiting_commit():
    before = getattr(_local, 'awaiting', None)
    _local.awaiting = []
    try:
        yield _local.awaiting
    finally:
        _local.awaiting = before


def _in_transaction(function, writes):
    @_retry
    def begin(context, *args, **kwargs):
        manager = _Database.manager.writer if writes else _Database.manager.reader
        with _awaiting_commit() as awaiting:
            with _turn(writes), _begin_immediate(writes), manager.using(context):
                if writes and getattr(context, 'fence', None) is not None:
                    context.fence.hold(context)
                result = function(context, *args, **kwargs)
        for each in awaiting:
            each()
        return result

    @functools.wraps(function)
    def call(context, *args, **kwargs):
        if _has_transaction(context):
            return function(context, *args, **kwargs)
        return begin(context, *args, **kwargs)

    return call


def _connected_again(call):
    """Repeat what only reads when its connection is lost, for a short time."""

    @functools.wraps(call)
    def again(context, *args, **kwargs):
        if _has_transaction(context):
            return call(context, *args, **kwargs)
        began = time.monotonic()
        for pause_seconds in _PAUSES_SECONDS:
            try:
                return call(context, *args, **kwargs)
            except oslo_db_exception.DBConnectionError as fault:
                if time.monotonic() - began > _LONGEST_LOSS_SECONDS:
                    raise
                LOG.info('%s lost its connection and is repeated: %s', call.__name__,
                         away.describe(fault))
            time.sleep(pause_seconds)
        return call(context, *args, **kwargs)

    return again


@contextlib.contextmanager
def _turn(writes):
    """Have the turn of this thread among those that write to a file of SQLite.

    Not again inside of one: there SQLite says that it cannot be.
    """
    line = _Database.turns
    if not writes or line is None or getattr(_local, 'has_turn', False):
        yield
        return
    with line.turn(_BUSY_SECONDS / 2) as _local.has_turn:
        try:
            yield
        finally:
            _local.has_turn = False


def _has_transaction(context):
    try:
        return context.session is not None
    except (oslo_db_exception.NoEngineContextEstablished,
            oslo_db_exception.ContextNotRequestedError):
        return False


@contextlib.contextmanager
def _begin_immediate(writes):
    before = getattr(_local, 'writes', False)
    _local.writes = writes
    try:
        yield
    finally:
        _local.writes = before


def end_idle(engine, seconds):
    """Have the server end a transaction in which nothing is asked for so long.

    A process that is frozen in the middle of one would keep its rows locked for ever.  An SQLite
    file has no server, and MySQL has no such limit.
    """
    whole = max(1, math.ceil(seconds))
    is_postgresql = engine.dialect.name == 'postgresql'
    if not is_postgresql and engine.dialect.name not in ('mysql', 'mariadb'):
        return

    @event.listens_for(engine, 'connect')
    def _limit(connection, _record):
        with connection.cursor() as cursor:
            if is_postgresql:
                cursor.execute(f"SET SESSION idle_in_transaction_session_timeout = '{whole}s'")
            elif _is_mariadb(cursor):
                cursor.execute(f'SET SESSION idle_write_transaction_timeout = {whole}')
        connection.commit()


def _is_mariadb(cursor):
    """Asked of the server: the dialect knows it after its first connection only."""
    cursor.execute('SELECT VERSION()')
    return 'MariaDB' in cursor.fetchone()[0]


def _prepare(engine):
    end_idle(engine, _Database.conf.migration.lease_seconds)
    if engine.dialect.name == 'postgresql':
        # oslo.db has tried a connection before.
        engine.dispose()
    if engine.dialect.name == 'sqlite':
        _prepare_sqlite(engine)
    elif engine.dialect.name in ('mysql', 'mariadb'):
        _prepare_mysql(engine)


def _prepare_mysql(engine):
    # A second statement on a connection whose rows are not all read loses the rest of them.
    warnings.filterwarnings('error', message='Previous unbuffered result was left incomplete')

    @event.listens_for(engine, 'connect')
    def _set(connection, _record):
        with connection.cursor() as cursor:
            # oslo.db asks for three bytes a character.
            cursor.execute('SET NAMES utf8mb4')
            cursor.execute('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED')

    _end_transactions_once(engine)
    # oslo.db has tried a connection before these listeners were there.
    engine.dispose()


def _end_transactions_once(engine):
    """Let a connection whose transaction has ended go back without being rolled back again.

    A session ends its transaction before it lets go of the connection, of which the pool does not
    know: a statement to the server for every transaction.  What did not end its transaction
    through SQLAlchemy is rolled back as ever.
    """
    # What the listener below does instead.
    engine.pool._reset_on_return = pool.reset_none

    def ended(connection):
        # One that was lost has no info, and asking for it would hide that it was lost.
        if not connection.invalidated:
            connection.info[_ENDED] = True

    event.listen(engine, 'commit', ended)
    event.listen(engine, 'rollback', ended)

    @event.listens_for(engine, 'begin')
    def _begun(connection):
        connection.info[_ENDED] = False

    @event.listens_for(engine, 'reset')
    def _reset(connection, record, _state):
        if connection is not None and not record.info.pop(_ENDED, False):
            connection.rollback()


def _prepare_sqlite(engine):
    old = engine.pool
    busy_milliseconds = int(float(engine.url.query.get('timeout', _BUSY_SECONDS)) * 1000)
    if isinstance(old, pool.NullPool):
        # oslo.db opens a file for every transaction; a pool triples the throughput.
        engine.pool = pool.QueuePool(old._creator, pool_size=5, max_overflow=50, timeout=30,
                                     dialect=engine.dialect, _dispatch=old.dispatch)

    @event.listens_for(engine, 'connect')
    def _pragmas(connection, _record):
        cursor = connection.cursor()
        # First the timeout: the others wait for locks too.
        for pragma in (f'busy_timeout={busy_milliseconds}', 'journal_mode=WAL', 'synchronous=FULL'):
            cursor.execute(f'PRAGMA {pragma}')
        cursor.close()

    @event.listens_for(engine, 'before_cursor_execute', retval=True)
    def _rewrite(_conn, _cursor, statement, parameters, _context, _many):
        if statement == 'BEGIN' and getattr(_local, 'writes', False):
            statement = 'BEGIN IMMEDIATE'
        return statement, parameters
