"""Where a migration arrives: the source backend's RPC, and the threads that do the work."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext.db import migration_actions, volume_migrations
from cinder_ext.drivers.generic import attach
from cinder_ext.rpc import destination as destination_rpc
from cinder_ext.states import migration as states
from cinder_ext.volume import engine as engines
from cinder_ext.volume.migration import journey, limits
from cinder_ext.volume.migration import work as works

LOG = log.getLogger(__name__)


class MigrationEndpoint:
    """Runs the migrations whose volumes are (or were) on one backend.

    :param host: ``host@backend``
    :param driver: the backend's, started
    :param engine: volume.engine.Engine
    :param ownership: volume.ownership.Ownership of the process

    Version history::

        1.0 - run_migration
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, conf, host, driver, engine, ownership):
        self._host = host
        self._engine = engine
        self._stopping = threading.Event()
        self._running = set()
        self._asked = set()
        self._lock = threading.Lock()
        self._conf = conf
        self._places = limits.Places(lambda: conf.migration.concurrent, self._stopping)
        # Ends that do not answer must not take the places of what can be done.
        self._retries = limits.Places(lambda: 1, self._stopping)
        self._retry_at = 0.0
        self._tools = works.Tools(
            conf, driver,
            destination_rpc.DestinationAPI(lambda: conf.migration.destination_timeout),
            attach.connector_properties(host=host.partition('@')[0]), self._stopping,
            ownership)
        self._ownership = ownership
        ownership.join(self._look)

    def run_migration(self, context, migration_id):
        """Take a migration up, or look at its record again.  Harmless while it runs already."""
        with self._lock:
            self._asked.add(migration_id)
        self._take_up(migration_id, self._places)

    def resume(self):
        """Take up what was recorded and is not being done; called at start and periodically."""
        self._look()
        if time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + self._conf.migration.tidy_retry_interval
            self._retry(request_context.admin_context())

    def _look(self):
        """Take up what nobody owns, or what its owner has lost."""
        context = request_context.admin_context()
        for phases in (states.MOVING, (states.COMMITTED, states.TIDYING)):
            waiting = volume_migrations.waiting(context, phases, self._host)
            for migration_id in self._ownership.open_to(context, waiting):
                self._take_up(migration_id, self._places)

    def _retry(self, context):
        """Try again to remove what could not be removed, of one migration after the other."""
        left = [*volume_migrations.waiting(context, (states.LEFTOVERS,), self._host),
                *volume_migrations.failed_with_leftovers(context, self._host)]
        for migration_id in self._ownership.open_to(context, left):
            self._take_up(migration_id, self._retries)

    def stop(self, timeout_seconds=5):
        """Park what runs, at the next unit of its copy; it is resumed at the next start.

        :returns: whether all were parked in time; what was not dies with the process
        """
        self._stopping.set()
        self._ownership.leave(self._look)
        for places in (self._places, self._retries):
            places.wake()
        with self._lock:
            threads = list(self._running)
        for thread in threads:
            thread.join(timeout_seconds)
        return not any(thread.is_alive() for thread in threads)

    def _take_up(self, migration_id, places):
        if not self._start(migration_id, places):
            for each in (self._places, self._retries):
                each.look_again(migration_id)

    def _start(self, migration_id, places):
        """Whether a thread was started, and none was there."""
        with self._lock:
            if self._stopping.is_set() or any(thread.name == migration_id
                                              for thread in self._running):
                return False
            # A daemon: a step that hangs in a backend must not keep the process from ending.
            thread = threading.Thread(target=self._work, args=(migration_id, places),
                                      daemon=True, name=migration_id)
            self._running.add(thread)
            thread.start()
            return True

    def _work(self, migration_id, places):
        is_parked = False
        try:
            engines.guarded(f'migration {migration_id}', self._go, migration_id, places)
        except engines.Parked:
            is_parked = True
            LOG.info('migration %s is parked until the next sweep or start', migration_id)
        finally:
            with self._lock:
                self._running.discard(threading.current_thread())
                is_asked = migration_id in self._asked
                self._asked.discard(migration_id)
        if is_parked and is_asked:
            # Asked for while it was parking: resumed right after a pause.
            self._take_up(migration_id, self._places)

    def _go(self, migration_id, places):
        context = request_context.admin_context()
        with places.place(migration_id, lambda: self._needs_place(context, migration_id)):
            with self._lock:
                # The record is looked at from here on; whoever asks later wants it looked at again.
                self._asked.discard(migration_id)
            journey.go(self._tools, self._engine, context, migration_id)

    def _needs_place(self, context, migration_id):
        """Whether a migration is to wait for its turn.

        What is undone, and what an administrator wants to be cleaned up, waits for nobody.
        """
        with self._lock:
            is_asked = migration_id in self._asked
        row = migration_actions.command(context, migration_id)
        if row is None or row.phase in (*states.UNDOING, states.PAUSED):
            return False
        is_clean_up = row.phase in (states.LEFTOVERS, *states.ENDED)
        return not (is_clean_up and is_asked)
