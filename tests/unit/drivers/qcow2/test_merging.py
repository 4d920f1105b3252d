"""Plans of merges, over all small forests: what is left reads what it read, and what can go goes."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import itertools
import os

import pytest

from cinder_ext.drivers.qcow2 import merging

MOST = 5 if os.environ.get('CINDER_EXT_LONG') else 4
NEEDS = ((), ('snapshot',), ('snapshot', 'snapshot-again'), ('clone',))


def shapes(size):
    """All forests of so many layers, each above an earlier one or on its own."""
    return itertools.product(*([None, *range(number)] for number in range(size)))


def forests(size):
    """(Forest, active layer): what links may be there; what is frozen is no volume's alone."""
    for parents in shapes(size):
        for active in range(size):
            if active in parents:
                continue
            for needs in itertools.product(range(len(NEEDS)), repeat=size - 1):
                made = _forest(parents, active, needs)
                if made is not None:
                    yield made, active


def _forest(parents, active, needs):
    kinds, links = iter(needs), {active: frozenset({'volume'})}
    for layer in range(len(parents)):
        if layer != active:
            need = NEEDS[next(kinds)]
            if need == ('clone',) and layer in parents or not need and layer not in parents:
                return None
            links[layer] = frozenset(f'{word}-{layer}' for word in need)
    return merging.Forest(dict(enumerate(parents)), links)


class Model:
    """Layers with content: each has a block of its own, one that all have, one that every other has."""

    def __init__(self, forest):
        self.forest = forest
        self.data = {layer: {'all': layer, f'own-{layer}': layer,
                             **({'some': layer} if layer % 2 else {})}
                     for layer in forest.parents}

    def read(self, layer):
        found = {}
        for each in reversed(self.forest.chain(layer)):
            found.update(self.data[each])
        return found

    def held(self):
        return {name: self.read(layer) for layer, names in self.forest.links.items()
                for name in names}

    def apply(self, active, merge):
        """What an emulator does, in headers and data."""
        chain, parents = self.forest.chain(active), dict(self.forest.parents)
        down = chain[chain.index(merge.top):chain.index(merge.bottom) + 1]
        into = merge.top if merge.kind == merging.STREAM else merge.bottom
        self.data[into] = {block: value for layer in reversed(down)
                           for block, value in self.data[layer].items()}
        if merge.kind == merging.STREAM:
            parents[merge.top] = merge.base
        else:
            parents[chain[chain.index(merge.top) - 1]] = merge.bottom
        self.forest = dataclasses.replace(self.forest, parents=parents)

    def end(self, merge):
        """What the driver does then."""
        links = dict(self.forest.links)
        if merge is not None and merge.kind == merging.COMMIT:
            links[merge.bottom] = links.pop(merge.top) | links[merge.bottom]
        parents = dict(self.forest.parents)
        while garbage := [each for each in parents
                          if not links.get(each) and each not in parents.values()]:
            for each in garbage:
                del parents[each]
        self.forest = merging.Forest(parents, links)


@pytest.mark.parametrize('size', range(1, MOST + 1))
def test_whatever_is_deleted_the_rest_reads_what_it_read(size):
    counts = {merging.STREAM: 0, merging.COMMIT: 0, None: 0}
    for forest, active in forests(size):
        for layer, names in forest.links.items():
            for name in names - {f'clone-{layer}', 'volume'}:
                counts[check(forest, active, layer, name)] += 1
    assert counts[None] or size == 1
    assert counts[merging.STREAM] or size < 2
    assert counts[merging.COMMIT] or size < 3


def check(forest, active, layer, name):
    """Delete a snapshot; returns the kind of the merge."""
    model = Model(forest.without(layer, name))
    before = model.held()
    merge = merging.plan(model.forest, active, layer)
    chain = model.forest.chain(active)
    if merge is not None:
        assert not merging.is_done(model.forest, active, layer, merge)
        model.apply(active, merge)
        assert merging.is_done(model.forest, active, layer, merge)
        assert merge.bottom in chain[1:]
        assert merge.top in chain
    model.end(merge)
    assert model.held() == before
    assert active in model.forest.parents
    if merge is not None:
        assert layer not in model.forest.parents or layer == merge.bottom
        assert len(model.forest.parents) < len(forest.parents)
    elif layer in chain and layer in model.forest.parents:
        above = chain[chain.index(layer) - 1]
        needed = (model.forest.links[layer] or len(model.forest.children(layer)) > 1
                  or len(model.forest.children(above)) > 1
                  or not model.forest.links[above])
        assert needed, (forest, layer)
    return merge and merge.kind


def chain_of(*links, written=()):
    """A forest of one chain from its links, the bottom first."""
    names = [f'layer-{number}' for number in range(len(links))]
    parents = dict(zip(names, [None, *names], strict=False))
    return merging.Forest(parents, {name: frozenset(each) for name, each
                                    in zip(names, links, strict=True)},
                          frozenset(f'layer-{number}' for number in written))


def test_layers_that_nobody_needs_go_with_the_one_that_goes():
    forest = chain_of(['s0'], [], [], [], ['volume'])
    merge = merging.plan(forest, 'layer-4', 'layer-2')
    assert merge.request() == {'type': 'qcow2', 'file_to_merge': 'layer-0',
                               'merge_target_file': None}
    forest = chain_of(['s0'], [], [], ['s3'], ['volume'])
    merge = merging.plan(forest, 'layer-4', 'layer-2')
    assert merge.request() == {'type': 'qcow2', 'file_to_merge': 'layer-3',
                               'merge_target_file': 'layer-1'}


def test_what_the_oldest_stood_on_is_nothing():
    forest = chain_of([], ['volume'])
    assert merging.plan(forest, 'layer-1', 'layer-0').request() == {
        'type': 'qcow2', 'file_to_merge': None, 'merge_target_file': None}


def test_a_consumer_that_writes_further_down_takes_over_there():
    forest = chain_of(['s0'], [], ['s2'], ['volume'], written=[2])
    assert merging.plan(forest, 'layer-3', 'layer-1') == merging.Merge(
        merging.STREAM, 'layer-2', 'layer-1', 'layer-0')


def test_what_a_consumer_writes_to_or_has_never_reached_is_not_merged():
    forest = chain_of(['s0'], [], [], ['volume'], written=[1])
    assert merging.plan(forest, 'layer-3', 'layer-1') is None
    assert merging.plan(forest, 'layer-3', 'layer-2') is None
