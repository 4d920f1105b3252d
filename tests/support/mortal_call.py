"""A call in a process of its own that is killed at an event that a test has counted out.

Events are: before and after whatever changes files or puts them on the medium, and the middle of a
write of a copy.
"""
# SPDX-License-Identifier: Apache-2.0

import fcntl
import os
import signal
import traceback

from cinder_ext.drivers.generic import blockio

CHANGES = ('rename', 'link', 'unlink', 'rmdir', 'mkdir', 'fsync', 'fdatasync', 'ftruncate', 'write')


def is_killed(event, function):
    """Call a function in a child that is killed (SIGKILL) at its ``event``-th event.

    :param event: from 1; None: never
    :returns: whether it was killed; else the call has ended well
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            _arm(event)
            function()
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    _pid, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f'the call has failed: {code}'
    return code != 0


class _Fuse:
    def __init__(self, event):
        self._left = event

    def burn(self):
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _arm(event):
    fuse = _Fuse(event)
    for name in CHANGES:
        setattr(os, name, _around(getattr(os, name), fuse))
    fcntl.ioctl = _around(fcntl.ioctl, fuse)
    blockio.write_from = _torn(blockio.write_from, fuse)


def _around(function, fuse):
    def called(*args, **kwargs):
        fuse.burn()
        found = function(*args, **kwargs)
        fuse.burn()
        return found
    return called


def _torn(write, fuse):
    def write_from(descriptor, view, offset):
        half = len(view) // 8192 * 4096
        write(descriptor, view[:half], offset)
        fuse.burn()
        return write(descriptor, view[half:], offset + half)
    return write_from
