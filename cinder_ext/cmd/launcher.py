"""Run services in this process until a signal ends them.

oslo.service's launcher is not used: without forking it dies on HUP, and with
forking it replaces its workers on HUP instead of reloading them, and kills a
worker whose stop takes long.

=========  ==============================================================
TERM, INT  stop the services in the reverse order of their start; a second
           one ends the process at once
HUP        read the configuration files again, then ``reload()`` each
=========  ==============================================================
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import select
import signal
import time
from concurrent import futures

from oslo_config import cfg
from oslo_log import log as logging

from cinder_ext import exceptions

LOG = logging.getLogger(__name__)

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_ALL_STOPPED = 0
"""Comes through the same pipe as the numbers of signals, and is none."""


class Launcher:
    """Starts services, waits for signals, stops services.

    A service has ``start()``, ``stop()`` and ``reload()``.  ``stop()`` returns
    when what was in flight is answered; it is called on those whose ``start()``
    has returned.

    :param services: in the order of their start
    :param conf: options whose files are read again on HUP; None for no files
    :param stop_timeout_seconds: for all services together; then the process
        ends, whoever still works
    """

    def __init__(self, services, conf=None, stop_timeout_seconds=30):
        self._services = list(services)
        self._started = []
        self._conf = conf
        self._stop_timeout_seconds = stop_timeout_seconds
        self._is_ending = False
        self._awakened = self._wakeup = None

    def run(self):
        """Run until a signal ends it; call it in the main thread.

        An error of a ``start()`` or ``stop()`` goes to the caller, after all
        services have been stopped.

        :returns: exit code of the process: 0
        """
        with self._signals_caught(), contextlib.ExitStack() as stops:
            stops.callback(self._stop_all)
            for service in self._services:
                service.start()
                self._started.append(service)
            LOG.info('Started %s services.', len(self._services))
            while not (caught := self._next_signals()).intersection(ENDING_SIGNALS):
                if signal.SIGHUP in caught:
                    LOG.info('Signal SIGHUP: reloading.')
                    self._reload_all()
            LOG.info('Signal %s: stopping.', signal.Signals(
                min(caught.intersection(ENDING_SIGNALS))).name)
        return 0

    @contextlib.contextmanager
    def _signals_caught(self):
        with contextlib.ExitStack() as undo:
            self._awakened, self._wakeup = os.pipe()
            undo.callback(os.close, self._wakeup)
            undo.callback(os.close, self._awakened)
            os.set_blocking(self._wakeup, False)
            former = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
            undo.callback(signal.set_wakeup_fd, former)
            for signum in (*ENDING_SIGNALS, signal.SIGHUP):
                undo.callback(signal.signal, signum, signal.signal(signum, self._note))
            yield

    def _next_signals(self, timeout_seconds=None):
        """The numbers of the signals that came since the last call; waits until there is one.

        A handler in Python would not do to wake this thread: it is run by this thread, and one
        whose signal comes as this thread is about to wait, or comes to another thread, is run
        only when the wait has ended.  What is written to the pipe is there whoever wrote it.
        """
        poller = select.poll()
        poller.register(self._awakened, select.POLLIN)
        is_awake = poller.poll(None if timeout_seconds is None else timeout_seconds * 1000)
        return set(os.read(self._awakened, select.PIPE_BUF)) if is_awake else set()

    def _note(self, signum, _frame):
        if signum in ENDING_SIGNALS:
            if self._is_ending:
                os._exit(128 + signum)
            self._is_ending = True

    def _reload_all(self):
        try:
            if self._conf is not None:
                self._conf.mutate_config_files()
            for service in self._services:
                service.reload()
        except (cfg.Error, exceptions.CinderExtError, OSError, ValueError):
            LOG.exception('Reloading failed; what was not reloaded stays as it was.')

    def _stop_all(self):
        # In a thread of its own, since a stop() that hangs must not hold the deadline.
        pool = futures.ThreadPoolExecutor(1, thread_name_prefix='stop')
        stopping = pool.submit(self._stop_each)
        pool.shutdown(wait=False)
        until = time.monotonic() + self._stop_timeout_seconds
        # Meanwhile a second ending signal ends the process, in _note.
        while _ALL_STOPPED not in self._next_signals(max(0, until - time.monotonic())):
            if time.monotonic() >= until:
                LOG.error('The services have not stopped within %s s; the process ends now.',
                          self._stop_timeout_seconds)
                os._exit(1)
        stopping.result()

    def _stop_each(self):
        with contextlib.ExitStack() as stops:
            stops.callback(os.write, self._wakeup, bytes([_ALL_STOPPED]))
            for service in self._started:
                stops.callback(service.stop)
                stops.callback(LOG.debug, 'Stopping %s.', service)
