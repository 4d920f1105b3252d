"""cinder-ext-all: API, scheduler and volume services in one process.

Messages stay inside the process, whatever ``transport_url`` says; the
database is a file below ``state_path`` unless ``[database] connection`` names
another one.
"""
# SPDX-License-Identifier: Apache-2.0

import sys

from cinder_ext.cmd import launcher, process
from cinder_ext.cmd.api import ApiService
from cinder_ext.db import schema, session
from cinder_ext.drivers.generic import attach
from cinder_ext.rpc import transport
from cinder_ext.scheduler.manager import SchedulerService
from cinder_ext.volume.manager import VolumeServices

TRANSPORT_URL = 'local://'


def services(conf):
    """The services in the order of their start: what answers requests first."""
    return [ApiService(conf), SchedulerService(conf), VolumeServices(conf)]


def _run(argv):
    conf = process.prepare(argv, 'cinder-ext-all')
    with process.alone(conf):
        if not schema.is_current():
            schema.sync()
        attach.setup(conf)
        transport.init(conf, TRANSPORT_URL)
        try:
            return launcher.Launcher(services(conf), conf,
                                     conf.graceful_shutdown_seconds).run()
        finally:
            transport.cleanup()
            session.dispose()


def main():
    return process.run(_run, sys.argv[1:])
