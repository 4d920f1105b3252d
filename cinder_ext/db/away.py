"""Which faults of a database pass by themselves: it is away, locked, full or stopping.

::

    caller                 what passes
    ---------------------  ------------------------------------------------------------
    a transaction          what passes_at_once is repeated, as a deadlock is (session.py)
    the API                503 with Retry-After
    a flow, a sweep        left as it stands and taken up again
    another service        DatabaseAway, which it takes for a loss of its own (rpc/transport.py)

What a driver calls an OperationalError is not all of that kind: SQLite and PyMySQL say so of an
unknown column too, and that is a fault of ours which no waiting mends.

Source: sqlite3's result codes (rescode.html), MariaDB's error codes, PostgreSQL's appendix A.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception

from cinder_ext import exceptions

FAULTS = (oslo_db_exception.DBConnectionError, oslo_db_exception.DBDeadlock,
          oslo_db_exception.DBNonExistentDatabase, oslo_db_exception.CantStartEngineError,
          sa.exc.OperationalError, sa.exc.TimeoutError,
          exceptions.DatabaseAway)
"""Classes for ``except`` where what is not certain to pass has to wait too.

DBNonExistentDatabase is also SQLite's file that cannot be opened, for want of descriptors say;
TimeoutError is a pool whose connections are all in use; DatabaseAway comes from another service
that was asked and cannot reach the database itself.
"""

_CERTAIN = tuple(kind for kind in FAULTS if kind is not sa.exc.OperationalError)

_NAMES = frozenset(kind.__name__ for kind in FAULTS)

_SQLITE = frozenset({
    5, 6,           # BUSY, LOCKED: somebody else writes
    7, 9,           # NOMEM, INTERRUPT
    8, 10, 13, 14,  # READONLY, IOERR, FULL, CANTOPEN: the file system
    15,             # PROTOCOL: no place among the readers of the log after a hundred attempts
})
"""Primary result codes."""

_SQLITE_AT_ONCE = frozenset({
    15,
    261,  # BUSY_RECOVERY: another process mends the log that a killed one has left
    517,  # BUSY_SNAPSHOT: what was read is not the newest any more
})
"""Result codes for which busy_timeout does nothing, so that they come without any waiting."""

_MYSQL = frozenset({
    1021, 1114,              # disk full, table full
    1037, 1038, 1041, 1135,  # out of memory, no thread
    1040, 1203, 1226,        # too many connections
    1053, 1152, 1184, 1927,  # stopping, connection aborted or killed
    1158, 1159, 1160, 1161,  # the network
    1205, 1206, 1213,        # locks
    1290, 1792, 1836,        # writes are not allowed now
    1317, 1969, 3024,        # interrupted
    2002, 2003, 2006, 2013, 2055, 4031,
})

_POSTGRESQL = ('08', '40', '53', '55', '57', '58')
"""Classes of SQLSTATE: connection, rollback, resources, state, operator, system."""


def is_away(fault):
    """Whether what went wrong with the database passes without anybody changing the code."""
    if isinstance(fault, _CERTAIN):
        return True
    return isinstance(fault, sa.exc.OperationalError) and _passes(fault.orig)


def passes_at_once(fault):
    """Whether the same transaction may well succeed right now: nobody has waited yet."""
    return getattr(getattr(fault, 'orig', None), 'sqlite_errorcode', None) in _SQLITE_AT_ONCE


@contextlib.contextmanager
def told():
    """Raise DatabaseAway for what passes: a name that another service knows.

    :raises DatabaseAway: the database was lost in the block; what the block was about to write
        may have been written
    """
    try:
        yield
    except FAULTS as fault:
        if isinstance(fault, exceptions.DatabaseAway) or not is_away(fault):
            raise
        raise exceptions.DatabaseAway from fault


def is_told(fault):
    """Whether another service says with a fault that it cannot reach the database.

    One of a version without DatabaseAway tells no more than the name of what it met itself.
    """
    return (isinstance(fault, exceptions.DatabaseAway)
            or getattr(fault, 'exc_type', None) in _NAMES)


def describe(fault):
    """What the driver says, without the statement and its values, which may be secrets."""
    if isinstance(fault, exceptions.DatabaseAway):
        return fault.message
    said = getattr(fault, 'orig', None) or getattr(fault, 'inner_exception', None) or fault
    said = getattr(said, 'orig', None) or said
    return f'{type(said).__name__}: {said}'


def _passes(said):
    code = getattr(said, 'sqlite_errorcode', None)
    if code is not None:
        return code & 0xFF in _SQLITE
    if hasattr(said, 'sqlstate') and not isinstance(next(iter(said.args), None), int):
        # Without a state it did not come from the server.
        return said.sqlstate is None or said.sqlstate[:2] in _POSTGRESQL
    return next(iter(said.args), None) in _MYSQL
