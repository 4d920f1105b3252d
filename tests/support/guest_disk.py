"""The disk of a running server: a real QEMU block layer, and a writer inside.

``GuestDisk`` is a ``qemu-storage-daemon`` that has a raw file open and serves it to its guest; by
QMP it is told to mirror the disk to another file and to pivot, as a hypervisor does when a volume
is swapped.  ``Writer`` is the guest: it writes blocks through the daemon, one after the other, and
notes each one that was acknowledged.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import itertools
import json
import pathlib
import random
import socket
import struct
import subprocess
import threading
import time

import nbd_client

BLOCK_BYTES = 4096
_DAEMON = 'qemu-storage-daemon'


class MirrorFailed(Exception):
    """The block layer could not mirror the disk."""


class GuestDisk:
    """One disk of a server that runs.

    :param directory: for the sockets; its path must be short
    :param path: the raw file
    """

    def __init__(self, directory, path):
        self.path = str(path)
        self._directory = pathlib.Path(directory)
        self._directory.mkdir(exist_ok=True)
        self.socket = str(self._directory / 'nbd')
        self._monitor_path = str(self._directory / 'qmp')
        self._numbers = itertools.count(1)
        self._node = 'disk-0'
        self.process = subprocess.Popen([
            _DAEMON, '--blockdev', self._blockdev(self._node, self.path),
            '--nbd-server', f'addr.type=unix,addr.path={self.socket}',
            '--export', f'nbd,id=guest,node-name={self._node},name=disk,writable=on',
            '--chardev', f'socket,id=qmp,path={self._monitor_path},server=on,wait=on',
            '--monitor', 'chardev=qmp'])
        self._lock = threading.Lock()
        self._monitor = self._connect()

    @staticmethod
    def _blockdev(node, path):
        return f'driver=raw,node-name={node},file.driver=file,file.filename={path},file.locking=off'

    def _connect(self, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            made = socket.socket(socket.AF_UNIX)
            try:
                made.connect(self._monitor_path)
                break
            except OSError:
                made.close()
                assert self.process.poll() is None, 'the storage daemon has ended'
                assert time.monotonic() < deadline, 'the storage daemon does not answer'
                time.sleep(0.01)
        stream = made.makefile('rwb')
        made.close()
        stream.readline()
        self._monitor = stream
        self.tell('qmp_capabilities')
        return stream

    def tell(self, command, **arguments):
        """Give the daemon a command; returns what it answers.

        :raises MirrorFailed: it refuses
        """
        with self._lock:
            self._monitor.write(json.dumps({
                'execute': command, 'arguments': arguments}).encode() + b'\n')
            self._monitor.flush()
            while True:
                said = json.loads(self._monitor.readline() or b'{"error": {"desc": "it ended"}}')
                if 'error' in said:
                    raise MirrorFailed(said['error']['desc'])
                if 'return' in said:
                    return said['return']

    def mirror(self, path, on_ready=lambda: None):
        """Copy the disk to another file while it is written to, and pivot the guest to that.

        :param path: of an existing file, at least as large
        :param on_ready: called when the copy has caught up, before the pivot
        :raises MirrorFailed: the guest stays where it was
        """
        number = next(self._numbers)
        node, job = f'disk-{number}', f'swap-{number}'
        self.tell('blockdev-add', **{
            'driver': 'raw', 'node-name': node,
            'file': {'driver': 'file', 'filename': str(path), 'locking': 'off'}})
        self.tell('blockdev-mirror', **{
            'job-id': job, 'device': self._node, 'target': node, 'sync': 'full',
            'auto-dismiss': False})
        try:
            self._wait(job, 'ready')
            on_ready()
            self.tell('job-complete', id=job)
            self._wait(job, 'concluded')
        finally:
            self._end(job)
        self.tell('blockdev-del', **{'node-name': self._node})
        self._node, self.path = node, str(path)

    def _wait(self, job, state, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            found, = (each for each in self.tell('query-jobs') if each['id'] == job)
            if found.get('error'):
                raise MirrorFailed(found['error'])
            if found['status'] == state:
                return
            if found['status'] == 'concluded':
                raise MirrorFailed('it was cancelled')
            assert time.monotonic() < deadline, f'the mirror is {found["status"]}'
            time.sleep(0.01)

    def _end(self, job):
        with contextlib.suppress(MirrorFailed):
            self.tell('job-cancel', id=job)
        with contextlib.suppress(MirrorFailed):
            self._wait(job, 'concluded')
        with contextlib.suppress(MirrorFailed):
            self.tell('job-dismiss', id=job)

    def cancel(self):
        """End a mirror that runs: the server is going away."""
        for job in self.tell('query-jobs'):
            with contextlib.suppress(MirrorFailed):
                self.tell('job-cancel', id=job['id'], )

    def close(self):
        """End the daemon; what was acknowledged is in the file."""
        if self.process.poll() is None:
            with contextlib.suppress(MirrorFailed, OSError):
                self.tell('quit')
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._monitor.close()


class Writer:
    """A program in the guest: writes until it is stopped.

    :ivar acknowledged: offset -> number of the last write there that was acknowledged

    :param blocks: how many blocks at the start of the disk it writes to
    :param pause_seconds: between two writes
    """

    def __init__(self, disk, blocks=4096, pause_seconds=0.0005):
        self.acknowledged = {}
        self._blocks, self._pause = blocks, pause_seconds
        self._stopping = threading.Event()
        self.fault = None
        self._lock, self._last = threading.Lock(), None
        self._disk = nbd_client.Connection(disk.socket)
        self._thread = threading.Thread(target=self._run, name='guest', daemon=True)
        self._thread.start()

    def _run(self):
        dice = random.Random(3)
        try:
            for number in itertools.count(1):
                if self._stopping.wait(self._pause):
                    return
                offset = dice.randrange(self._blocks) * BLOCK_BYTES
                with self._lock:
                    self._last = number, offset
                    self._disk.write(offset, content(number, offset))
                    self.acknowledged[offset] = number
        except (OSError, AssertionError) as fault:
            self.fault = fault

    @property
    def count(self):
        """How many writes were acknowledged so far."""
        return max(self.acknowledged.values(), default=0)

    def goes_on(self, writes=200, seconds=60):
        """Return when it has written that much more."""
        wanted, deadline = self.count + writes, time.monotonic() + seconds
        while self.count < wanted:
            assert self.fault is None, self.fault
            assert time.monotonic() < deadline, 'the guest is stuck'
            time.sleep(0.01)

    def stop(self):
        """End it; all that it has written is acknowledged then."""
        self._stopping.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), 'the guest is stuck'
        self._disk.close()

    def missing(self, path):
        """Offsets of acknowledged writes that a file does not have; nothing is written meanwhile.

        A last one that was cut off may be there, or what was there before.
        """
        found = []
        with self._lock, open(path, 'rb') as stream:
            for offset, number in self.acknowledged.items():
                stream.seek(offset)
                there = stream.read(BLOCK_BYTES)
                is_last = self._last[1] == offset and there == content(*self._last)
                if there != content(number, offset) and not is_last:
                    found.append(offset)
        return found


def content(number, offset):
    """The block that a write puts at an offset; no two writes have the same."""
    return struct.pack('>QQ', number, offset) * (BLOCK_BYTES // 16)
