"""A volume service of all backends, with a point at which it freezes itself (STOP).

The directory of the environment's ``FREEZE`` says where and tells what happened:

``armed``
    the next point; it is removed when that is reached

    ``step:NAME:STATE``  when a flow's step enters a state (RUNNING, SUCCESS ...)
    ``write:N``          in the middle of the Nth write of copies, counted from here on
    ``begin:N``          before the Nth transaction of a migration's thread from here on
    ``end:N``            after it
    ``commit:N``         before its commit, with what it has locked; not with SQLite
    ``answer:NAME``      when a migration's destination has done a call, before it answers

``events``
    ``frozen POINT``, ``over MIGRATION`` when its thread has ended, and
    ``changed MIGRATION STATEMENT`` for each statement of that thread by which a row was
    changed in the database of the service
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import pathlib
import re
import signal
import sys
import threading
import time

import sqlalchemy
from sqlalchemy import event

import cinder_ext  # noqa: F401 - before oslo.messaging
from cinder_ext.cmd import process, volume
from cinder_ext.drivers.generic import attach, blockio
from cinder_ext.volume.manager import VolumeServices
from cinder_ext.volume.migration.destination import DestinationEndpoint
from cinder_ext.volume.migration.endpoint import MigrationEndpoint

ROOM = pathlib.Path(os.environ['FREEZE'])
MIGRATION = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
CALLS = ('create', 'create_snapshot', 'connect', 'disconnect')


class Connections:
    """Which threads are in a transaction.

    A process that is frozen while it writes to an SQLite file keeps that for itself: nobody can
    take anything over then.  So no other thread is in a transaction when this one freezes.
    """

    def __init__(self):
        self._condition = threading.Condition()
        self._taken = {}
        self._alone = None

    def take(self):
        me = threading.get_ident()
        with self._condition:
            self._condition.wait_for(lambda: self._alone in (None, me) or self._taken.get(me))
            self._taken[me] = self._taken.get(me, 0) + 1

    def give(self):
        me = threading.get_ident()
        with self._condition:
            self._taken[me] = self._taken.get(me, 0) - 1
            self._condition.notify_all()

    @contextlib.contextmanager
    def alone(self):
        """No other thread has a connection while the block runs."""
        me = threading.get_ident()
        with self._condition:
            self._alone = me
            self._condition.wait_for(lambda: not any(
                count for each, count in self._taken.items() if each != me))
        yield
        with self._condition:
            self._alone = None
            self._condition.notify_all()


class Points:
    """What is armed, and what was counted since."""

    def __init__(self, connections):
        self._connections = connections
        self._lock = threading.Lock()
        self._seen = None
        self._count = 0

    def reach(self, kind, name=None):
        """Freeze here if this is the point."""
        armed = self._is_reached(kind, name)
        # Without the lock: whoever waits for it may have a connection.
        if armed:
            with self._connections.alone():
                tell(f'frozen {armed}')
                os.kill(os.getpid(), signal.SIGSTOP)
                # The signal may reach this thread a moment after the call has returned.
                time.sleep(0.05)

    def _is_reached(self, kind, name):
        """The point if this is it, else None."""
        with self._lock:
            try:
                armed = (ROOM / 'armed').read_text()
            except FileNotFoundError:
                return None
            if armed != self._seen:
                self._seen, self._count = armed, 0
            wanted, _, what = armed.partition(':')
            if wanted != kind:
                return None
            self._count += 1
            if what != (name or str(self._count)):
                return None
            (ROOM / 'armed').unlink()
            self._seen = None
            return armed


def tell(line):
    descriptor = os.open(ROOM / 'events', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f'{line}\n'.encode())
    os.close(descriptor)


def is_migration():
    return bool(MIGRATION.fullmatch(threading.current_thread().name))


def changed(_connection, cursor, statement, *_more):
    """A statement of a migration's thread, on the service's own database, that changed rows."""
    is_ours = 'volume_' in statement or 'INTO messages' in statement or 'UPDATE snapshots' in statement
    if is_migration() and is_ours and not statement.startswith('SELECT') and cursor.rowcount:
        tell(f'changed {threading.current_thread().name} {" ".join(statement.split())[:60]}')


def patch_writes(points, write=blockio.write_from):
    """Cut the writes of copies in two."""
    def write_from(descriptor, view, offset):
        if not threading.current_thread().name.startswith('copy'):
            return write(descriptor, view, offset)
        half = len(view) // 8192 * 4096
        write(descriptor, view[:half], offset)
        points.reach('write')
        return write(descriptor, view[half:], offset + half)

    blockio.write_from = write_from


def patch_endpoints(points):
    """Tell when a migration's thread ends; stop before an answer."""
    def work(self, migration_id, places, go=MigrationEndpoint._work):
        try:
            go(self, migration_id, places)
        finally:
            tell(f'over {migration_id}')

    def answering(name, call):
        def answered(self, *args, **kwargs):
            found = call(self, *args, **kwargs)
            points.reach('answer', name)
            return found
        return answered

    MigrationEndpoint._work = work
    for name in CALLS:
        setattr(DestinationEndpoint, name, answering(name, getattr(DestinationEndpoint, name)))


def listen(points, connections):
    """Follow connections and statements."""
    def begins(*_):
        if is_migration():
            points.reach('begin')
        connections.take()

    def ends(*_):
        connections.give()
        if is_migration():
            points.reach('end')

    event.listen(sqlalchemy.engine.Engine, 'commit',
                 lambda *_: is_migration() and points.reach('commit'))
    event.listen(sqlalchemy.pool.Pool, 'checkout', begins)
    event.listen(sqlalchemy.pool.Pool, 'checkin', ends)
    event.listen(sqlalchemy.engine.Engine, 'after_cursor_execute', changed)


def main():
    connections = Connections()
    points = Points(connections)
    patch_writes(points)
    patch_endpoints(points)
    listen(points, connections)

    def services(conf, sections):
        attach.setup(conf)
        return VolumeServices(conf, sections, watchers=[
            lambda _flow, step, state: points.reach('step', f'{step}:{state}')])

    return process.run(volume.run, sys.argv[1:], services)


if __name__ == '__main__':
    sys.exit(main())
