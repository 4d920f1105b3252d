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
import queue
import signal
from concurrent import futures

from oslo_config import cfg
from oslo_log import log as logging

from cinder_ext import exceptions

LOG = logging.getLogger(__name__)

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


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
        # Unlike an Event's lock, this queue may be entered again by a signal
        # handler that interrupts it.
        self._signals = queue.SimpleQueue()
        self._is_ending = False

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
            while (signum := self._signals.get()) not in ENDING_SIGNALS:
                LOG.info('Signal %s: reloading.', signal.Signals(signum).name)
                self._reload_all()
            LOG.info('Signal %s: stopping.', signal.Signals(signum).name)
        return 0

    @contextlib.contextmanager
    def _signals_caught(self):
        former = {signum: signal.signal(signum, self._note)
                  for signum in (*ENDING_SIGNALS, signal.SIGHUP)}
        try:
            yield
        finally:
            for signum, handler in former.items():
                signal.signal(signum, handler)

    def _note(self, signum, _frame):
        if signum in ENDING_SIGNALS:
            if self._is_ending:
                os._exit(128 + signum)
            self._is_ending = True
        self._signals.put(signum)

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
        try:
            stopping.result(self._stop_timeout_seconds)
        except TimeoutError:
            if stopping.done():
                raise
            LOG.error('The services have not stopped within %s s; the process ends now.',
                      self._stop_timeout_seconds)
            os._exit(1)

    def _stop_each(self):
        with contextlib.ExitStack() as stops:
            for service in self._started:
                stops.callback(service.stop)
                stops.callback(LOG.debug, 'Stopping %s.', service)
