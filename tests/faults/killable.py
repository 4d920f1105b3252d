"""The embedded service or a volume daemon, with a point at which it kills itself.

Run like ``cinder-ext-all`` or ``cinder-ext-volume``; the environment says
which, where, and counts:

``DAEMON``
    ``all`` or ``volume``

``KILL_AT``
    ``step:NAME:STATE``  when a flow's step enters a state (RUNNING, SUCCESS, REVERTING ...)
    ``commit:N``         instead of the Nth commit of a migration's thread, any database
    ``committed:N``      after that commit
    ``bytes:N``          in the middle of the write that copies the Nth byte of this process
    ``driver:N``         as bytes, of what the file driver writes by itself
    ``renamed:WORD``     when a file got a name with this word in it
    ``phased:PHASE``     when a migration's phase was committed
    ``within:NAME``      in a transaction, when a function of db.volume_migrations has done its part
    ``call:NAME``        when a migration's destination has taken a call, which is lost with it
``FILL_AT``
    ``NAME:DIRECTORY``  fill the file system of a directory when a step begins, so that the
    flow is undone
``OFFSET``
    a file with the seconds that the clock of the process is off; may change at any moment
``COUNTER``
    a file of 8 bytes that holds how much was copied by all processes together
"""
# SPDX-License-Identifier: Apache-2.0

import datetime
import mmap
import os
import re
import signal
import sys
import threading
import time

import sqlalchemy
from oslo_utils import timeutils
from sqlalchemy import event

import cinder_ext  # noqa: F401 - before oslo.messaging
from cinder_ext.cmd import all as embedded
from cinder_ext.cmd import process, volume
from cinder_ext.cmd.api import ApiService
from cinder_ext.db import transition, volume_migrations
from cinder_ext.drivers.generic import attach, blockio
from cinder_ext.scheduler.manager import SchedulerService
from cinder_ext.volume.manager import VolumeServices
from cinder_ext.volume.migration.destination import DestinationEndpoint

KIND, _, POINT = os.environ.get('KILL_AT', '::').partition(':')
FILL_STEP, _, FILL_DIRECTORY = os.environ.get('FILL_AT', ':').partition(':')
MIGRATION = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def watch(flow, step, state):
    if step == FILL_STEP and state == 'RUNNING':
        fill(FILL_DIRECTORY)
    if KIND == 'step' and f'{step}:{state}' == POINT:
        die()


class Commits:
    """Counts the commits of migrations' threads."""

    def __init__(self):
        self.count = 0

    def before(self, connection):
        if MIGRATION.fullmatch(threading.current_thread().name):
            self.count += 1
            if KIND == 'commit' and self.count == int(POINT):
                die()

    def after(self, connection):
        if KIND == 'committed' and self.count >= int(POINT):
            die()


class Copied:
    """Counts the bytes that copies write, in a file that outlives the process."""

    def __init__(self, path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        os.ftruncate(descriptor, 8)
        self.memory = mmap.mmap(descriptor, 8)
        self.lock = threading.Lock()
        self.here = 0
        self.write = blockio.write_from

    def write_from(self, descriptor, view, offset):
        if threading.current_thread().name.startswith('copy'):
            with self.lock:
                self.here += len(view)
                dies = KIND == 'bytes' and self.here >= int(POINT)
                done = int.from_bytes(self.memory[:8], 'little') + len(view)
                self.memory[:8] = done.to_bytes(8, 'little')
            if dies:
                self.write(descriptor, view[:len(view) // 8192 * 4096], offset)
                die()
        elif KIND == 'driver':
            self.here += len(view)
            if self.here >= int(POINT):
                self.write(descriptor, view[:len(view) // 8192 * 4096], offset)
                die()
        return self.write(descriptor, view, offset)


def rename(source, target, change=os.rename):
    change(source, target)
    if KIND == 'renamed' and POINT in target:
        die()


def phased(_context, kind, _id, _event, state, _facts):
    if kind == 'migration' and state == POINT:
        die()


def dying(function):
    def call(*arguments):
        function(*arguments)
        die()
    return call


class OffClock:
    """The wall clock, off by the seconds in a file; what measures a duration goes right.

    Every time that the service stores or compares comes from timeutils.utcnow() or time.time().
    It stands where timeutils looks for a list of times to be told one by one.
    """

    def __init__(self, path):
        self.path = path
        self.true_time = time.time

    def time(self):
        with open(self.path, encoding='ascii') as file:
            return self.true_time() + float(file.read())

    def pop(self, _index):
        return datetime.datetime.fromtimestamp(self.time(), datetime.UTC).replace(tzinfo=None)

    def rule(self):
        time.time = self.time
        timeutils._override_time = self


def fill(directory):
    """Leave no room in a file system."""
    with open(os.path.join(directory, 'ballast'), 'wb') as ballast:
        free = os.statvfs(directory)
        ballast.write(bytes(free.f_bavail * free.f_frsize))


def services(conf):
    """All services of the process, with somebody who watches the flows."""
    attach.setup(conf)
    return embedded.Together([ApiService(conf), SchedulerService(conf),
                              VolumeServices(conf, watchers=[watch])])


def volume_services(conf, sections):
    """The volume services of the process, with somebody who watches the flows."""
    attach.setup(conf)
    return VolumeServices(conf, sections, watchers=[watch])


RUN = {'all': (embedded.run, services), 'volume': (volume.run, volume_services)}


def main():
    commits = Commits()
    event.listen(sqlalchemy.engine.Engine, 'commit', commits.before)
    event.listen(sqlalchemy.engine.Engine, 'begin', commits.after)
    if KIND == 'call':
        setattr(DestinationEndpoint, POINT, lambda *args, **kwargs: die())
    if KIND == 'phased':
        transition.watch(phased)
    if KIND == 'within':
        setattr(volume_migrations, POINT, dying(getattr(volume_migrations, POINT)))
    blockio.write_from = Copied(os.environ['COUNTER']).write_from
    os.rename = rename
    if 'OFFSET' in os.environ:
        OffClock(os.environ['OFFSET']).rule()
    run, compose = RUN[os.environ['DAEMON']]
    return process.run(run, sys.argv[1:], compose)


if __name__ == '__main__':
    sys.exit(main())
