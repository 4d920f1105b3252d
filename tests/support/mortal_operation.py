"""Works on one operation of replication on a stage of two directories, and dies where it is told.

Arguments: directory of the stage, id of the operation, ``home`` or ``away`` (a service of another
host, with home gone).  ``KILL_AT`` is ``step:NAME:STATE``, or ``event:N`` for the N-th event after
the start: before and after the commit of any transaction, and around each file that gets or loses
its name.  The exit code is 0 when the operation was worked on to its end, 3 when it was parked.
"""
# SPDX-License-Identifier: Apache-2.0

import itertools
import os
import pathlib
import signal
import sys
import threading

import two_sides
from sqlalchemy.engine import default

from cinder_ext.volume import engine

KIND, _, POINT = os.environ.get('KILL_AT', '').partition(':')
_lock, _count = threading.Lock(), itertools.count(1)


def die():
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def event():
    with _lock:
        if next(_count) == int(POINT):
            die()


def around(function):
    def called(*args, **kwargs):
        event()
        found = function(*args, **kwargs)
        event()
        return found
    return called


def watch(_flow, step, state):
    if KIND == 'step' and f'{step}:{state}' == POINT:
        die()


def main():
    directory, operation_id, place = sys.argv[1:]
    host = two_sides.HOST if place == 'home' else 'other@alpha'
    stage = two_sides.Stage(pathlib.Path(directory), host=host, starts=place == 'home')
    stage.watchers.append(watch)
    if KIND == 'event':
        default.DefaultDialect.do_commit = around(default.DefaultDialect.do_commit)
        for name in ('link', 'rename', 'unlink'):
            setattr(os, name, around(getattr(os, name)))
    try:
        stage.go(operation_id)
    except engine.Parked:
        return 3
    finally:
        stage.stop()
    return 0


if __name__ == '__main__':
    sys.exit(main())
