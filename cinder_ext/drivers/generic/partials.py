"""Files that have their names only when they are whole, and what killed makers leave of them.

A file is made under a name of its own, ``NAME.RANDOM.partial``, and put on the medium.  Then it
gets its name by a link, which never replaces: of several processes that make the same file one
is first, and the others' are dropped.

While it is made it is locked, so that a service that starts does not remove what another service
of the backend is making.  The lock is on one byte that QEMU does not lock, and belongs to the
open file: QEMU may write to the file, also where file locks are the server's (NFS).  Who deletes
the name removes what is being made too: its maker, which may be a process that was frozen for
long, fails then instead of bringing a deleted file back.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import contextlib
import fcntl
import os
import re
import secrets
import struct
import time

from cinder_ext import exceptions
from cinder_ext.drivers.generic import directories

SUFFIX = '.partial'

_PARTIAL = re.compile(r'(.+?)(?:\.[0-9a-f]{16})?' + re.escape(SUFFIX))
_F_OFD_SETLK = 37
_FLOCK = struct.Struct('@hhqqi4x')
_PAUSE_SECONDS = 0.01

Partial = collections.namedtuple('Partial', 'path descriptor')


def create(path, fill, is_flushed=True):
    """Make a file, unless there is one of that name when it is done.

    :param fill: function(descriptor) that writes it
    :param is_flushed: whether it is put on the medium before it gets its name, and the name after
    :returns: whether it is this call's; else another's stands, which is whole
    :raises DriverError: it was deleted while it was made
    :raises OSError: from the file system; nothing is left then
    """
    remove_left(path)
    with _made(path) as partial:
        fill(partial.descriptor)
        if is_flushed:
            os.fsync(partial.descriptor)
        is_ours = _link(partial, path)
    if is_flushed:
        directories.sync(os.path.dirname(path))
    return is_ours


@contextlib.contextmanager
def replacing(path):
    """A Partial that takes a name when the block ends well, also from a file that has it.

    :raises DriverError: it was deleted while it was made
    """
    remove_left(path)
    with _made(path) as partial:
        yield partial
        os.fsync(partial.descriptor)
        with _not_deleted(path):
            os.rename(partial.path, path)
    directories.sync(os.path.dirname(path))


def create_together(paths, fill, patience_seconds=5):
    """Make files of one directory that get their names all, or it is seen.

    Who names the first one names the others too, so that files that all have their names are
    of one call.  Where somebody has named some of them and does not go on, those go first.

    :param fill: function(list of descriptors)
    :param patience_seconds: how long another process is waited for that has named some of them
    :returns: whether they are this call's; else another's stand, which are whole
    :raises ResourceBusy: another process has named some of them only, and did not go on
    :raises DriverError: they were deleted while they were made
    :raises OSError: from the file system
    """
    if any(os.path.lexists(path) for path in paths):
        if _others_finish(paths, patience_seconds):
            return False
        for deed in (remove, _unlink):
            for path in paths:
                deed(path)
        directories.sync(os.path.dirname(paths[0]))
    for path in paths:
        remove_left(path)
    if _named_together(paths, fill):
        directories.sync(os.path.dirname(paths[0]))
        return True
    if _others_finish(paths, patience_seconds):
        return False
    raise exceptions.ResourceBusy(
        reason=f'{os.path.basename(paths[0])} and others are being made by another process')


def _named_together(paths, fill):
    """Whether the files are this call's."""
    with contextlib.ExitStack() as opened:
        partials = [opened.enter_context(_made(path)) for path in paths]
        fill([partial.descriptor for partial in partials])
        for partial in partials:
            os.fsync(partial.descriptor)
        with contextlib.ExitStack() as undo:
            for partial, path in zip(partials, paths, strict=True):
                if not _link(partial, path):
                    if path == paths[0]:
                        return False
                    raise exceptions.ResourceBusy(
                        reason=f'{os.path.basename(path)} was made by another process')
                undo.callback(_unlink_ours, partial, path)
            undo.pop_all()
    return True


def _others_finish(paths, patience_seconds):
    """Whether all have their names, or get them soon from a process that is at it."""
    until = time.monotonic() + patience_seconds
    while not all(os.path.lexists(path) for path in paths):
        if time.monotonic() > until or not any(_is_being_made(path) for path in paths):
            # Named between the two looks?
            return all(os.path.lexists(path) for path in paths)
        time.sleep(_PAUSE_SECONDS)
    return True


def remove(path):
    """Remove all that is, or was, being made under a name.

    Who deletes the file removes these first: what gets the name before goes with it.
    """
    for partial in _partials_of(path):
        _unlink(partial)


def remove_left(path):
    """Remove what killed makers of a name left."""
    for partial in _partials_of(path):
        _remove_if_left(partial)


def sweep(directory, ending=''):
    """Remove what killed makers left in a directory.

    :param ending: of the names that files are made for
    """
    for name in os.listdir(directory):
        matched = _PARTIAL.fullmatch(name)
        if matched and matched[1].endswith(ending):
            _remove_if_left(os.path.join(directory, name))


def new_name(path):
    """A name for what will get another one; no other call has it."""
    return f'{path}.{secrets.token_hex(8)}{SUFFIX}'


@contextlib.contextmanager
def _made(path):
    """A new file under a name of its own, which it loses at the end."""
    partial = _opened(path)
    try:
        yield partial
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial.path)
        os.close(partial.descriptor)


def _opened(path):
    while True:
        name = new_name(path)
        descriptor = os.open(
            name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if _is_locked(descriptor) and os.fstat(descriptor).st_nlink:
            return Partial(name, descriptor)
        # Somebody looked at it, or swept it, before it was locked.
        _unlink(name)
        os.close(descriptor)


def _is_locked(descriptor):
    """Lock an open file; whether nobody else has."""
    try:
        fcntl.fcntl(descriptor, _F_OFD_SETLK,
                    _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _link(partial, path):
    """Give it a name; whether nobody else had."""
    with _not_deleted(path):
        try:
            os.link(partial.path, path, follow_symlinks=False)
        except FileExistsError:
            # Also said by a server that did it and whose first answer was lost.
            return _is_same(partial, path)
    return True


@contextlib.contextmanager
def _not_deleted(path):
    try:
        yield
    except FileNotFoundError as fault:
        os.stat(os.path.dirname(path))
        raise exceptions.DriverError(
            reason=f'{os.path.basename(path)} was deleted while it was made') from fault


def _is_same(partial, path):
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(partial.descriptor), os.lstat(path))
    return False


def _unlink_ours(partial, path):
    if _is_same(partial, path):
        _unlink(path)


def _unlink(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _partials_of(path):
    directory, wanted = os.path.split(path)
    for name in os.listdir(directory):
        matched = name.startswith(wanted) and _PARTIAL.fullmatch(name)
        if matched and matched[1] == wanted:
            yield os.path.join(directory, name)


@contextlib.contextmanager
def _looked_at(partial):
    """A descriptor of a partial, None when it is gone."""
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_being_made(path):
    for partial in _partials_of(path):
        with _looked_at(partial) as descriptor:
            if descriptor is not None and not _is_locked(descriptor):
                return True
    return False


def _remove_if_left(partial):
    with _looked_at(partial) as descriptor:
        if descriptor is not None and _is_locked(descriptor):
            _unlink(partial)
