"""cinder-ext-all: API, scheduler and volume services in one process.

Messages stay inside the process, whatever ``transport_url`` says; the
database is a file below ``state_path`` unless ``[database] connection`` names
another one.
"""
# SPDX-License-Identifier: Apache-2.0

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


def services(conf):
    """The services in the order of their start: what answers requests first."""
    return [ApiService(conf), SchedulerService(conf),
            Later('cinder_ext.cmd.volume:services', conf)]


def _run(argv):
    conf = process.prepare(argv, 'cinder-ext-all')
    with process.alone(conf):
        if not revisions.are_current():
            # By name, since alembic is slow to import and seldom needed.
            pkgutil.resolve_name('cinder_ext.db.schema:sync')()
        transport.init(conf, TRANSPORT_URL)
        try:
            return launcher.Launcher(services(conf), conf,
                                     conf.graceful_shutdown_seconds).run()
        finally:
            transport.cleanup()
            session.dispose()


def main():
    return process.run(_run, sys.argv[1:])
