"""Snapshots of qcow2 volumes that a server writes to: capabilities.AssistedSnapshots.

A new layer is made on the volume's, and the server goes over to it; what it wrote to before is
the snapshot then.  Until that is settled the new one has a link in ``overlays/``, so that it is
never taken for something that a killed call left.

To delete a snapshot the server merges layers that it has open.  Whether it has, and who writes to
what, is read from the headers and from QEMU's locks, whatever anybody reports.  Nothing that is
written to is removed, and no layer ever gets another name.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import itertools
import os

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.qcow2 import images, layers, links, locks, merging

LOG = log.getLogger(__name__)

OVERLAY, BELOW = 'overlay', 'below'
CHAIN, UNCERTAIN = 'chain', 'uncertain'
KIND, TOP, BOTTOM = 'merge', 'merge_top', 'merge_bottom'


class AssistedLayers(capabilities.AssistedSnapshots):
    """The driver's part; needs consumers that open the layers themselves."""

    def switched_off(self):
        if self.settings.options.file_export is None:
            return super().switched_off() | {capabilities.AssistedSnapshots}
        return super().switched_off()

    def create_snapshot_assisted_begin(self, snapshot):
        volume = volume_of(snapshot)
        with self._of_volume(snapshot, 'preparing'):
            self._links.get(volume)
            if self._is_taken(snapshot, volume):
                self._gone_over(snapshot)
                return values.Assistance()
            overlay, active = self._made_ready(snapshot, volume)
        return values.Assistance({'type': layers.format_of(overlay), 'new_file': overlay},
                                 noted=_noted({OVERLAY: overlay, BELOW: active}))

    def _made_ready(self, snapshot, volume):
        """(new layer, the volume's layer that it stands on).  Repeatable."""
        mine = links.Overlay(snapshot.name_id)
        self._refuse_underway(self._links.get(volume), mine)
        overlay = self._overlay(snapshot)
        if overlay is None:
            self._follow_consumer(volume)
        active = self._links.get(volume)
        if overlay is not None and self._layers.parent(overlay) == active:
            return overlay, active
        overlay = self._fresh(layers.family_of(active), snapshot.name_id)
        with contextlib.ExitStack() as undo:
            undo.callback(self._links.remove, mine)
            self._links.set(mine, overlay)
            self._layers.create(overlay, self._layers.size(active), active)
            self._layers.give_as(active, overlay)
            undo.pop_all()
        self._links.remove(snapshot)
        return overlay, active

    def create_snapshot_assisted_complete(self, snapshot, noted):
        with self._of_volume(snapshot, 'completing'):
            self._gone_over(snapshot)
            if not self._is_taken(snapshot, volume_of(snapshot)):
                raise exceptions.ResourceMissing(name=f'the new layer of {snapshot.name_id}')
        return values.Assistance()

    def create_snapshot_assisted_abort(self, snapshot, noted, consumer):
        with self._of_volume(snapshot, 'ending'):
            if consumer == capabilities.NEVER_ASKED:
                self._take_back(snapshot)
                return values.Assistance()
            if consumer == capabilities.GONE:
                top = self._overlay(snapshot) or self._links.find(volume_of(snapshot))
                self._refuse_written(*(self._layers.chain(top) if top is not None else []))
            is_made = self._gone_over(snapshot)
        if consumer == capabilities.GONE or not is_made:
            return values.Assistance()
        return values.Assistance(noted={**noted, CHAIN: UNCERTAIN})

    def _gone_over(self, snapshot):
        """Let the volume be its new layer, and the snapshot what that stands on.

        Repeatable.  Returns False when there is neither a new layer nor a snapshot.
        """
        mine, overlay = links.Overlay(snapshot.name_id), self._overlay(snapshot)
        if overlay is not None:
            self._links.set(snapshot, self._layers.parent(overlay))
            self._links.set(volume_of(snapshot), overlay)
        self._links.remove(mine)
        return self._links.find(snapshot) is not None

    def _overlay(self, snapshot):
        """The layer that was made for a snapshot which is not settled, or None."""
        overlay = self._links.find(links.Overlay(snapshot.name_id))
        return overlay if overlay is not None and self._layers.exists(overlay) else None

    def _take_back(self, snapshot):
        """Remove the new layer, unless the volume went over to it.

        :raises ResourceBusy: somebody has it open
        """
        if self._links.find(snapshot) is not None:
            self._gone_over(snapshot)
            return
        overlay = self._overlay(snapshot)
        if overlay is not None:
            self._spoil(overlay)
        self._links.remove(links.Overlay(snapshot.name_id))

    def delete_snapshot_assisted_begin(self, snapshot):
        with self._of_volume(snapshot, 'planning the end of'):
            self._daemon.withdraw(links.label(snapshot))
            merge = self._next(snapshot)
            if merge is None:
                self._drop(snapshot)
                return values.Assistance()
        noted = {TOP: merge.top, BOTTOM: merge.bottom}
        if merge.base is not None:
            noted[BELOW] = merge.base
        return values.Assistance(merge.request(), noted={KIND: merge.kind, **_noted(noted)})

    def delete_snapshot_assisted_complete(self, snapshot, noted):
        with self._of_volume(snapshot, 'merging'):
            if self._links.find(snapshot) is not None:
                self._end_merge(snapshot, noted)
            self._drop(snapshot)
        return values.Assistance()

    def delete_snapshot_assisted_abort(self, snapshot, noted):
        return values.Assistance()

    def _next(self, snapshot):
        """The merging.Merge that must be before a snapshot can go, or None."""
        layer, volume = self._links.find(snapshot), volume_of(snapshot)
        if layer is None or self._links.find(volume) is None:
            return None
        self._refuse_underway(self._links.get(volume))
        self._follow_consumer(volume)
        active = self._links.get(volume)
        self._recognise(snapshot)
        forest = self._forest(active).without(layer, links.label(snapshot))
        merge = merging.plan(forest, active, layer) if layer in forest.parents else None
        if merge is not None:
            self._refuse_written(merge.bottom)
            if merge.kind == merging.STREAM and merge.top in forest.written:
                chain = forest.chain(merge.top)
                self._spares.expect(merge.top, chain[1:chain.index(merge.bottom) + 1])
        return merge

    def _end_merge(self, snapshot, noted):
        """
        :raises DriverError: the headers show no merge
        :raises ResourceBusy: what was merged is still written to
        """
        active, layer = self._links.get(volume_of(snapshot)), self._links.get(snapshot)
        merge = merging.Merge(noted.get(KIND), noted.get(TOP), noted.get(BOTTOM), noted.get(BELOW))
        forest = self._forest(active)
        if not merging.is_done(forest, active, layer, merge):
            raise exceptions.DriverError(reason=f'layer {layer} was not merged')
        if merge.kind == merging.COMMIT:
            self._refuse_written(merge.bottom)
            self._links.move(merge.top, merge.bottom)

    def _recognise(self, snapshot):
        """Let what was merged into a snapshot's layer, and not reported, be that layer.

        It stands beside the volume's chain, nothing stands on it, and it reads what the layer reads.

        :raises ResourceBusy: the merge is going on
        """
        layer, active = self._links.find(snapshot), self._links.find(volume_of(snapshot))
        chain = self._layers.chain(active) if active is not None else []
        beside = self._layers.children(layer) if layer in chain else []
        for other in beside:
            names = self._links.names(other)
            if (other not in chain and names and all(map(links.is_of_snapshot, names))
                    and not self._layers.children(other) and self._is_same(other, layer)):
                self._links.move(other, layer)

    def _is_same(self, one, other):
        self._refuse_written(other)
        return (self._layers.size(one) == self._layers.size(other)
                and images.is_same(self._layers.nodes(one), self._layers.nodes(other)))

    def _drop(self, snapshot):
        """Take a snapshot's link away, and the layers that are needed no more."""
        found = self._links.find(snapshot), self._links.find(volume_of(snapshot))
        self._links.remove(snapshot)
        for family in {layers.family_of(name) for name in found if name is not None}:
            self._spares.wait(family)
            self._collect(family)

    def _follow_consumer(self, volume):
        """Take back the layers that a volume's consumer never went over to.

        They hold nothing, and nobody else can be who writes below them.  A consumer that is asked
        for them later finds no image, and stays where it is.
        """
        while self._is_elsewhere(volume):
            active = self._links.get(volume)
            below = self._layers.parent(active)
            try:
                with self._barred(active) as image:
                    if not self._layers.is_empty(active):
                        return
                    self._links.set(volume, below)
                    os.truncate(image, 0)
                    self._layers.remove(active)
            except exceptions.ResourceBusy:
                return
            LOG.info('layer %s was never used and is gone; volume %s is %s again',
                     active, volume.name_id, below)

    def _is_elsewhere(self, volume):
        """Whether a volume's consumer is seen to write to a layer below the volume's."""
        forest = self._forest(self._links.get(volume))
        chain = forest.chain(self._links.get(volume))
        seat = chain.index(forest.seat(chain[0]))
        return (seat > 0 and not forest.children(chain[0])
                and forest.links[chain[0]] == {links.label(volume)}
                and all(forest.children(below) == [above]
                        for above, below in itertools.pairwise(chain[:seat + 1])))

    def _spoil(self, layer):
        """Remove a layer that holds nothing; who opens it in this moment finds no image.

        :raises ResourceBusy: somebody has it open
        """
        with self._barred(layer) as image:
            os.truncate(image, 0)
            self._layers.remove(layer)

    @contextlib.contextmanager
    def _barred(self, layer):
        """
        :raises ResourceBusy: somebody has it open
        """
        with contextlib.ExitStack() as held:
            try:
                image = held.enter_context(locks.barred(self._layers.path(layer)))
            except BlockingIOError as fault:
                raise exceptions.ResourceBusy(reason=f'layer {layer} is in use') from fault
            yield image

    def _refuse_underway(self, active, but=None):
        """
        :raises ResourceBusy: a consumer may be going over to another layer, or has
        """
        for mine, overlay in self._links.overlays():
            if mine != but and overlay in self._layers.children(active):
                raise exceptions.ResourceBusy(
                    reason=f'snapshot {mine.name_id} of the volume is on its way')

    def _refuse_used(self, volume):
        """
        :raises ResourceBusy: a consumer writes to a volume, or may have gone over to another layer
        """
        active = self._links.get(volume)
        self._refuse_underway(active)
        self._refuse_written(*self._layers.chain(active))

    def _refuse_written(self, *names):
        """
        :raises ResourceBusy: somebody may be writing to one of these layers
        """
        for name in filter(self._is_written, names):
            raise exceptions.ResourceBusy(
                reason=f'layer {name} is written to; its consumer must take part')

    def _is_written(self, layer):
        return locks.is_written(self._layers.path(layer))

    def _forest(self, active):
        """What headers, links and locks show of a family, but for what is merged and only kept."""
        family = layers.family_of(active)
        kept = self._spares.kept(family)
        parents = {name: parent for name, parent in self._layers.parents(family).items()
                   if name not in kept}
        return merging.Forest(
            parents, self._links.by_layer(),
            frozenset(filter(self._is_written, self._layers.chain(active))))

    @contextlib.contextmanager
    def _of_volume(self, snapshot, what):
        """The turn on the families of a snapshot and of its volume; one even when nothing is left."""
        found = self._links.find(volume_of(snapshot)), self._links.find(snapshot)
        families = {layers.family_of(name) for name in found if name is not None}
        what = f'{what} snapshot {snapshot.name_id}'
        with self._mapped(what), self._locked(*(families or {snapshot.volume_name_id})):
            yield


def volume_of(snapshot):
    """The volume that a snapshot is of."""
    return values.Volume(snapshot.volume_name_id, snapshot.size_bytes)


def _noted(names):
    """Names of layers, and the recorded format of each."""
    return {**names, **{f'{name}:format': layers.format_of(name) for name in names.values()}}
