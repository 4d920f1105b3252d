"""Which layer a volume or a snapshot is: a symbolic link per resource, changed atomically."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import os
import re

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import directories, partials
from cinder_ext.drivers.qcow2 import layers

VOLUMES = 'volumes'
SNAPSHOTS = 'snapshots'
OVERLAYS = 'overlays'
ROOMS = (VOLUMES, SNAPSHOTS, OVERLAYS)
_NAME_ID = re.compile(r'[0-9A-Za-z][0-9A-Za-z-]{0,63}')


@dataclasses.dataclass(frozen=True)
class Overlay:
    """What a volume's consumer may be going over to while a snapshot is taken.

    :ivar name_id: the snapshot's
    """

    name_id: str


_KINDS = {values.Snapshot: 'snapshot', Overlay: 'overlay'}


class Links:
    """``BASE/volumes/volume-NAME_ID``, ``BASE/snapshots/snapshot-NAME_ID`` and so on."""

    def __init__(self, base):
        self._base = base

    def start(self):
        """Make the directories; remove what killed changes left.  Idempotent."""
        for room in ROOMS:
            directory = os.path.join(self._base, room)
            os.makedirs(directory, mode=0o700, exist_ok=True)
            for name in os.listdir(directory):
                if name.endswith(partials.SUFFIX):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(os.path.join(directory, name))

    def directory(self, room):
        """Where the links of VOLUMES or of SNAPSHOTS are."""
        return os.path.join(self._base, room)

    def find(self, resource):
        """The layer of a volume or snapshot, None when it has none."""
        return target(self._path(resource))

    def get(self, resource):
        """The layer of a volume or snapshot.

        :raises ResourceMissing: it is not there
        """
        found = self.find(resource)
        if found is None:
            path = self._path(resource)
            os.stat(os.path.dirname(path))
            raise exceptions.ResourceMissing(name=os.path.basename(path))
        return found

    def set(self, resource, layer):
        """Let a resource be a layer, in one step."""
        self._point(self._path(resource), layer)

    def room(self, resource):
        """The directory of a resource's link."""
        return os.path.dirname(self._path(resource))

    def remove(self, resource):
        """Idempotent."""
        path = self._path(resource)
        os.stat(os.path.dirname(path))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        directories.sync(os.path.dirname(path))

    def move(self, layer, to):
        """Let whatever is one layer be another one.  Repeatable."""
        for path, found in self._all():
            if found == layer:
                self._point(path, to)

    def names(self, layer):
        """Base names of the links to a layer."""
        return [os.path.basename(path) for path, found in self._all() if found == layer]

    def used(self):
        """The layers that have a link: a set."""
        return {found for _, found in self._all()}

    def of_volumes(self):
        """The layers of all volumes."""
        return [found for _, found in self._all(VOLUMES)]

    def overlays(self):
        """(Overlay, its layer) of all snapshots that are on their way."""
        return [(Overlay(os.path.basename(path).removeprefix('overlay-')), found)
                for path, found in self._all(OVERLAYS)]

    def by_layer(self):
        """Layer -> a frozenset of the base names of its links, for each that has one."""
        found = {}
        for path, layer in self._all():
            found.setdefault(layer, set()).add(os.path.basename(path))
        return {layer: frozenset(names) for layer, names in found.items()}

    def _all(self, *rooms):
        for room in rooms or ROOMS:
            directory = os.path.join(self._base, room)
            for name in os.listdir(directory):
                found = target(os.path.join(directory, name))
                if found is not None and not name.endswith(partials.SUFFIX):
                    yield os.path.join(directory, name), found

    def _path(self, resource):
        """
        :raises DriverError: the name could lead elsewhere
        """
        if not _NAME_ID.fullmatch(resource.name_id):
            raise exceptions.DriverError(
                reason=f'{resource.name_id!r} is not fit for a file name')
        return os.path.join(self._base, f'{_kind(resource)}s', label(resource))

    @staticmethod
    def _point(path, layer):
        partial = None
        while partial is None or not _is_renamed(partial, path):
            partial = partials.new_name(path)
            os.symlink(os.path.join('..', layers.ROOM, layer), partial)
        directories.sync(os.path.dirname(path))


def label(resource):
    """What the link of a resource is called, and its raw view."""
    return f'{_kind(resource)}-{resource.name_id}'


def is_of_snapshot(name):
    """Whether that is the name of a snapshot's link."""
    return name.startswith('snapshot-')


def _kind(resource):
    return next((kind for of, kind in _KINDS.items() if isinstance(resource, of)), 'volume')


def _is_renamed(partial, path):
    """Rename; whether it was there: a service that starts sweeps new links of others too."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(partial, path)
        return True
    return False


def target(path):
    """The layer that a path links to; None where there is no link of ours."""
    try:
        found = os.readlink(path)
    except OSError:
        return None
    directory, name = os.path.split(found)
    return name if directory == os.path.join('..', layers.ROOM) else None
