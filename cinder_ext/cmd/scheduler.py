"""cinder-ext-scheduler: chooses backends."""
# SPDX-License-Identifier: Apache-2.0

import sys

from cinder_ext.cmd import launcher, process
from cinder_ext.rpc import transport
from cinder_ext.scheduler.manager import SchedulerService


def run(argv):
    """Run until a signal ends it; returns the exit code."""
    conf = process.prepare(argv, 'cinder-ext-scheduler')
    transport.init(conf)
    return launcher.Launcher([*process.observers(conf), SchedulerService(conf)], conf,
                             conf.graceful_shutdown_seconds).run()


def main():
    return process.run(run, sys.argv[1:])
