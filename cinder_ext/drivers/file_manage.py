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

from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.generic import directories, references

_OURS = re.compile(r'(volume|snapshot)-([0-9A-Za-z][0-9A-Za-z-]{0,63})\.raw')


class FileManage(capabilities.ManageVolumes, capabilities.ManageSnapshots):
    """Part of the file driver; uses its arrays."""

    def manageable_volumes(self):
        return self._manageable('volumes')

    def examine_volume(self, volume, reference):
        return self._examine(volume, reference)

    def manage_volume(self, volume, reference):
        return self._manage(volume, reference)

    def unmanage_volume(self, volume):
        """It keeps its name: nothing is to be done."""

    def manageable_snapshots(self):
        return self._manageable('snapshots')

    def examine_snapshot(self, snapshot, reference):
        return self._examine(snapshot, reference)

    def manage_snapshot(self, snapshot, reference):
        return self._manage(snapshot, reference)

    def unmanage_snapshot(self, snapshot):
        """It keeps its name: nothing is to be done."""

    def _manageable(self, room):
        array = self._active_array
        array.check()
        with array.mapped(f'listing {room}'):
            return [_found(name, status) for name, status in
                    references.entries(os.path.join(array.base, room))]

    def _examine(self, resource, reference):
        array = self._array_for(resource)
        path = array.path(resource)
        name = references.named(reference)
        with array.mapped(f'examining {name}'):
            done = references.status(path)
            if done is not None:
                return values.Found({references.KEY: name}, done.st_size)
            source = os.path.join(os.path.dirname(path), name)
            status = references.status(source)
            if status is None:
                raise references.missing(source)
        found = _found(name, status)
        if found.reason_not_safe:
            raise references.refused(name, found.reason_not_safe)
        return found

    def _manage(self, resource, reference):
        """Make it as large as it has to be, then give it our name."""
        array = self._array_for(resource)
        path, name = array.path(resource), references.named(reference)
        directory = os.path.dirname(path)
        source = os.path.join(directory, name)
        with array.lock(source), array.lock(path), array.mapped(f'managing {name}'):
            if not os.path.lexists(path):
                try:
                    descriptor = os.open(source, references.FLAGS)
                except FileNotFoundError:
                    raise references.missing(source)
                with contextlib.closing(os.fdopen(descriptor, 'rb+', buffering=0)):
                    _prepare(descriptor, name, resource.size_bytes)
                os.rename(source, path)
            directories.sync(directory)
        return array.location


def _prepare(descriptor, name, size_bytes):
    """Check an open file, close it to others and make it as large as its volume."""
    status = os.fstat(descriptor)
    reason = references.unfit(status)
    if status.st_size > size_bytes:
        reason = f'it has grown past {size_bytes} bytes'
    if reason:
        raise references.refused(name, reason)
    os.fchmod(descriptor, 0o600)
    os.ftruncate(descriptor, size_bytes)
    os.fsync(descriptor)


def _found(name, status):
    matched = _OURS.fullmatch(name)
    return values.Found({references.KEY: name}, status.st_size, name_id=matched and matched[2],
                        reason_not_safe=references.unfit(status))
