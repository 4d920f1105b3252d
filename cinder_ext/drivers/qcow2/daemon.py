"""A storage daemon that shows layers as raw files, one per backend.

The daemon serves NBD on a socket, and a nbdfuse process per view makes a file of it.  Not the
daemon's own FUSE export: before QEMU 10.1 a request that arrives while a write is in progress
overwrites the data of that write (seen with 7.2: four direct writers, every unit wrong).

The daemon is started when it is first needed and outlives the service: views stay while the
service restarts, and the next one talks to the same daemon.  One that died is started anew;
views come back with the next connect.  Source: QEMU's storage daemon and its QMP reference
(blockdev-add, block-export-add), nbdfuse(1).
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import threading
import time

from oslo_log import log
from qemu import qmp
from qemu.qmp import legacy

from cinder_ext import exceptions
from cinder_ext.drivers.generic import faults
from cinder_ext.drivers.qcow2 import header

LOG = log.getLogger(__name__)

TOOL = 'qemu-storage-daemon'
VIEWER = 'nbdfuse'
FUSE = '/dev/fuse'
_MONITOR = '.monitor'
_NBD = '.nbd'
_START_SECONDS = 10
_ANSWER_SECONDS = 60
_POLL_SECONDS = 0.01
_UNKNOWN_NODE = 'Failed to find node'


class StorageDaemon:
    """Exports of one directory.

    :param directory: where the socket, the daemon's messages and the mount points are
    """

    def __init__(self, directory):
        self.directory = directory

    def path(self, name):
        """Where an export is seen."""
        return os.path.join(self.directory, name)

    def export(self, name, nodes, is_writable):
        """Show a chain as a raw file.  Idempotent: what is shown stays.

        :param name: of the file
        :param nodes: (path, format) of the chain, the top first
        :returns: the file's path
        :raises ResourceBusy: another process writes to the chain
        :raises BackendDown: the daemon cannot be started or does not answer
        """
        path = self.path(name)
        with self._monitor() as monitor:
            if self._is_exported(monitor, name):
                if _is_mounted(path):
                    return path
            else:
                self._add(monitor, name, nodes, is_writable)
            self._show(name)
        return path

    def withdraw(self, name):
        """End a view, whoever uses it.  Idempotent."""
        path = self.path(name)
        _unmount(path)
        with self._monitor(starts=False) as monitor:
            if monitor is not None:
                self._remove(monitor, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def names(self):
        """Names of the views that there are, sorted."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(name for name in os.listdir(self.directory) if not name.startswith('.'))
        return []

    def stop(self):
        """End the daemon unless somebody uses an export.  Idempotent."""
        with self._monitor(starts=False) as monitor:
            if monitor is None or monitor.cmd('query-block-exports'):
                return
            monitor.cmd('quit')
        deadline = time.monotonic() + _START_SECONDS
        while self._is_there() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    @staticmethod
    def _is_exported(monitor, name):
        return any(each['id'] == _id(name) for each in monitor.cmd('query-block-exports'))

    def _add(self, monitor, name, nodes, is_writable):
        _remove_node(monitor, name)
        try:
            _add_node(monitor, name, nodes, is_writable)
            monitor.cmd('block-export-add', type='nbd', id=_id(name), name=name,
                        writable=is_writable, **{'node-name': _id(name)})
        except qmp.ExecuteError as fault:
            self._remove(monitor, name)
            raise _refusal(name, fault) from fault

    def _remove(self, monitor, name):
        """End an export, whoever uses it, and close its layers."""
        if self._is_exported(monitor, name):
            monitor.cmd('block-export-del', id=_id(name), mode='hard')
            _wait(lambda: not self._is_exported(monitor, name), f'export {name} does not end')
        _remove_node(monitor, name)

    def _show(self, name):
        """Make a file of an export."""
        path = self.path(name)
        _unmount(path)
        with open(path, 'ab', opener=_private):
            pass
        viewer = self._spawn(VIEWER, name, f'nbd+unix:///{name}?socket={_NBD}')
        _wait(lambda: viewer.poll() is not None or _is_mounted(path), f'{VIEWER} shows no {name}')
        if viewer.poll() is not None:
            raise exceptions.BackendDown(
                reason=f'{VIEWER} does not show {name}; see .messages in {self.directory}')

    @contextlib.contextmanager
    def _monitor(self, starts=True):
        """A session with the daemon; one at a time.

        :param starts: whether it is started if it is not there; else the session is None then
        """
        with faults.mapped(f'{TOOL} of {self.directory}'), self._turn():
            monitor = self._greeted(self._connect())
            if monitor is None and starts:
                monitor = self._greeted(self._start())
            if monitor is None:
                if starts:
                    raise exceptions.BackendDown(reason=f'{TOOL} does not greet')
                yield None
                return
            try:
                yield monitor
            except (qmp.QMPError, TimeoutError, EOFError) as fault:
                raise exceptions.BackendDown(reason=f'{TOOL}: {fault}') from fault
            finally:
                with contextlib.suppress(qmp.QMPError, OSError, EOFError):
                    monitor.close()

    @staticmethod
    def _greeted(connection):
        """A session on a connection; None without one, or when the daemon is just dying."""
        if connection is None:
            return None
        monitor = legacy.QEMUMonitorProtocol(connection)
        try:
            monitor.connect(negotiate=True)
        except (qmp.QMPError, OSError, EOFError) as fault:
            LOG.info('%s does not greet: %s', TOOL, fault)
            return None
        monitor.settimeout(_ANSWER_SECONDS)
        return monitor

    @contextlib.contextmanager
    def _turn(self):
        """The monitor speaks with one at a time; the lock is seen by other processes too."""
        descriptor = os.open(self.path('.lock'), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _is_there(self):
        connection = self._connect()
        if connection is not None:
            connection.close()
        return connection is not None

    def _connect(self):
        """A connection to the daemon's socket, or None.

        Through a descriptor of the directory: the name of a socket has at most 107 bytes.
        """
        connection = socket.socket(socket.AF_UNIX)
        directory = os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f'/proc/self/fd/{directory}/{_MONITOR}')
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        finally:
            os.close(directory)
        return connection

    def _start(self):
        # It waits for the first connection before it makes its monitor: where the two come at
        # once QEMU 7.2 greets twice, or never answers (3 of 4000 starts beside other work).
        for name in (_MONITOR, _NBD):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(name))
        process = self._spawn(
            TOOL, '--chardev', f'socket,id=monitor,path={_MONITOR},server=on,wait=on',
            '--monitor', 'chardev=monitor', '--nbd-server',
            f'addr.type=unix,addr.path={_NBD},max-connections=0')
        LOG.info('%s of %s is started: process %d', TOOL, self.directory, process.pid)
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            connection = self._connect()
            if connection is not None:
                return connection
            time.sleep(_POLL_SECONDS)
        raise exceptions.BackendDown(
            reason=f'{TOOL} does not start; see .messages in {self.directory}')

    def _spawn(self, *command):
        """Start a process that outlives this one; its messages go to a file."""
        with open(self.path('.messages'), 'ab', opener=_private) as messages:
            process = subprocess.Popen(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=messages,
                stderr=messages, start_new_session=True, umask=0o077)
        # Waited for when it ends, so that it does not stay as a zombie.
        threading.Thread(target=process.wait, name=command[0], daemon=True).start()
        return process


def _wait(is_done, what):
    """
    :raises BackendDown: it takes too long
    """
    deadline = time.monotonic() + _START_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise exceptions.BackendDown(reason=what)
        time.sleep(_POLL_SECONDS)


def _is_mounted(path):
    """Whether a view is there and answers."""
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except OSError:
        return False


def _remove_node(monitor, name):
    """Close the layers of a view.  Idempotent."""
    try:
        monitor.cmd('blockdev-del', **{'node-name': _id(name)})
    except qmp.ExecuteError as fault:
        if _UNKNOWN_NODE not in str(fault):
            raise


def _add_node(monitor, name, nodes, is_writable):
    """Open a chain, past the page cache where the file system lets it be."""
    try:
        monitor.cmd('blockdev-add', **_graph(nodes, is_writable, is_direct=True),
                    **{'node-name': _id(name)})
    except qmp.ExecuteError as fault:
        if 'O_DIRECT' not in str(fault):
            raise
        monitor.cmd('blockdev-add', **_graph(nodes, is_writable, is_direct=False),
                    **{'node-name': _id(name)})


def _graph(nodes, is_writable, is_direct):
    """A chain as blockdev-add takes it: only the top is ever written."""
    (path, kind), behind = nodes[0], nodes[1:]
    cache = {'direct': is_direct, 'no-flush': False}
    node = {'driver': kind, 'read-only': not is_writable, 'discard': 'unmap', 'cache': cache,
            'file': {'driver': 'file', 'filename': path, 'discard': 'unmap', 'cache': cache,
                     'read-only': not is_writable}}
    if kind == header.QCOW2:
        node['backing'] = _graph(behind, False, is_direct) if behind else None
    return node


def _id(name):
    """The id of an export and of its node: at most 31 characters, beginning with a letter."""
    return 'x' + hashlib.sha256(name.encode()).hexdigest()[:30]


def _refusal(name, fault):
    said = str(fault)
    if 'lock' in said:
        return exceptions.ResourceBusy(reason=f'{name}: {said}')
    return exceptions.DriverError(reason=f'{TOOL} does not export {name}: {said}')


def _unmount(path):
    """Take a view away, also one whose process died.  Idempotent."""
    try:
        if os.stat(path).st_dev == os.stat(os.path.dirname(path)).st_dev:
            return
    except FileNotFoundError:
        return
    except OSError as fault:
        LOG.info('the view %s does not answer and is taken away: %s', path, fault.strerror)
    subprocess.run(['fusermount3', '-u', '-z', path], check=False, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _private(name, flags):
    return os.open(name, flags | os.O_NOFOLLOW, 0o600)
