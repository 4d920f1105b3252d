"""Runs flows and resumes them: persistence, one book per piece of work, logging.

A flow is stored under a name made from what it works on, so whoever runs the
same work again goes on where the stored one stood.  The objects that a flow
needs (drivers, clients) are not stored: the builder makes the flow anew.

What taskflow stores may lag behind: every step is harmless to repeat.  So the
embedded database is not synced at each of its commits.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import threading
import uuid

import sqlalchemy as sa
from oslo_log import log
from sqlalchemy import event
from taskflow import engines, storage
from taskflow import exceptions as taskflow_exceptions
from taskflow import states as taskflow_states
from taskflow.listeners import base as listeners
from taskflow.persistence import models
from taskflow.persistence.backends import impl_sqlalchemy

from cinder_ext import metrics
from cinder_ext.db import away, session

LOG = log.getLogger(__name__)

_NAMESPACE = uuid.UUID('6cbf1a35-1de3-5c5f-9a3c-4ac1f1d1a1c0')


class Parked(BaseException):
    """The step is left as it stands and is resumed later: the service is stopping, say.

    Not an Exception, so that taskflow does not take it for a failure and revert the flow.
    """


class _Backend(impl_sqlalchemy.SQLAlchemyBackend):
    """taskflow's backend; one connection object for all.

    taskflow builds a new one, with new table objects, for each of the five stores of a task:
    18 of 24 ms.  The object holds no database connection and nothing that changes.
    """

    def __init__(self, engine):
        super().__init__({'connection': str(engine.url)}, engine=engine)
        self._shared = super().get_connection()

    def get_connection(self):
        return self._shared


class Engine:
    """Runs the flows of one process.

    :param conf: the configuration; ``[flows] connection``, else a file below state_path
    :param watchers: callables ``(flow, step, state)`` told of every change of a step, before
        it is stored; for logging and for tests that kill the process there
    """

    def __init__(self, conf, watchers=()):
        self._conf = conf
        self._watchers = tuple(watchers)
        self._lock = threading.Lock()
        self._opened = None

    def run(self, name, key, build, store):
        """Run a flow to its end, or go on with the stored one.

        :param name: name of the flow; a stored contract, like the names of its steps
        :param key: what it works on (an id); one flow of a name and key exists at a time
        :param build: makes the taskflow flow, with the same steps each time
        :param store: plain data for the steps
        :returns: True when every step was executed, False when the flow was reverted
        :raises Parked: a step was left as it stands

        A flow that has ended is forgotten.  A step's fault is not raised: the flow's first
        step records it.  When undoing it fails too, that is raised, and the flow is forgotten:
        the next run begins at the first step, and the steps see where they stood.
        """
        backend = self._backend()
        book, detail = self._open_book(backend, name, key)
        engine = engines.load(build(), flow_detail=detail, book=book, backend=backend,
                              engine='serial', store=store)
        # Storing taskflow's own progress, which nobody reads, is half the cost of a step.
        engine.storage.set_task_progress = lambda *args, **kwargs: None
        with (_Watch(engine, name, key, self.tell),
              metrics.FLOWS_RUNNING.labels(name).track_inprogress()):
            try:
                done = _run(engine, name, key)
            finally:
                # A revert that failed is where taskflow's flow stays for ever.
                if engine.storage.get_flow_state() == taskflow_states.FAILURE:
                    self.forget(name, key)
        self.forget(name, key)
        return done

    def tell(self, name, key, step, state):
        """Tell the log and the watchers what happens to a step, or to a part of one."""
        LOG.debug('flow %s of %s: step %s is %s', name, key, step, state)
        for watch in self._watchers:
            watch(name, step, state)

    def forget(self, name, key):
        """Remove what is stored of a flow.  Idempotent."""
        with contextlib.suppress(taskflow_exceptions.NotFound):
            self._backend().get_connection().destroy_logbook(_book_id(name, key))

    def prepare(self):
        """Bring the database of the flows up to date.  Idempotent.

        On a server before any service starts: those that do it at once disturb one another.
        """
        self._backend()

    def close(self):
        """Close the database; for the end of a process."""
        with self._lock:
            if self._opened is not None:
                self._opened.engine.dispose()
                self._opened = None

    def _backend(self):
        """The persistence, opened at the first use: it costs half a second of a start."""
        with self._lock:
            if self._opened is None:
                self._opened = _Backend(_database(self._conf))
                self._opened.get_connection().upgrade()
            return self._opened

    @staticmethod
    def _open_book(backend, name, key):
        connection, book_id = backend.get_connection(), _book_id(name, key)
        with contextlib.suppress(taskflow_exceptions.NotFound):
            book = connection.get_logbook(book_id)
            detail = book.find(book_id)
            if _is_loadable(detail):
                return book, detail
            LOG.warning('flow %s of %s was never begun: it begins now', name, key)
            connection.destroy_logbook(book_id)
        book = models.LogBook(name, uuid=book_id)
        book.add(models.FlowDetail(name, uuid=book_id))
        connection.save_logbook(book)
        return book, book.find(book_id)


def _is_loadable(detail):
    """False for what a kill left in the middle of the first store of a flow.

    taskflow stores that there are values for the steps before it stores them, and cannot load a
    flow without.  No step has run by then.
    """
    return all(atom.results is not None for atom in detail
               if atom.name == storage.Storage.injector_name)


class _Watch(listeners.Listener):
    """Tells the log and the watchers what happens to the steps of a flow."""

    def __init__(self, engine, name, key, tell):
        super().__init__(engine)
        self._name, self._key, self._tell = name, key, tell

    def _task_receiver(self, state, details):
        self._tell(self._name, self._key, details['task_name'], state)

    def _flow_receiver(self, state, details):
        metrics.FLOWS.labels(self._name, state).inc()
        LOG.info('flow %s of %s: %s', self._name, self._key, state)


def _run(engine, name, key):
    """Run to the end; whether it succeeded.

    One of the few places that take any exception: a step's fault has been recorded by the
    flow itself, and the thread must live on for the next piece of work.
    """
    try:
        engine.run()
    except Exception as fault:
        if engine.storage.get_flow_state() != taskflow_states.REVERTED:
            raise
        LOG.error('flow %s of %s was reverted: %s', name, key, _cause(fault))
        return False
    return True


@contextlib.contextmanager
def parked_without_database(what):
    """Leave a step as it stands, to be resumed, while the database is away.

    That of this process, or that of the service which was asked for something.

    :raises Parked: it was lost in the block
    """
    try:
        yield
    except away.FAULTS as fault:
        LOG.warning('%s waits for the database: %s', what, away.describe(fault))
        raise Parked from fault


@contextlib.contextmanager
def parked_on_fault(what, *passing):
    """Leave a step as it stands, to be resumed, whatever goes wrong in the block.

    For what must not be undone because of a fault of ours.

    :param passing: classes of exceptions that are raised as they are
    :raises Parked: something else went wrong
    """
    try:
        yield
    except passing:
        raise
    except Exception as fault:
        LOG.exception('%s was interrupted; it will be taken up again', what)
        raise Parked from fault


def guarded(what, function, *arguments):
    """Call a piece of background work; its fault ends that work only.

    It stays recorded where it stands, and the next sweep takes it up again.
    """
    try:
        function(*arguments)
    except Exception:
        LOG.exception('%s was interrupted; it will be taken up again', what)


def _cause(fault):
    if isinstance(fault, taskflow_exceptions.WrappedFailure):
        return '; '.join(each.exception_str for each in fault)
    return str(fault)


def _book_id(name, key):
    return str(uuid.uuid5(_NAMESPACE, f'{name}:{key}'))


def _database(conf):
    url = conf.flows.connection
    if not url:
        url = 'sqlite:///' + os.path.join(conf.state_path, 'flows.db')
    made = sa.create_engine(url, pool_pre_ping=not url.startswith('sqlite'))
    session.end_idle(made, conf.migration.lease_seconds)
    if made.dialect.name == 'sqlite':
        event.listen(made, 'connect', _tune_sqlite)
    return made


def _tune_sqlite(connection, _record):
    cursor = connection.cursor()
    # Without foreign_keys a book that is destroyed leaves its flows behind.
    for pragma in ('journal_mode=WAL', 'synchronous=NORMAL', 'busy_timeout=30000',
                   'foreign_keys=ON'):
        cursor.execute(f'PRAGMA {pragma}')
    cursor.close()
