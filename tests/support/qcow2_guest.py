"""A running server with a qcow2 disk: a real QEMU, driven by QMP as libvirt drives it.

``Guest`` opens the active layer of a disk, follows its chain by what stands in the headers, and
serves the disk to a writer.  ``daemon`` is a qemu-storage-daemon; ``machine`` is a QEMU machine
whose virtio disk is served, too, and whose processor stands still.  What happens to jobs is
learnt from QEMU's events.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

import nbd_client

_SECONDS = 30
"""Longer does nothing here take that is not slowed down."""


class Refusal(Exception):
    """QEMU does not do what it is told; the text is its own."""


class Gone(Refusal):
    """QEMU has ended."""


class Monitor:
    """A session with QEMU's monitor: commands, and the events that come meanwhile."""

    def __init__(self, path, process):
        self._process = process
        self._stream = self._connect(path)
        self._turn, self._news = threading.Lock(), threading.Condition()
        self._answers, self._events, self._has_ended = [], [], False
        self._stream.readline()
        self._thread = threading.Thread(target=self._listen, name='qmp', daemon=True)
        self._thread.start()
        self.tell('qmp_capabilities')

    def _connect(self, path):
        # QEMU waits for it before it makes the monitor, and greets once then.
        deadline = time.monotonic() + _SECONDS
        while True:
            with socket.socket(socket.AF_UNIX) as made, contextlib.suppress(OSError):
                made.connect(path)
                return made.makefile('rwb')
            if self._process.poll() is not None:
                raise Gone(f'QEMU has ended: {self._process.stderr.read().decode()}')
            assert time.monotonic() < deadline, 'QEMU does not answer'
            time.sleep(0.005)

    def _listen(self):
        with contextlib.suppress(OSError, ValueError):
            for line in self._stream:
                said = json.loads(line)
                with self._news:
                    (self._events if 'event' in said else self._answers).append(said)
                    self._news.notify_all()
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def tell(self, command, **arguments):
        """Give a command; returns what is answered.

        :raises Refusal: it is not done
        """
        with self._turn:
            try:
                self._stream.write(json.dumps({
                    'execute': command, 'arguments': arguments}).encode() + b'\n')
                self._stream.flush()
            except (OSError, ValueError) as fault:
                raise Gone(str(fault)) from fault
            said = self._await(lambda: self._answers.pop(0) if self._answers else None, command)
        if 'error' in said:
            raise Refusal(said['error']['desc'])
        return said['return']

    def await_event(self, is_wanted, what, seconds=_SECONDS):
        """The next event that is wanted, from the oldest on that was not looked at yet.

        :raises Gone: QEMU ended before
        """
        def next_one():
            while self._events:
                found = self._events.pop(0)
                if is_wanted(found):
                    return found
            return None
        return self._await(next_one, what, seconds)

    def _await(self, look, what, seconds=_SECONDS):
        deadline = time.monotonic() + seconds
        with self._news:
            while (found := look()) is None:
                if self._has_ended:
                    raise Gone(f'QEMU ended while it was asked: {what}')
                assert self._news.wait(deadline - time.monotonic()), f'QEMU does not answer: {what}'
        return found

    def close(self):
        with contextlib.suppress(OSError):
            self._stream.close()


class Guest:
    """One server with one disk.

    :param path: of the active layer
    :param kind: ``daemon`` or ``machine``
    :ivar job_bytes_per_second: how fast merges are; 0 is as fast as they go
    """

    def __init__(self, path, kind='daemon'):
        self._numbers = itertools.count(1)
        self._directory = tempfile.TemporaryDirectory(prefix='guest-')
        self._top, self._owned = 'layer-0', ['layer-0']
        self.job_bytes_per_second = 0
        self._busy = threading.RLock()
        disk = json.dumps({'driver': 'qcow2', 'node-name': self._top, 'discard': 'unmap',
                           'file': {'driver': 'file', 'filename': os.path.realpath(path)}})
        self.process = subprocess.Popen(
            [*self.command(kind), '--blockdev', disk, '--chardev',
             'socket,id=qmp,path=qmp,server=on,wait=on', *_MONITORS[kind]],
            cwd=self._directory.name, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._monitor = Monitor(self.path_in('qmp'), self.process)
            self.serve()
        except BaseException:
            self.kill()
            raise

    def command(self, kind):
        """What runs QEMU, without its disk's nodes and its monitor."""
        return _COMMANDS[kind]

    def path_in(self, name):
        """Where a socket of the process is."""
        return os.path.join(self._directory.name, name)

    def serve(self):
        """Give the disk to a writer."""
        self._monitor.tell('nbd-server-start', **{
            'addr': {'type': 'unix', 'data': {'path': 'nbd'}}, 'max-connections': 0})
        self._monitor.tell('block-export-add', **{
            'type': 'nbd', 'id': 'writer', 'node-name': self._top, 'name': 'disk',
            'writable': True})

    def connect(self):
        """The disk, as a writer has it: an object with write, flush and close."""
        return nbd_client.Connection(self.path_in('nbd'))

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_alive(self):
        return self.process.poll() is None

    @property
    def path(self):
        """Of the layer that the guest writes to."""
        return self.chain()[0][1]

    def chain(self):
        """(node, path) of the layers that the guest reads, the active one first.

        Waits for a merge to end: QEMU 7.2 that is asked meanwhile may die of it (seen).
        """
        with self._busy:
            return self._chain()

    def _chain(self):
        # By the graph, since what QEMU calls a layer's name is cut off in a long chain.
        graph = self._monitor.tell('x-debug-query-block-graph')
        names = {each['id']: each['name'] for each in graph['nodes']}
        below = {(names[each['parent']], each['name']): names[each['child']]
                 for each in graph['edges']}
        files = {each['node-name']: each['file']
                 for each in self._monitor.tell('query-named-block-nodes', flat=True)
                 if each['drv'] == 'file'}
        found, name = [], self._top
        while name is not None:
            found.append((name, files[below[name, 'file']]))
            name = below.get((name, 'backing'))
        return found

    def open_files(self):
        """{(device, inode): path} of the layers that the process has open, as the kernel says."""
        found, directory = {}, f'/proc/{self.pid}/fd'
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for name in os.listdir(directory):
                with contextlib.suppress(FileNotFoundError):
                    path = os.readlink(f'{directory}/{name}')
                    if '.qcow2' in path or '.raw' in path:
                        status = os.stat(f'{directory}/{name}')
                        # The descriptor may have become another file's meanwhile.
                        if os.readlink(f'{directory}/{name}') in (path, f'{path} (deleted)'):
                            found[status.st_dev, status.st_ino] = path
        return found

    def snapshot(self, path):
        """Write to another layer from now on, which is there and empty.

        :raises Refusal: the guest stays where it was
        """
        with self._busy:
            node = f'layer-{next(self._numbers)}'
            self._monitor.tell('blockdev-snapshot-sync', **{
                'node-name': self._top, 'snapshot-file': str(path), 'format': 'qcow2',
                'snapshot-node-name': node, 'mode': 'existing'})
            self._top = node

    def commit(self, top, base, on_running=lambda: None):
        """Merge a layer into the one behind it, under what stands on it.

        :param top: and ``base``, names of files in the chain
        :param on_running: called when the first data have been copied
        :raises Refusal: the chain is as it was
        """
        with self._busy:
            nodes = self._nodes()
            self._run('block-commit', on_running, **{
                'top-node': self._named(nodes, top), 'base-node': self._named(nodes, base),
                'backing-file': base})

    def stream(self, base, on_running=lambda: None):
        """Pull into the active layer what lies above a layer; that alone is behind it then.

        :param base: name of a file in the chain; None: nothing is behind it then
        :raises Refusal: the chain is as it was
        """
        with self._busy:
            behind = {} if base is None else {
                'base-node': self._named(self._nodes(), base), 'backing-file': base}
            self._run('block-stream', on_running, **behind)

    def _nodes(self):
        return {os.path.basename(path): name for name, path in self.chain()}

    @staticmethod
    def _named(nodes, name):
        if name not in nodes:
            raise Refusal(f'{name} is not in the chain: {sorted(nodes)}')
        return nodes[name]

    def _run(self, command, on_running, **arguments):
        job = f'merge-{next(self._numbers)}'
        self._monitor.tell(command, **{
            'job-id': job, 'device': self._top, 'auto-dismiss': False,
            'speed': self.job_bytes_per_second, **arguments})
        if self.job_bytes_per_second:
            self._await_data(job)
            on_running()
        self._monitor.await_event(
            lambda said: said['event'] == 'JOB_STATUS_CHANGE' and said['data'] == {
                'id': job, 'status': 'concluded'}, f'{command} to end', 120)
        ended, = (each for each in self._monitor.tell('query-jobs') if each['id'] == job)
        self._monitor.tell('job-dismiss', id=job)
        if 'error' in ended:
            raise Refusal(ended['error'])
        self._let_go()

    def _await_data(self, job):
        """Return when a slow job has copied something, or has ended."""
        deadline = time.monotonic() + _SECONDS
        while True:
            found, = (each for each in self._monitor.tell('query-jobs') if each['id'] == job)
            if found['current-progress'] > 0 or found['status'] == 'concluded':
                return
            assert time.monotonic() < deadline, 'a merge does not begin'
            time.sleep(0.01)

    def _let_go(self):
        """Close the layer that this was opened with, once it is merged away."""
        used = [name for name, _path_ in self.chain()]
        for name in [each for each in self._owned if each not in used]:
            self._monitor.tell('blockdev-del', **{'node-name': name})
            self._owned.remove(name)

    def kill(self):
        """End it at once, as a host's power does; what it had not flushed may be lost."""
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def close(self):
        """Shut it down; all that was acknowledged is in the files."""
        if self.is_alive:
            with contextlib.suppress(Refusal):
                self._monitor.tell('quit')
        self._end()

    def _end(self):
        try:
            self.process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        if hasattr(self, '_monitor'):
            self._monitor.close()
        self._directory.cleanup()


_COMMANDS = {
    'daemon': ['qemu-storage-daemon'],
    'machine': ['qemu-system-x86_64', '-M', 'pc', '-accel', 'tcg', '-m', '16', '-nodefaults',
                '-display', 'none', '-S', '-device', 'virtio-blk-pci,drive=layer-0,share-rw=on'],
}
_MONITORS = {'daemon': ['--monitor', 'chardev=qmp'], 'machine': ['-mon', 'chardev=qmp,mode=control']}
