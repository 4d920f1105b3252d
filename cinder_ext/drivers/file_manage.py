"""Files that lie in a backend's directory become volumes and snapshots, and are let go.

A reference is ``{'source-name': NAME}``: a file in ``volumes/`` or
``snapshots/`` itself, never a path.  Its content is taken as raw bytes and is
not looked at: a file that claims to be another format, with files behind it,
is only bytes.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import re
import stat

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.generic import directories, partials

KEY = 'source-name'

_NAME = re.compile(r'[0-9A-Za-z_][0-9A-Za-z_.+-]{0,254}')
_OURS = re.compile(r'(volume|snapshot)-([0-9A-Za-z][0-9A-Za-z-]{0,63})\.raw')
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""A link is not followed, and a pipe is not waited for."""


class FileManage(capabilities.ManageVolumes, capabilities.ManageSnapshots):
    """Part of the file driver; uses its paths, its locks and its faults."""

    def manageable_volumes(self):
        return self._manageable('volumes')

    def examine_volume(self, volume, reference):
        return self._examine(volume, reference)

    def manage_volume(self, volume, reference):
        self._manage(volume, reference)

    def unmanage_volume(self, volume):
        """It keeps its name: nothing is to be done."""

    def manageable_snapshots(self):
        return self._manageable('snapshots')

    def examine_snapshot(self, snapshot, reference):
        return self._examine(snapshot, reference)

    def manage_snapshot(self, snapshot, reference):
        self._manage(snapshot, reference)

    def unmanage_snapshot(self, snapshot):
        """It keeps its name: nothing is to be done."""

    def _manageable(self, room):
        with self._mapped(f'listing {room}'):
            return [_found(name, status) for name, status in
                    _entries(os.path.join(self._base, room)) if _is_fit(name)]

    def _examine(self, resource, reference):
        path = self._path(resource)
        name = _named(reference)
        with self._mapped(f'examining {name}'):
            done = _status(path)
            if done is not None:
                return values.Found({KEY: name}, done.st_size)
            status = _status(os.path.join(os.path.dirname(path), name))
            if status is None:
                raise self._missing(path, name)
        found = _found(name, status)
        if found.reason_not_safe:
            raise _refused(name, found.reason_not_safe)
        return found

    def _manage(self, resource, reference):
        """Make it as large as it has to be, then give it our name."""
        path, name = self._path(resource), _named(reference)
        directory = os.path.dirname(path)
        source = os.path.join(directory, name)
        with self._lock(source), self._lock(path), self._mapped(f'managing {name}'):
            if not os.path.lexists(path):
                try:
                    descriptor = os.open(source, _FLAGS)
                except FileNotFoundError:
                    raise self._missing(path, name)
                with contextlib.closing(os.fdopen(descriptor, 'rb+', buffering=0)):
                    _prepare(descriptor, name, resource.size_bytes)
                os.rename(source, path)
            directories.sync(directory)

    @staticmethod
    def _missing(path, name):
        """ResourceMissing; but when the directory is gone too, the fault of that."""
        os.stat(os.path.dirname(path))
        return exceptions.ResourceMissing(name=name)


def _prepare(descriptor, name, size_bytes):
    """Check an open file, close it to others and make it as large as its volume."""
    status = os.fstat(descriptor)
    reason = _unfit(status)
    if status.st_size > size_bytes:
        reason = f'it has grown past {size_bytes} bytes'
    if reason:
        raise _refused(name, reason)
    os.fchmod(descriptor, 0o600)
    os.ftruncate(descriptor, size_bytes)
    os.fsync(descriptor)


def _named(reference):
    """The file name of a reference.

    :raises ReferenceRefused: it is no name, or could lead elsewhere
    """
    if not isinstance(reference, dict) or set(reference) != {KEY}:
        raise _refused(reference, f'it must have {KEY} and nothing else')
    name = reference[KEY]
    if not isinstance(name, str) or not _is_fit(name):
        raise _refused(name, 'it is no plain name of a file')
    return name


def _is_fit(name):
    return _NAME.fullmatch(name) is not None and not name.endswith(partials.SUFFIX)


def _refused(reference, reason):
    return exceptions.ReferenceRefused(reference=str(reference)[:255], reason=reason)


def _found(name, status):
    matched = _OURS.fullmatch(name)
    return values.Found({KEY: name}, status.st_size, name_id=matched and matched[2],
                        reason_not_safe=_unfit(status))


def _unfit(status):
    """Why a file cannot become a volume; None if it can."""
    if not stat.S_ISREG(status.st_mode):
        return 'it is no regular file'
    if status.st_nlink != 1:
        return 'it has other names, by which its content could be changed'
    return None if status.st_size else 'it is empty'


def _entries(directory):
    """(name, status) of everything in a directory, by name."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                found.append((entry.name, entry.stat(follow_symlinks=False)))
    return sorted(found, key=lambda pair: pair[0])


def _status(path):
    """The status of a name itself; None when there is no such name."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
