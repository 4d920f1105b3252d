"""The embedded service, which dies at an event that a test has counted out.

Run like ``cinder-ext-all``.  Events are: before and after the commit of any transaction, in
the middle of a write of a copy, before and after a file gets its name or loses it, each
change of a flow's step.  ``FUSE`` names a file of two numbers of 8 bytes:

``[0]``  written by the test: the number of the event that kills the process (SIGKILL)
``[1]``  written by the process: how many events there were, in all processes
"""
# SPDX-License-Identifier: Apache-2.0

import mmap
import os
import signal
import struct
import sys
import threading

from sqlalchemy.engine import default

import cinder_ext  # noqa: F401 - before oslo.messaging
from cinder_ext.cmd import all as embedded
from cinder_ext.cmd import process
from cinder_ext.cmd.api import ApiService
from cinder_ext.drivers.generic import attach, blockio
from cinder_ext.scheduler.manager import SchedulerService
from cinder_ext.volume.manager import VolumeServices

QUIET = ('heart-', 'scheduler-heartbeat', 'report-')
"""Names of threads whose commits count for nothing: they come by the clock."""


class Fuse:
    """The numbers of ``FUSE``, shared with the test."""

    def __init__(self, path):
        with open(path, 'r+b') as file:
            self._memory = mmap.mmap(file.fileno(), 16)
        self._lock = threading.Lock()

    def event(self):
        """Count an event; the last one does not return."""
        with self._lock:
            fatal, count = struct.unpack('<qq', self._memory[:])
            self._memory[8:] = struct.pack('<q', count + 1)
            if count + 1 == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
                threading.Event().wait()


def around(function, fuse):
    """The function with an event before it and one after it."""
    def called(*args, **kwargs):
        counts = not threading.current_thread().name.startswith(QUIET)
        if counts:
            fuse.event()
        found = function(*args, **kwargs)
        if counts:
            fuse.event()
        return found
    return called


def torn(write, fuse):
    """A write in two halves, with an event in between."""
    def write_from(descriptor, view, offset):
        half = len(view) // 8192 * 4096
        if half:
            write(descriptor, view[:half], offset)
            fuse.event()
        return write(descriptor, view[half:], offset + half)
    return write_from


def services(conf, watch):
    """All services of the process, with somebody who watches the flows."""
    attach.setup(conf)
    return embedded.Together([ApiService(conf), SchedulerService(conf),
                              VolumeServices(conf, watchers=[watch])])


def main():
    fuse = Fuse(os.environ['FUSE'])
    default.DefaultDialect.do_commit = around(default.DefaultDialect.do_commit, fuse)
    blockio.write_from = torn(blockio.write_from, fuse)
    for name in ('link', 'rename', 'unlink'):
        setattr(os, name, around(getattr(os, name), fuse))
    return process.run(embedded.run, sys.argv[1:], lambda conf: services(
        conf, lambda *change: fuse.event()))


if __name__ == '__main__':
    sys.exit(main())
