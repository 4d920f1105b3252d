"""What the operating system says, in the words of the driver contract."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import errno

from cinder_ext import exceptions

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The medium or the quota on it is used up."""

DOWN = frozenset({
    errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EREMOTEIO,
    errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET, errno.ESHUTDOWN,
    errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.ENOMEDIUM,
})
"""The path, the device or the server behind it is gone or does not answer."""


def translated(fault, what):
    """The driver error that an OSError means.

    :param what: what was being done, with its offset where there is one; for the log
    """
    reason = f'{what}: {fault.strerror or fault}'
    if fault.errno in FULL:
        return exceptions.NoSpace(reason=reason)
    if fault.errno in DOWN:
        return exceptions.BackendDown(reason=reason)
    return exceptions.DriverError(reason=reason)


@contextlib.contextmanager
def mapped(what):
    """Turn an OSError inside the block into a driver error.

    :raises NoSpace: the medium is full
    :raises BackendDown: the path or what is behind it is gone, or the medium gives errors
    :raises DriverError: anything else the operating system refuses
    """
    try:
        yield
    except OSError as fault:
        raise translated(fault, what) from fault
