"""cinder-ext-all: API, scheduler and volume services in one process.

Messages stay inside the process, whatever ``transport_url`` says; the
database is a file below ``state_path`` unless ``[database] connection`` names
another one.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import pkgutil
import sys

from cinder_ext.cmd import launcher, process
from cinder_ext.cmd.api import ApiService
from cinder_ext.db import revisions, session
from cinder_ext.rpc import transport
from cinder_ext.scheduler.manager import SchedulerService

TRANSPORT_URL = 'local://'


class Later:
    """A service whose code is loaded when it is started: after the API answers.

    Flows and os-brick take a quarter of a second to import.

    :param name: ``module:callable``; called with the options it gives the service
    """

    def __init__(self, name, conf):
        self._name = name
        self._conf = conf
        self._service = None

    def start(self):
        self._service = pkgutil.resolve_name(self._name)(self._conf)
        self._service.start()

    def stop(self):
        self._service.stop()

    def reload(self):
        self._service.reload()


class Together:
    """Services that are started and stopped in one order: who asks before who answers.

    So the first answer comes early, and what was asked is still answered at the end.
    """

    def __init__(self, services):
        self._services = services
        self._started = []

    def start(self):
        """Start each; when one fails, stop those before it."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            for service in self._services:
                service.start()
                self._started.append(service)
            undo.pop_all()

    def stop(self):
        """Stop each that was started; one that fails does not keep the others from it."""
        with contextlib.ExitStack() as stops:
            for service in reversed(self._started):
                stops.callback(service.stop)
            self._started = []

    def reload(self):
        for service in self._started:
            service.reload()


def services(conf):
    """All services of the process."""
    return Together([*process.observers(conf), ApiService(conf), SchedulerService(conf),
                     Later('cinder_ext.cmd.volume:services', conf)])


def run(argv, compose=services):
    """Run until a signal ends it.

    :param argv: arguments without the program's name
    :param compose: makes the services of the process from its options
    :returns: exit code
    :raises Refused: it cannot start
    """
    conf = process.prepare(argv, 'cinder-ext-all')
    with process.alone(conf):
        if not revisions.are_current():
            # By name, since alembic is slow to import and seldom needed.
            pkgutil.resolve_name('cinder_ext.db.schema:sync')()
        transport.init(conf, TRANSPORT_URL)
        try:
            return launcher.Launcher([compose(conf)], conf,
                                     conf.graceful_shutdown_seconds).run()
        finally:
            transport.cleanup()
            session.dispose()


def main():
    return process.run(run, sys.argv[1:])
