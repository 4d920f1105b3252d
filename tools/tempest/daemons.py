"""Processes of this tool: started with a log each, stopped in the reverse order."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

import requests


class Failed(Exception):
    """A program ended with an error or did not come up; the text holds the end of its log."""


def any_free_port():
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Daemons(contextlib.ExitStack):
    """A stack of processes: leaving the context stops them.

    :param logs: directory for what they write
    """

    def __init__(self, logs):
        super().__init__()
        self.logs = pathlib.Path(logs)
        self.logs.mkdir(parents=True, exist_ok=True)
        self._processes = []

    def __exit__(self, *exc_info):
        """Stop everything; the processes end side by side."""
        for process in self._processes:
            process.terminate()
        return super().__exit__(*exc_info)

    def run(self, name, *words, environment=None):
        """Run a program to its end; an interrupt takes effect after it.

        So what it started is known by then, and can be stopped.

        :raises Failed: its exit code was not 0
        """
        process = self._open(name, words, environment)
        try:
            process.wait()
        finally:
            process.wait()
        if process.returncode:
            raise Failed(f'{name} ended with {process.returncode}:\n{self.tail(name)}')

    def start(self, name, *words, environment=None):
        """Start a program in a process group of its own."""
        process = self._open(name, words, environment)
        self._processes.append(process)
        self.callback(_stop, process)
        return process

    def await_answer(self, name, process, url, statuses=(200, 300), timeout=60):
        """Wait until a URL answers.

        :raises Failed: the process ended, or there was no answer in time
        """
        deadline = time.monotonic() + timeout
        while not _answers(url, statuses):
            if process.poll() is not None:
                raise Failed(f'{name} ended with {process.returncode}:\n{self.tail(name)}')
            if time.monotonic() > deadline:
                raise Failed(f'{name} does not answer at {url}:\n{self.tail(name)}')
            time.sleep(0.1)

    def tail(self, name, lines=30):
        path = self.logs / f'{name}.log'
        return '\n'.join(path.read_text(errors='replace').splitlines()[-lines:])

    def _open(self, name, words, environment):
        with open(self.logs / f'{name}.log', 'ab') as log:
            return subprocess.Popen(
                [str(word) for word in words], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, env={**os.environ, **(environment or {})})


def _answers(url, statuses):
    try:
        return requests.get(url, timeout=5).status_code in statuses
    except requests.RequestException:
        return False


def _stop(process):
    """TERM, and KILL to its whole group when that is not enough in 30 s."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
