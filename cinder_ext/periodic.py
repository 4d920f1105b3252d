"""Jobs that run again and again, each in a thread of its own.

Nothing polls: the thread sleeps until its time has come, until it is poked or
until it is stopped.
"""
# SPDX-License-Identifier: Apache-2.0

import random
import threading

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

JITTER = 0.1
"""Share of the interval by which a pause is shortened or lengthened at random,
so that the services of one deployment do not wake at the same moment."""


class Periodic:
    """Runs a function at once, and then after each interval.

    A run that fails is logged and does not end the job.  Two runs never
    overlap: the interval is the pause between the end of one and the start of
    the next.

    :param interval_seconds: the pause; may be assigned later and counts from
        the next pause on
    :param function: called without arguments
    :param name: for the log and the thread
    """

    def __init__(self, interval_seconds, function, name):
        self.interval_seconds = interval_seconds
        self.name = name
        self._function = function
        self._wake = threading.Event()
        self._is_stopping = threading.Event()
        self._thread = None

    def start(self):
        """Begin; does nothing when the job is running already."""
        if self._thread is not None:
            return
        self._is_stopping.clear()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def poke(self):
        """Run now; during a run, once more right after it."""
        self._wake.set()

    def stop(self, timeout_seconds=None):
        """Run no more, and wait for the run that has begun; safe to repeat.

        :param timeout_seconds: longest wait; None is for ever
        :returns: False when the run has not ended in time
        """
        thread = self._thread
        if thread is None:
            return True
        self._is_stopping.set()
        self._wake.set()
        if thread is not threading.current_thread():
            thread.join(timeout_seconds)
            if thread.is_alive():
                return False
        self._thread = None
        return True

    def _run(self):
        is_stopping = self._is_stopping
        while not is_stopping.is_set():
            self._wake.clear()
            if is_stopping.is_set():
                return
            try:
                self._function()
            except Exception:
                LOG.exception('Periodic job %s failed; it runs again in about %s s.',
                              self.name, self.interval_seconds)
            self._wake.wait(self.interval_seconds * random.uniform(1 - JITTER, 1 + JITTER))
