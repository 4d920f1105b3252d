"""Files and layers in a backend's directory become volumes and snapshots, and are let go.

``{'source-name': NAME, 'format': 'raw' | 'qcow2'}`` is a file that was put into ``volumes/`` or
``snapshots/``.  The format is the operator's word and is never guessed: whatever bytes a raw file
has, it is a raw layer from then on.  A qcow2 file must hold all its data itself, unencrypted.

``{'source-name': 'volume-NAME_ID'}`` is a link: what was let go, or what came with the directory.
The resource becomes the same layer, with all that it stands on, and the old link goes.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import re

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.generic import directories, references
from cinder_ext.drivers.qcow2 import header, images, layers, links, locks

FORMAT = 'format'

_OURS = re.compile(r'(?:volume|snapshot)-([0-9A-Za-z][0-9A-Za-z-]{0,63})')
_OPEN = 'a process has it open for writing'


class ManageLayers(capabilities.ManageVolumes, capabilities.ManageSnapshots):
    """Part of the qcow2 driver; uses its layers, its links and its locks."""

    def manageable_volumes(self):
        return self._manageable(links.VOLUMES)

    def examine_volume(self, volume, reference):
        return self._examine(volume, reference)

    def manage_volume(self, volume, reference):
        self._manage(volume, reference)

    def unmanage_volume(self, volume):
        self._unmanage(volume)

    def manageable_snapshots(self):
        return self._manageable(links.SNAPSHOTS)

    def examine_snapshot(self, snapshot, reference):
        return self._examine(snapshot, reference)

    def manage_snapshot(self, snapshot, reference):
        self._manage(snapshot, reference)

    def unmanage_snapshot(self, snapshot):
        self._unmanage(snapshot)

    def _unmanage(self, resource):
        """It keeps its link: only its view ends."""
        with self._mapped(f'letting {resource.name_id} go'):
            self._daemon.withdraw(links.label(resource))

    def _manageable(self, room):
        directory = self._links.directory(room)
        with self._mapped(f'listing {room}'):
            found = [self._found(os.path.join(directory, name), _suffix(name))
                     for name, _ in references.entries(directory)]
        return [each for each in found if each is not None]

    def _examine(self, resource, reference):
        name, kind = _parsed(reference)
        with self._mapped(f'examining {name}'):
            done = self._links.find(resource)
            if done is not None and self._layers.exists(done):
                return values.Found({references.KEY: name}, self._layers.size(done))
            return self._fit(os.path.join(self._links.room(resource), name), kind)

    def _fit(self, path, kind):
        """What a path is, that can be managed.

        :raises ResourceMissing: there is nothing
        :raises ReferenceRefused: it cannot be managed
        """
        found = self._found(path, kind)
        if found is None:
            raise references.missing(path)
        reason = found.reason_not_safe
        if reason is None and links.target(path) is None and kind == header.QCOW2:
            reason = _broken(path)
        if reason:
            raise references.refused(os.path.basename(path), reason)
        return found

    def _found(self, path, kind):
        """values.Found of a file or a link; None when there is none or its layer is not there.

        :param kind: its format as it was named; None: it was not
        """
        status, layer = references.status(path), links.target(path)
        if status is None:
            return None
        if layer is None:
            return _found_file(path, kind, status)
        name, size_bytes, reason = os.path.basename(path), 0, None
        try:
            if not self._layers.exists(layer):
                return None
            size_bytes = self._layers.size(layer)
            reason = self._unfit(layer, kind)
        except exceptions.DriverError as fault:
            reason = fault.message
        matched = _OURS.fullmatch(name)
        return values.Found({references.KEY: name}, size_bytes, matched and matched[1], reason)

    def _unfit(self, layer, kind):
        """Why a layer cannot become a volume; None if it can.

        :raises DriverError: what it stands on is not there, or no layer
        """
        self._layers.chain(layer)
        if kind not in (None, layers.format_of(layer)):
            return f'it is recorded as {layers.format_of(layer)}'
        if locks.is_written(self._layers.path(layer)):
            return _OPEN
        return None

    def _manage(self, resource, reference):
        name, kind = _parsed(reference)
        source = os.path.join(self._links.room(resource), name)
        layer = links.target(source)
        family = resource.name_id if layer is None else layers.family_of(layer)
        with self._mapped(f'managing {name}'), self._locked(source, resource.name_id, family):
            done = self._links.find(resource)
            if done is None or not self._layers.exists(done):
                found = self._fit(source, kind)
                if found.size_bytes > resource.size_bytes:
                    raise references.refused(name, f'it has grown past {resource.size_bytes} bytes')
                self._take(resource, source, kind, found.size_bytes < resource.size_bytes)
            if name != links.label(resource):
                self._forget(source, self._links.get(resource))

    def _take(self, resource, source, kind, grows):
        """Make it as large as it has to be, then give it the resource's name."""
        layer = links.target(source)
        if layer is not None:
            self._layers.extend(layer, resource.size_bytes)
            self._links.set(resource, layer)
            return
        _prepare(source, kind, resource.size_bytes if grows else None)
        layer = self._fresh(resource.name_id, resource.name_id, kind)
        with contextlib.ExitStack() as undo:
            # First the link: a layer that has none is taken for the rest of a killed call.
            undo.callback(self._links.remove, resource)
            self._links.set(resource, layer)
            self._layers.adopt(source, layer)
            undo.pop_all()

    def _forget(self, source, layer):
        """Remove the link that a resource was managed by, and its view.  Repeatable."""
        if links.target(source) == layer:
            self._daemon.withdraw(os.path.basename(source))
            os.unlink(source)
            directories.sync(os.path.dirname(source))


def _parsed(reference):
    """(name, format or None) of a reference.

    :raises ReferenceRefused: it is none
    """
    name = references.named(reference, FORMAT)
    kind = reference.get(FORMAT)
    if FORMAT in reference and kind not in header.FORMATS:
        raise references.refused(name, f'its {FORMAT} must be one of {", ".join(header.FORMATS)}')
    return name, kind


def _suffix(name):
    """The format that a file is called by; None when it is called by none."""
    kind = name.rpartition('.')[2]
    return kind if kind in header.FORMATS else None


def _found_file(path, kind, status):
    name, size_bytes = os.path.basename(path), status.st_size
    reason = references.unfit(status)
    if reason is None and kind is None:
        reason = f'its {FORMAT} must be named'
    elif reason is None and kind == header.QCOW2:
        size_bytes, reason = _header_of(path, size_bytes)
    if reason is None and locks.is_written(path):
        reason = _OPEN
    return values.Found({references.KEY: name, **({FORMAT: kind} if kind else {})}, size_bytes,
                        reason_not_safe=reason)


def _header_of(path, size_bytes):
    """(virtual size, why a file cannot be managed or None) of a file that is named qcow2."""
    try:
        found = header.read(path)
    except exceptions.DriverError as fault:
        return size_bytes, f'it is no fit qcow2 file: {fault.__cause__}'
    if found.backing is not None:
        return found.size_bytes, 'a part of its data lies in another file: convert it first'
    if found.inner_snapshots:
        return found.size_bytes, 'it has snapshots inside: convert it first'
    return found.size_bytes, None


def _broken(path):
    """Why a file cannot be read whole; None if it can."""
    try:
        images.check(path)
    except exceptions.DriverError as fault:
        return fault.message
    return None


def _prepare(path, kind, size_bytes):
    """Close a file to others, make it larger if it has to be, and put that on the medium."""
    descriptor = os.open(path, references.FLAGS)
    try:
        os.fchmod(descriptor, 0o600)
        if size_bytes is not None:
            images.resize(path, size_bytes, kind)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
