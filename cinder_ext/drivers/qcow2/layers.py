"""The layers of one directory: a forest of files, each of which stands on at most one other.

A layer is named ``FAMILY.NAME.FORMAT``.  The format in the name is the record of it: it was
given when the layer was made and what the content looks like never counts.  Only layers of one
family stand on each other, so that those that stand on a layer are found without looking at all.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import re

from cinder_ext import exceptions
from cinder_ext.drivers.generic import directories, partials, units
from cinder_ext.drivers.qcow2 import header, images

ROOM = 'layers'
_NAME = re.compile(r'([0-9A-Za-z-]{1,64})\.([0-9A-Za-z-]{1,80})\.(qcow2|raw)')
_ALIGNMENT = 4096


class Layers:
    """The files of ``BASE/layers``.  Callers see to it that one at a time changes a family.

    Names that are given are checked: nothing outside of the directory is ever opened.
    """

    def __init__(self, base):
        self.directory = os.path.join(base, ROOM)

    def start(self):
        """Make the directory; remove what killed creates left.  Idempotent."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        partials.sweep(self.directory)

    def names(self):
        """Of all layers, in no order."""
        return [name for name in os.listdir(self.directory) if _NAME.fullmatch(name)]

    def path(self, name):
        """:raises DriverError: it is no name of a layer"""
        if not _NAME.fullmatch(name):
            raise exceptions.DriverError(reason=f'{name!r} is no name of a layer')
        return os.path.join(self.directory, name)

    def exists(self, name):
        return os.path.lexists(self.path(name))

    def header(self, name):
        """header.Header of a layer, checked.

        :raises ResourceMissing: there is no such layer
        :raises DriverError: it leads where no layer may lead
        """
        path = self.path(name)
        try:
            if format_of(name) == header.RAW:
                return header.Header(os.stat(path, follow_symlinks=False).st_size, None, None)
            found = header.read(path)
        except FileNotFoundError:
            os.stat(self.directory)
            raise exceptions.ResourceMissing(name=name)
        if found.backing is not None:
            _check_backing(name, found)
        return found

    def parent(self, name):
        """The layer that one stands on, or None."""
        return self.header(name).backing

    def size(self, name):
        """Virtual size in bytes."""
        return self.header(name).size_bytes

    def chain(self, name):
        """A layer and what it stands on, the top first.

        :raises DriverError: it stands on itself
        """
        found = []
        while name is not None:
            if name in found:
                raise exceptions.DriverError(reason=f'layer {name} stands on itself')
            found.append(name)
            name = self.parent(name)
        return found

    def nodes(self, name):
        """(path, format) of a chain, the top first, as images.graph takes it."""
        return [(self.path(each), format_of(each)) for each in self.chain(name)]

    def children(self, name):
        """The layers that stand on one, sorted."""
        family = family_of(name)
        with os.scandir(self.directory) as entries:
            names = [entry.name for entry in entries
                     if entry.name.startswith(family + '.') and _NAME.fullmatch(entry.name)]
        return sorted(each for each in names if each != name and self._stands_on(each, name))

    def _stands_on(self, name, parent):
        # One that is gone meanwhile stands on nothing.
        with contextlib.suppress(exceptions.ResourceMissing):
            return self.parent(name) == parent
        return False

    def parents(self, family):
        """Layer -> the one that it stands on, or None, of a whole family."""
        found = {}
        for name in os.listdir(self.directory):
            if is_name(name) and family_of(name) == family:
                # One that is gone meanwhile is not there.
                with contextlib.suppress(exceptions.ResourceMissing):
                    found[name] = self.parent(name)
        return found

    def create(self, name, size_bytes, parent=None):
        """Make an empty layer, which appears whole; one that was there is replaced."""
        with self._made_whole(name) as partial:
            images.create(partial, size_bytes, parent, parent and format_of(parent))

    def flatten(self, source, name, size_bytes):
        """Make a layer that stands on nothing and reads what ``source`` reads."""
        with self._made_whole(name) as partial:
            images.create(partial, size_bytes)
            images.convert(self.nodes(source), partial)

    def adopt(self, path, name):
        """Make a layer of a file of this file system, which is there no more afterwards."""
        os.rename(path, self.path(name))
        directories.sync(self.directory)
        directories.sync(os.path.dirname(path))

    def extend(self, name, size_bytes):
        """Make a layer larger; one of that size or larger is left as it is."""
        if self.size(name) < size_bytes:
            images.resize(self.path(name), size_bytes, format_of(name))

    def commit(self, name):
        """Write a layer's data into its parent, and let those that stand on it stand there.

        Repeatable.  The layer itself stays and has no more children.
        """
        parent = self.parent(name)
        images.commit(self.path(name))
        for child in self.children(name):
            images.repoint(self.path(child), parent, format_of(parent))

    def pull(self, name):
        """Let a layer stand on its grandparent, with its parent's data in it.  Repeatable."""
        parent = self.parent(name)
        below = self.parent(parent)
        images.rebase(self.path(name), below, below and format_of(below))

    def remove(self, name):
        """Remove a layer that nothing stands on, and what creates of it are making.  Idempotent."""
        os.stat(self.directory)
        partials.remove(self.path(name))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(name))
        directories.sync(self.directory)

    def give_as(self, model, name):
        """Let whoever may open ``model`` open a layer, as far as this process may give it away."""
        wanted, path = os.stat(self.path(model), follow_symlinks=False), self.path(name)
        # Files are given to an emulator by its own host where that is allowed to.
        with contextlib.suppress(PermissionError):
            os.chown(path, wanted.st_uid, wanted.st_gid, follow_symlinks=False)
        os.chmod(path, wanted.st_mode & 0o777)

    def is_empty(self, name):
        """Whether nothing was ever written to a layer."""
        return format_of(name) == header.QCOW2 and header.is_empty(self.path(name))

    def taken_bytes(self, name):
        """What a layer takes on the medium."""
        return os.stat(self.path(name), follow_symlinks=False).st_blocks * 512

    def allocated(self, name, size_bytes):
        """Where a chain may be other than zero: a list of values.Range, ascending."""
        return _clipped((part for part, _, is_data in images.extents(self.nodes(name)) if is_data),
                        size_bytes)

    def differing(self, older, newer, size_bytes):
        """Where a chain may differ from a layer in it.

        :returns: a list of values.Range, ascending; None when ``older`` is not in the chain
        """
        chain = self.chain(newer)
        if older not in chain:
            return None
        above, end = chain.index(older), self.size(older)
        parts = images.extents(self.nodes(newer))
        changed = [part for part, depth, _ in parts if depth < above]
        grown = [part for part, _, is_data in parts if is_data and part.end > end]
        return _clipped([*changed, *grown], size_bytes)

    @contextlib.contextmanager
    def _made_whole(self, name):
        """The path of a new file that gets its name when the block ends well.

        It is there already, and the tools write into it: who sweeps finds it locked.
        """
        with partials.replacing(self.path(name)) as partial:
            yield partial.path


def is_name(name):
    """Whether a file in the directory is a layer."""
    return _NAME.fullmatch(name) is not None


def family_of(name):
    return name.split('.')[0]


def format_of(name):
    """The recorded format of a layer."""
    return name.rpartition('.')[2]


def named(family, name, kind=header.QCOW2):
    """The name of a layer."""
    return f'{family}.{name}.{kind}'


def _check_backing(name, found):
    """
    :raises DriverError: a layer may stand on a layer of its family only, by its recorded format
    """
    backing = found.backing
    if (not _NAME.fullmatch(backing) or family_of(backing) != family_of(name)
            or found.backing_format != format_of(backing)):
        raise exceptions.DriverError(
            reason=f'layer {name} stands on {backing!r} as {found.backing_format!r}: '
                   'that is not its family')


def _clipped(parts, size_bytes):
    return units.coalesced((part for part in parts if part.offset < size_bytes), _ALIGNMENT,
                           size_bytes)
