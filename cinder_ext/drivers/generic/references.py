"""How an operator names what lies in a backend's directories, and what of it may not be taken.

A reference is ``{'source-name': NAME}``, with further keys where a driver has them: a file in a
directory that the driver knows, never a path.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import re
import stat

from cinder_ext import exceptions
from cinder_ext.drivers.generic import partials

KEY = 'source-name'
FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""For what is to be taken: a link is not followed, and a pipe is not waited for."""

_NAME = re.compile(r'[0-9A-Za-z_][0-9A-Za-z_.+-]{0,254}')


def named(reference, *more):
    """The file name of a reference.

    :param more: further keys that it may have
    :raises ReferenceRefused: it is no name, or could lead elsewhere
    """
    if not isinstance(reference, dict) or not {KEY} <= set(reference) <= {KEY, *more}:
        raise refused(reference, ' but '.join((f'it must have {KEY} and nothing else', *more)))
    name = reference[KEY]
    if not isinstance(name, str) or not is_fit(name):
        raise refused(name, 'it is no plain name of a file')
    return name


def is_fit(name):
    return _NAME.fullmatch(name) is not None and not name.endswith(partials.SUFFIX)


def refused(reference, reason):
    return exceptions.ReferenceRefused(reference=str(reference)[:255], reason=reason)


def unfit(status):
    """Why a file cannot become a volume; None if it can."""
    if not stat.S_ISREG(status.st_mode):
        return 'it is no regular file'
    if status.st_nlink != 1:
        return 'it has other names, by which its content could be changed'
    return None if status.st_size else 'it is empty'


def entries(directory):
    """(name, status) of everything in a directory that can be named, by name."""
    found = []
    with os.scandir(directory) as scanned:
        for entry in scanned:
            if is_fit(entry.name):
                with contextlib.suppress(FileNotFoundError):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
    return sorted(found, key=lambda pair: pair[0])


def status(path):
    """The status of a name itself; None when there is no such name."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def missing(path):
    """ResourceMissing of a file; but when its directory is gone too, the fault of that.

    :raises OSError: the directory is gone
    """
    os.stat(os.path.dirname(path))
    return exceptions.ResourceMissing(name=os.path.basename(path))
