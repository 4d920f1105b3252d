"""A process that has imported the service and is forked for each one that is wanted, see warm.py.

A line of JSON on its standard input is a request, one on its standard output the answer:

``{"number": N, "run": [SCRIPT, ARGUMENT ...], "environment": {...}, "console": FILE}``
    ``{"number": N, "pid": PID}``
``{"number": N, "pid": PID}``
    ``{"number": N, "code": exit code, negative for a signal, or null}``
"""
# SPDX-License-Identifier: Apache-2.0

import gc
import json
import os
import runpy
import sys
import threading

import cinder_ext.cmd.all  # noqa: F401 - what is to be warm
import cinder_ext.cmd.volume  # noqa: F401


class Zygote:
    """Forks, and remembers what became of its children."""

    def __init__(self):
        self._codes = {}

    def serve(self):
        """Answer until the input ends; returns None, or in a new process what it is to run."""
        while line := sys.stdin.readline():
            request = json.loads(line)
            if 'run' not in request:
                answer = {'code': self._code(request['pid'])}
            else:
                assert threading.active_count() == 1, 'a thread would be missing in the new process'
                pid = os.fork()
                if pid == 0:
                    return request
                # Another one had this number long ago.
                self._codes.pop(pid, None)
                answer = {'pid': pid}
            print(json.dumps({'number': request['number'], **answer}), flush=True)
        return None

    def _code(self, pid):
        if pid not in self._codes:
            found, status = os.waitpid(pid, os.WNOHANG)
            if not found:
                return None
            self._codes[pid] = os.waitstatus_to_exitcode(status)
        return self._codes[pid]


def begin(request):
    """Become the process that was asked for."""
    os.setsid()
    for target, path, flags in ((0, os.devnull, os.O_RDONLY),
                                (1, request['console'], os.O_WRONLY | os.O_APPEND | os.O_CREAT)):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, target)
        os.close(opened)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(request['environment'])
    sys.argv = request['run']
    sys.path[0] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    # A collection, as at the end of a process, would copy all pages of what it was forked from.
    gc.freeze()
    wanted = Zygote().serve()
    if wanted is not None:
        begin(wanted)
