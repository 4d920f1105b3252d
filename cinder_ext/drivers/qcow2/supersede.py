"""Volumes get a layer of their own, and their snapshots second links, out of an old writer's reach.

The volume's layer is frozen; the old name and the new one each get an empty layer on it.  The
view by which the old name may still be written is ended first: a write that comes later fails.
When the old name is deleted, the new one's layer is merged with the frozen one again.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.qcow2 import layers, links


class SupersedeLayers(capabilities.Supersede):
    """Part of the qcow2 driver; uses its layers, its links and its locks."""

    def supersede(self, pairs):
        for old, new in pairs:
            family = layers.family_of(self._links.get(old))
            with self._work(family, f'naming {old.name_id} {new.name_id}'):
                if isinstance(new, values.Snapshot):
                    self._name_again(old, new)
                else:
                    self._stand_beside(old, new)
        return [None] * len(pairs)

    def _name_again(self, old, new):
        if self._links.find(new) is None:
            self._links.set(new, self._links.get(old))

    def _stand_beside(self, old, new):
        """Never a flat copy, however long the chain is: the snapshots are to lie below."""
        self._daemon.withdraw(links.label(old))
        if self._links.find(new) is None:
            origin = self._still(old)
            name = self._fresh(layers.family_of(origin), new.name_id)
            self._layers.create(name, max(old.size_bytes, self._layers.size(origin)), origin)
            self._links.set(new, name)
        if self._links.get(old) in self._layers.chain(self._links.get(new)):
            self._freeze(old, f'{new.name_id}-origin')
