"""Snapshots of several volumes at one moment: all are frozen while nobody writes to any."""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.qcow2 import layers, locks


class GroupLayers(capabilities.GroupSnapshots):
    """Part of the qcow2 driver; uses its layers, its links and its locks.

    A volume that is written to has a consumer that must take part: the group is refused, at once.
    """

    refuses_writers = True

    def create_group_snapshot(self, snapshots):
        """Whoever asks for a view waits meanwhile; who opens a layer by himself is seen at the end."""
        volumes = [values.Volume(each.volume_name_id, each.size_bytes) for each in snapshots]
        families = [layers.family_of(self._links.get(volume)) for volume in volumes]
        pairs = list(zip(snapshots, volumes, strict=True))
        with self._mapped('taking a group snapshot'), self._locked(*families):
            if not all(self._is_taken(*pair) for pair in pairs):
                with contextlib.ExitStack() as undo:
                    self._take_together(pairs, undo)
                    undo.pop_all()
        return [None] * len(snapshots)

    def _is_taken(self, snapshot, volume):
        """Whether a member is there; one that is still its volume's layer was begun and no more."""
        return self._links.find(snapshot) not in (None, self._links.get(volume))

    def _take_together(self, pairs, undo):
        for snapshot, _ in pairs:
            self._give_up(snapshot)
        frozen = [self._still(volume) for _, volume in pairs]
        for (snapshot, volume), layer in zip(pairs, frozen, strict=True):
            undo.callback(self._put_back, snapshot, volume, layer)
            self._links.set(snapshot, layer)
            self._freeze(volume, snapshot.name_id)
        if any(locks.is_written(self._layers.path(layer)) for layer in frozen):
            raise exceptions.ResourceBusy(reason='a volume was opened while the group was frozen')

    def _give_up(self, snapshot):
        """Take its name from what a killed call has frozen; it is merged if nobody uses it."""
        with contextlib.suppress(exceptions.ResourceBusy):
            self._let_go(snapshot, self._links.find(snapshot))
        self._links.remove(snapshot)

    def _put_back(self, snapshot, volume, layer):
        """As it was: the layer that was put on the volume is still empty."""
        top = self._links.get(volume)
        self._links.set(volume, layer)
        if top != layer:
            self._layers.remove(top)
        self._links.remove(snapshot)
