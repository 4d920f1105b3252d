"""Layers that a consumer has merged into its active one, kept until their data are safe there.

An emulator that was killed loses what it had not flushed: of a block-stream that is done the header
is on the medium at once, the table of the copied clusters is not before the consumer's next
flush.  Seen with QEMU 7.2.

So what is to be streamed is written down before anybody is asked.  When the header has changed, the
old layers stay until the active one is seen to hold their data.  When it is not in use any more
and does not, it is put back on them, and reads what it read.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import time

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.drivers.generic import directories
from cinder_ext.drivers.qcow2 import images, layers, locks

LOG = log.getLogger(__name__)

ROOM = 'spares'
_PARTIAL = '.partial'
_FLUSH_SECONDS = 0.5
_POLL_SECONDS = 0.05


class Spares:
    """``BASE/spares/LAYER``: names of the layers that were below it, the upper first.

    Callers have the turn of the family.

    :param forest: layers.Layers of the same directory
    """

    def __init__(self, base, forest):
        self._directory = os.path.join(base, ROOM)
        self._layers = forest

    def start(self):
        """Make the directory; remove what killed changes left.  Idempotent."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        for name in os.listdir(self._directory):
            if name.endswith(_PARTIAL):
                os.unlink(os.path.join(self._directory, name))

    def families(self):
        """The families that have any: a set."""
        return {layers.family_of(name) for name in os.listdir(self._directory)}

    def expect(self, layer, below):
        """Write down that a layer is to take over others, the upper first.  Repeatable."""
        known = self._below(layer)
        if known and not self._is_on(layer, known):
            below = [*known, *(name for name in below if name not in known)]
        path = os.path.join(self._directory, layer)
        with open(path + _PARTIAL, 'w', opener=_private) as file:
            file.write('\n'.join(below))
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + _PARTIAL, path)
        directories.sync(self._directory)

    def kept(self, family):
        """Layers of a family that are not to be removed yet, though nobody stands on them: a set."""
        found = set()
        for layer in self._of(family):
            below = self._below(layer)
            if not self._is_void(layer, below) and not self._is_on(layer, below):
                found.update(below)
        return found

    def settle(self, family):
        """Forget what is safe, put back what was lost.

        :returns: whether anything was settled
        """
        return any([self._is_settled(layer) for layer in self._of(family)])  # noqa: C419 - all

    def wait(self, family):
        """Settle what a busy consumer flushes right now; what it does not is settled later."""
        deadline = time.monotonic() + _FLUSH_SECONDS
        while self.kept(family) and not self.settle(family) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _is_settled(self, layer):
        below = self._below(layer)
        if self._is_void(layer, below):
            self._forget(layer)
            return True
        if self._is_on(layer, below):
            return False
        if self._is_safe(layer, below):
            _sync(self._layers.path(layer))
        elif not self._is_put_back(layer, below[0]):
            return False
        self._forget(layer)
        return True

    def _is_safe(self, layer, below):
        """Whether the medium has the data of the layers below in this one."""
        nodes = [(self._layers.path(name), layers.format_of(name)) for name in (layer, *below)]
        try:
            return not images.is_read_through(nodes, self._layers.parent(layer) is None)
        except exceptions.DriverError as fault:
            LOG.info('what layer %s holds is not known while it is in use: %s', layer, fault)
            return False

    def _is_put_back(self, layer, below):
        """Whether nobody uses a layer and it stands on its old one again."""
        path = self._layers.path(layer)
        if locks.is_open(path):
            return False
        with contextlib.suppress(exceptions.ResourceBusy):
            images.repoint(path, below, layers.format_of(below))
            LOG.warning('layer %s had not taken over %s when its consumer ended: it stands on that '
                        'again', layer, below)
            return True
        return False

    def _is_void(self, layer, below):
        return not below or not all(map(self._layers.exists, (layer, *below)))

    def _is_on(self, layer, below):
        """Whether a layer stands on its old one still: it has taken over nothing."""
        return below[0] in self._layers.chain(layer)

    def _of(self, family):
        return [name for name in os.listdir(self._directory)
                if name.startswith(family + '.') and layers.is_name(name)]

    def _below(self, layer):
        try:
            with open(os.path.join(self._directory, layer)) as file:
                found = file.read().split()
        except FileNotFoundError:
            return []
        return found if all(map(layers.is_name, found)) else []

    def _forget(self, layer):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._directory, layer))
        directories.sync(self._directory)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(name, flags):
    return os.open(name, flags | os.O_NOFOLLOW, 0o600)
