"""What a consumer has to merge so that a snapshot's layer can go: plans, without any file.

A layer that no resource needs is superfluous when a single one stands on it.  All superfluous
ones that lie together go at once: into the layer above them when a consumer writes to that one,
else the layer above them goes down into the lowest of them, which takes its place.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

STREAM = 'stream'
"""The layer that is written to takes over the data from below."""
COMMIT = 'commit'
"""A frozen layer's data go down."""


@dataclasses.dataclass(frozen=True)
class Forest:
    """Layers as their headers, the links and the locks show them at one moment.

    :ivar parents: layer -> the one that it stands on, or None
    :ivar links: layer -> base names of what it is; a layer without may be missing
    :ivar written: layers that somebody may be writing to, as far as locks tell
    """

    parents: dict
    links: dict
    written: frozenset = frozenset()

    def chain(self, layer):
        """A layer and what it stands on, the top first."""
        found = []
        while layer is not None:
            found.append(layer)
            layer = self.parents[layer]
        return found

    def children(self, layer):
        return sorted(each for each, parent in self.parents.items() if parent == layer)

    def seat(self, active):
        """Where a volume's consumer writes: below ``active`` when it never went over to that."""
        return next((each for each in self.chain(active) if each in self.written), active)

    def is_superfluous(self, layer, above):
        """Whether nobody needs a layer but the one above it."""
        return not self.links.get(layer) and self.children(layer) == [above]

    def without(self, layer, link):
        """The forest when a link is gone."""
        left = frozenset(self.links.get(layer, ())) - {link}
        return dataclasses.replace(self, links={**self.links, layer: left})


@dataclasses.dataclass(frozen=True)
class Merge:
    """What a consumer is asked for.

    :ivar kind: STREAM or COMMIT
    :ivar top: STREAM: what is written to, and takes over; COMMIT: what goes down
    :ivar bottom: the lowest superfluous layer; COMMIT: what ``top`` becomes
    :ivar base: STREAM: what ``top`` stands on afterwards, or None
    """

    kind: str
    top: str
    bottom: str
    base: str | None = None

    def request(self):
        """Nova's ``delete_info``, without ids."""
        if self.kind == STREAM:
            names = {'file_to_merge': self.base, 'merge_target_file': None}
        else:
            names = {'file_to_merge': self.top, 'merge_target_file': self.bottom}
        return {'type': 'qcow2', **names}


def plan(forest, active, layer):
    """How a layer that has lost its last link goes, while a consumer writes to the volume.

    :param active: the volume's layer
    :returns: a Merge; None when nothing is to be merged: others need the layer, or what needs it
        is not the consumer's to merge
    """
    chain = forest.chain(active)
    seat = forest.seat(active)
    if layer not in chain or chain.index(layer) <= chain.index(seat):
        return None
    above = chain[chain.index(layer) - 1]
    if not forest.is_superfluous(layer, above):
        return None
    bottom, top = _lowest(forest, layer), _over(forest, chain, seat, layer)
    if top == seat:
        return Merge(STREAM, top, bottom, forest.parents[bottom])
    if len(forest.children(top)) != 1:
        return None
    return Merge(COMMIT, top, bottom)


def is_done(forest, active, layer, merge):
    """Whether the headers show that a merge which was planned is done.

    :param layer: the layer that it was planned for
    """
    chain = forest.chain(active)
    if merge.kind == STREAM:
        return layer not in chain and merge.top in chain
    return merge.top not in chain and merge.bottom in chain


def _lowest(forest, layer):
    """The lowest of the superfluous layers that lie together."""
    below = forest.parents[layer]
    while below is not None and forest.is_superfluous(below, layer):
        layer, below = below, forest.parents[below]
    return layer


def _over(forest, chain, seat, layer):
    """The lowest layer above the superfluous ones."""
    position = chain.index(layer) - 1
    while chain[position] != seat and forest.is_superfluous(chain[position], chain[position - 1]):
        position -= 1
    return chain[position]
