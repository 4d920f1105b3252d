"""Processes of the service that need not import it: a second less of a core for each.

A script is run in a process that was forked from one in which the service's modules are imported
and nothing else was done.  All else is as with subprocess.Popen: a session, an environment and a
process id of its own.
"""
# SPDX-License-Identifier: Apache-2.0

import functools
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

ZYGOTE = pathlib.Path(__file__).with_name('zygote.py')
PAUSE_SECONDS = 0.005


class Process:
    """What a test needs of subprocess.Popen."""

    def __init__(self, arguments, environment, console):
        self._ask = _zygote()
        self.pid = self._ask(run=arguments, environment=environment, console=str(console))['pid']
        self.returncode = None

    def poll(self):
        if self.returncode is None:
            self.returncode = self._ask(pid=self.pid)['code']
        return self.returncode

    def wait(self, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f'process {self.pid}', timeout)
            time.sleep(PAUSE_SECONDS)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Spawned:
    """Part of an EmbeddedService, or of Daemons, that run scripts."""

    def spawn(self, command, environment):
        script = command[1:] if command[0] == sys.executable else command
        return Process(script, {**os.environ, **environment}, self.console)


@functools.cache
def _zygote():
    """ask(**request) -> answer; of the process that this one has for it."""
    process = subprocess.Popen([sys.executable, str(ZYGOTE)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True, start_new_session=True)
    lock, numbers = threading.Lock(), itertools.count()

    def ask(**request):
        with lock:
            number = next(numbers)
            process.stdin.write(json.dumps({'number': number, **request}) + '\n')
            process.stdin.flush()
            # One that was interrupted has left its answer.
            while (answer := json.loads(process.stdout.readline()))['number'] != number:
                pass
            return answer

    return ask
