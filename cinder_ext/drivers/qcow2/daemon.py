"""A storage daemon that shows layers as raw files (FUSE), one per backend.

It is started when it is first needed and outlives the service: exports stay while the service
restarts, and the next one talks to the same daemon.  One that died is started anew; exports
come back with the next connect.  Source: QEMU's storage daemon and its QMP reference
(blockdev-add, block-export-add).
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import fcntl
import hashlib
import os
import socket
import subprocess
import time

from oslo_log import log
from qemu import qmp
from qemu.qmp import legacy

from cinder_ext import exceptions
from cinder_ext.drivers.generic import faults
from cinder_ext.drivers.qcow2 import header

LOG = log.getLogger(__name__)

TOOL = 'qemu-storage-daemon'
FUSE = '/dev/fuse'
_START_SECONDS = 10
_ANSWER_SECONDS = 60
_POLL_SECONDS = 0.01


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
        """Show a chain as a raw file.  Idempotent: what is exported so stays.

        :param name: of the file
        :param nodes: (path, format) of the chain, the top first
        :returns: the file's path
        :raises ResourceBusy: another process writes to the chain
        :raises BackendDown: the daemon cannot be started or does not answer
        """
        with self._monitor() as monitor:
            found = {each['id']: each for each in monitor.cmd('query-block-exports')}
            if _id(name) in found:
                return self.path(name)
            self._add(monitor, name, nodes, is_writable)
        return self.path(name)

    def withdraw(self, name):
        """End an export, whoever uses it.  Idempotent."""
        if not self._is_there():
            return
        with self._monitor() as monitor:
            if any(each['id'] == _id(name) for each in monitor.cmd('query-block-exports')):
                monitor.cmd('block-export-del', id=_id(name), mode='hard')
                self._wait_for_the_end(monitor, name)
            self._forget(monitor, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(name))

    def stop(self):
        """End the daemon unless somebody uses an export.  Idempotent."""
        if not self._is_there():
            return
        with self._monitor() as monitor:
            if monitor.cmd('query-block-exports'):
                return
            monitor.cmd('quit')
        deadline = time.monotonic() + _START_SECONDS
        while self._is_there() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _add(self, monitor, name, nodes, is_writable):
        path = self.path(name)
        self._forget(monitor, name)
        _unmount(path)
        with open(path, 'ab', opener=_private):
            pass
        try:
            _add_node(monitor, name, nodes, is_writable)
            monitor.cmd('block-export-add', type='fuse', id=_id(name), mountpoint=path,
                        writable=is_writable, **{'node-name': _id(name)})
        except qmp.ExecuteError as fault:
            self._forget(monitor, name)
            raise _refusal(name, fault) from fault

    @staticmethod
    def _forget(monitor, name):
        """Close the layers of an export that is no more."""
        if any(each.get('node-name') == _id(name)
               for each in monitor.cmd('query-named-block-nodes', flat=True)):
            monitor.cmd('blockdev-del', **{'node-name': _id(name)})

    @staticmethod
    def _wait_for_the_end(monitor, name):
        deadline = time.monotonic() + _ANSWER_SECONDS
        while any(each['id'] == _id(name) for each in monitor.cmd('query-block-exports')):
            if time.monotonic() > deadline:
                raise exceptions.ResourceBusy(reason=f'export {name} does not end')
            time.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def _monitor(self):
        """A session with the daemon, which is started if it is not there; one at a time."""
        with faults.mapped(f'{TOOL} of {self.directory}'), self._turn():
            connection = self._connect() or self._start()
            monitor = legacy.QEMUMonitorProtocol(connection)
            try:
                monitor.connect(negotiate=True)
                monitor.settimeout(_ANSWER_SECONDS)
                yield monitor
            except (qmp.QMPError, TimeoutError, EOFError) as fault:
                raise exceptions.BackendDown(reason=f'{TOOL}: {fault}') from fault
            finally:
                with contextlib.suppress(qmp.QMPError, OSError, EOFError):
                    monitor.close()

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
            connection.connect(f'/proc/self/fd/{directory}/.monitor')
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        finally:
            os.close(directory)
        return connection

    def _start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path('.monitor'))
        with open(self.path('.messages'), 'ab', opener=_private) as messages:
            process = subprocess.Popen(
                [TOOL, '--chardev', 'socket,id=monitor,path=.monitor,server=on,wait=off',
                 '--monitor', 'chardev=monitor'],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages,
                start_new_session=True, umask=0o077)
        LOG.info('%s of %s is started: process %d', TOOL, self.directory, process.pid)
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            connection = self._connect()
            if connection is not None:
                return connection
            time.sleep(_POLL_SECONDS)
        raise exceptions.BackendDown(
            reason=f'{TOOL} does not start; see .messages in {self.directory}')


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
    """Take away what a daemon that died left mounted."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return
    except OSError:
        subprocess.run(['fusermount3', '-u', '-z', path], check=False, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _private(name, flags):
    return os.open(name, flags | os.O_NOFOLLOW, 0o600)
