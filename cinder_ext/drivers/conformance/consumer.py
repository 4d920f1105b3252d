"""A consumer of a volume that takes part in snapshots, as a server with QEMU is: real, and small.

A QEMU storage daemon has the volume's files open and is told over QMP what a compute service
tells its emulator.  A writer numbers what it writes, so that every state that the volume ever had
is known.  Source: QEMU's QMP reference (blockdev-snapshot-sync, block-commit, block-stream).
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from qemu import qmp
from qemu.qmp import legacy

BLOCK_BYTES = 64 * 1024
BLOCKS = 24
_SECONDS = 30
_POLL_SECONDS = 0.01


class MergeFailed(Exception):
    """The emulator did not merge."""


class Consumer:
    """Has a volume open and writes to it.

    :param path: the volume's active file
    :param kind: its format
    """

    def __init__(self, path, kind):
        self._directory = os.path.dirname(path)
        self._own = tempfile.mkdtemp(prefix='consumer-')
        self._jobs = 0
        self._daemon = subprocess.Popen(
            ['qemu-storage-daemon', '--chardev', 'socket,id=monitor,path=monitor,server=on,wait=on',
             '--monitor', 'chardev=monitor', '--nbd-server', 'addr.type=unix,addr.path=nbd'],
            cwd=self._own, stdin=subprocess.DEVNULL)
        with contextlib.ExitStack() as undo:
            undo.callback(self.kill)
            # It waits for this one before it makes its monitor, so that it greets once.
            connection = undo.enter_context(socket.socket(socket.AF_UNIX))
            _wait(lambda: connection.connect_ex(self._path('monitor')) == 0)
            self._monitor = legacy.QEMUMonitorProtocol(connection)
            self._monitor.connect()
            _wait(lambda: os.path.exists(self._path('nbd')))
            self.active = os.path.basename(path)
            self._command('blockdev-add', **self._graph(path, kind))
            self._command('block-export-add', type='nbd', id='disk', name='disk', writable=True,
                          **{'node-name': _node(self.active)})
            undo.pop_all()

    def url(self):
        return f'nbd+unix:///disk?socket={self._path("nbd")}'

    def go_over(self, request):
        """Do what ``create_info`` asks for: write to another file from now on."""
        self._command('blockdev-snapshot-sync', mode='existing', format=request['type'], **{
            'node-name': _node(self.active), 'snapshot-node-name': _node(request['new_file']),
            'snapshot-file': os.path.join(self._directory, request['new_file'])})
        self.active = request['new_file']

    def merge(self, request, **options):
        """Do what ``delete_info`` asks for, to its end.

        :param options: more arguments of the job
        :raises MergeFailed: it ends otherwise
        """
        self.begin_merge(request, **options)
        self._end(f'job-{self._jobs}')
        self._close_merged()

    def _close_merged(self):
        """Close what nothing stands on any more, as a compute service has its emulator do.

        A node that stays open keeps its backing file: a later commit would rewrite its header.
        """
        for node in self._command('query-named-block-nodes', flat=True):
            with contextlib.suppress(MergeFailed):
                self._command('blockdev-del', **{'node-name': node['node-name']})

    def begin_merge(self, request, **options):
        self._jobs += 1
        base, target = request['file_to_merge'], request['merge_target_file']
        arguments = {'job-id': f'job-{self._jobs}', 'device': _node(self.active), **options}
        if target is not None:
            self._command('block-commit', **arguments, **{
                'top-node': _node(base), 'base-node': _node(target), 'backing-file': target})
        elif base is not None:
            self._command('block-stream', **arguments, **{
                'base-node': _node(base), 'backing-file': base})
        else:
            self._command('block-stream', **arguments)

    def _end(self, job):
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            event = self._monitor.pull_event(wait=_SECONDS)
            if event and event['data'].get('device') == job:
                if event['event'] == 'BLOCK_JOB_COMPLETED' and 'error' not in event['data']:
                    return
                raise MergeFailed(str(event))
        raise MergeFailed(f'{job} does not end')

    def kill(self):
        """End as a process does that is killed: nothing more is written."""
        self._ended(self._daemon.kill)

    def stop(self):
        """End and write what is cached."""
        self._ended(self._daemon.terminate)

    def _ended(self, end):
        """Idempotent."""
        if self._daemon.poll() is None:
            end()
            self._daemon.wait(_SECONDS)
            with contextlib.suppress(qmp.QMPError, OSError, EOFError):
                self._monitor.close()
        shutil.rmtree(self._own, ignore_errors=True)

    def _graph(self, path, kind):
        """The chain of a file, every node by the name of its file; only the top is written."""
        told = subprocess.run(
            ['qemu-img', 'info', '-U', '--backing-chain', '--output=json', '-f', kind, path],
            check=True, capture_output=True, text=True, timeout=_SECONDS).stdout
        node = None
        for image in reversed(json.loads(told)):
            is_lower = image['filename'] != path
            file = {'driver': 'file', 'filename': image['filename'], 'auto-read-only': is_lower}
            behind = {'backing': node} if image['format'] == 'qcow2' else {}
            name = _node(os.path.basename(image['filename']))
            node = {'driver': image['format'], 'node-name': name, 'read-only': is_lower,
                    'file': file, **behind}
        return node

    def _command(self, name, /, **arguments):
        try:
            return self._monitor.cmd(name, **arguments)
        except qmp.ExecuteError as fault:
            raise MergeFailed(f'{name}: {fault}') from fault

    def _path(self, name):
        return os.path.join(self._own, name)


class Writer(threading.Thread):
    """Writes to a consumer's disk all the time: block after block, each with the number of the write.

    :ivar begun: writes that were begun
    :ivar done: writes that were answered
    :ivar longest_seconds: the longest that a write took
    """

    def __init__(self, consumer, begun=0):
        super().__init__(daemon=True)
        self.begun = self.done = begun
        self.longest_seconds = 0
        self._ending = threading.Event()
        self._process = subprocess.Popen(
            ['qemu-io', '-f', 'raw', consumer.url()], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self._answered()

    def run(self):
        while not self._ending.is_set():
            self.begun += 1
            started = time.monotonic()
            block, value = place(self.begun)
            said = self._say(f'write -P {value} {block * BLOCK_BYTES} {BLOCK_BYTES}')
            if 'wrote' not in said:
                return
            self._say('flush')
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - started)
            self.done += 1

    def writes(self, count):
        """Wait until so many more are done."""
        wanted = self.done + count
        _wait(lambda: self.done >= wanted)

    def end(self):
        """Stop after the write that is under way; returns the number of writes."""
        self._ending.set()
        self.join(_SECONDS)
        self._process.communicate('quit\n', timeout=_SECONDS)
        return self.done

    def _say(self, command):
        try:
            self._process.stdin.write(command + '\n')
            self._process.stdin.flush()
        except BrokenPipeError:
            return ''
        return self._answered()

    def _answered(self):
        """What is printed up to the next prompt."""
        said = ''
        while not said.endswith('qemu-io> '):
            character = self._process.stdout.read(1)
            if not character:
                return said
            said += character
        return said


def _node(name):
    """The node of a file: at most 31 characters, beginning with a letter."""
    return 'n' + hashlib.sha256(name.encode()).hexdigest()[:30]


def place(number):
    """(block, byte) of a write."""
    return number * 7 % BLOCKS, 1 + number % 251


def state(count):
    """What the blocks hold after so many writes: a list of bytes, one per block."""
    held = [0] * BLOCKS
    for number in range(max(1, count - 4 * BLOCKS), count + 1):
        block, value = place(number)
        held[block] = value
    return held


def _wait(is_done):
    """
    :raises TimeoutError: it takes too long
    """
    deadline = time.monotonic() + _SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(_POLL_SECONDS)
