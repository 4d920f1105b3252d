"""The embedded service, which dies at a counted event of its work on snapshots.

Like ``mortal``, with events that are counted only while the service has a turn of work on something,
asks the compute service, or answers a request that changes a snapshot.  Besides the commits and the
changes of names these are: before and after each run of qemu-img, each of the driver's assisted
calls, each request to the compute service.  So an operation has the same events each time.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import sys
import threading

import mortal
from sqlalchemy.engine import default

from cinder_ext import compute
from cinder_ext.api import dispatch
from cinder_ext.cmd import all as embedded
from cinder_ext.cmd import process
from cinder_ext.drivers.qcow2 import driver, images
from cinder_ext.volume import running
from cinder_ext.volume.snapshots import assisted

_CALLS = ('create_snapshot_assisted_begin', 'create_snapshot_assisted_complete',
          'create_snapshot_assisted_abort', 'delete_snapshot_assisted_begin',
          'delete_snapshot_assisted_complete', 'delete_snapshot_assisted_abort')
_work = threading.local()


class WorkFuse(mortal.Fuse):
    """Counts while there is work in this thread."""

    def event(self):
        if getattr(_work, 'depth', 0):
            super().event()


@contextlib.contextmanager
def working():
    _work.depth = getattr(_work, 'depth', 0) + 1
    try:
        yield
    finally:
        _work.depth -= 1


def turn(self, resource_id, wait=True, take=running.Running.turn):
    """A turn of work, which counts."""
    @contextlib.contextmanager
    def taken():
        with take(self, resource_id, wait) as is_mine, working():
            yield is_mine
    return taken()


def ask(self, *arguments, ask_compute=assisted.Assistant._ask):
    """What is asked of the compute service, in a thread that has no turn, counts."""
    with working():
        return ask_compute(self, *arguments)


def answer(self, request, find=dispatch.Dispatcher._versioned):
    """A request, which counts if it changes a snapshot."""
    counts = request.method != 'GET' and '/snapshots' in request.path_info
    with working() if counts else contextlib.nullcontext():
        return find(self, request)


def main():
    fuse = WorkFuse(os.environ['FUSE'])
    running.Running.turn = turn
    assisted.Assistant._ask = ask
    dispatch.Dispatcher._versioned = answer
    for place, names in ((default.DefaultDialect, ['do_commit']), (images, ['run']),
                         (os, ['rename', 'unlink', 'symlink']), (compute.Compute, ['_ask']),
                         (driver.Qcow2FileDriver, _CALLS)):
        for name in names:
            setattr(place, name, mortal.around(getattr(place, name), fuse))
    return process.run(embedded.run, sys.argv[1:], lambda conf: mortal.services(
        conf, lambda *change: fuse.event()))


if __name__ == '__main__':
    sys.exit(main())
