"""The forest of layers: who stands on whom, and that nothing outside of it is ever reached."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import subprocess

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.qcow2 import images, layers

MIB = values.MIB
SIZE = 64 * MIB
LOW, MIDDLE, TOP = (layers.named('family', name) for name in ('low', 'middle', 'top'))


@pytest.fixture
def forest(tmp_path):
    made = layers.Layers(str(tmp_path))
    made.start()
    made.create(LOW, SIZE)
    made.create(MIDDLE, SIZE, LOW)
    made.create(TOP, SIZE, MIDDLE)
    return made


def write(forest, name, pattern, offset, length):
    subprocess.run(['qemu-io', '-f', 'qcow2', '-c', f'write -P {pattern} {offset} {length}',
                    forest.path(name)], check=True, stdout=subprocess.DEVNULL)


def holds(forest, name, pattern, offset, length):
    done = subprocess.run(['qemu-io', '-r', '-f', 'qcow2', '-c',
                           f'read -P {pattern} {offset} {length}', forest.path(name)],
                          check=True, capture_output=True, text=True)
    return 'verification failed' not in done.stdout


def test_a_chain_is_read_from_the_headers(forest):
    assert forest.chain(TOP) == [TOP, MIDDLE, LOW]
    assert forest.children(LOW) == [MIDDLE]
    assert forest.children(TOP) == []


def test_another_family_has_other_children(forest):
    forest.create(layers.named('family-2', 'low'), SIZE)
    forest.create(layers.named('family-2', 'top'), SIZE, layers.named('family-2', 'low'))
    assert forest.children(LOW) == [MIDDLE]


@pytest.mark.parametrize('backing', ['/etc/passwd', '../secret', 'other.low.qcow2', 'json:{}',
                                     'family.low.raw'])
def test_a_layer_that_leads_elsewhere_is_refused(forest, backing):
    subprocess.run(['qemu-img', 'rebase', '-q', '-u', '-f', 'qcow2', '-b', backing, '-F', 'qcow2',
                    forest.path(TOP)], check=True)
    with pytest.raises(exceptions.DriverError, match='not its family'):
        forest.nodes(TOP)


def test_a_backing_file_of_another_format_than_recorded_is_refused(forest):
    images.repoint(forest.path(TOP), MIDDLE, 'raw')
    with pytest.raises(exceptions.DriverError, match='not its family'):
        forest.chain(TOP)


def test_layers_that_stand_on_each_other_are_refused(forest):
    images.repoint(forest.path(LOW), TOP, 'qcow2')
    with pytest.raises(exceptions.DriverError, match='stands on itself'):
        forest.chain(TOP)


@pytest.mark.parametrize('name', ['../x.y.qcow2', 'family.low', 'family.low.vmdk', '', 'a/b.c.raw'])
def test_no_other_name_is_opened(forest, name):
    with pytest.raises(exceptions.DriverError, match='no name of a layer'):
        forest.path(name)


def test_a_committed_layer_leaves_its_data_and_its_children_below(forest):
    write(forest, LOW, 1, 0, MIB)
    write(forest, MIDDLE, 2, MIB, MIB)
    write(forest, TOP, 3, 2 * MIB, MIB)
    forest.commit(MIDDLE)
    forest.commit(MIDDLE)
    assert forest.chain(TOP) == [TOP, LOW]
    forest.remove(MIDDLE)
    assert all(holds(forest, TOP, pattern, (pattern - 1) * MIB, MIB) for pattern in (1, 2, 3))
    assert holds(forest, LOW, 2, MIB, MIB)


def test_a_layer_that_was_pulled_needs_its_parent_no_more(forest):
    write(forest, LOW, 1, 0, MIB)
    write(forest, MIDDLE, 2, MIB, MIB)
    forest.pull(TOP)
    assert forest.chain(TOP) == [TOP, LOW]
    forest.remove(MIDDLE)
    assert holds(forest, TOP, 1, 0, MIB)
    assert holds(forest, TOP, 2, MIB, MIB)
    forest.pull(TOP)
    assert forest.chain(TOP) == [TOP]
    assert holds(forest, TOP, 1, 0, MIB)


def test_what_differs_is_what_lies_above(forest):
    write(forest, LOW, 1, 0, MIB)
    write(forest, MIDDLE, 2, 4 * MIB, MIB)
    write(forest, TOP, 3, 8 * MIB, MIB)
    assert forest.differing(LOW, TOP, SIZE) == [
        values.Range(4 * MIB, MIB), values.Range(8 * MIB, MIB)]
    assert forest.differing(MIDDLE, TOP, SIZE) == [values.Range(8 * MIB, MIB)]
    assert forest.differing(TOP, TOP, SIZE) == []
    assert forest.differing(TOP, MIDDLE, SIZE) is None
    assert forest.allocated(MIDDLE, SIZE) == [values.Range(0, MIB), values.Range(4 * MIB, MIB)]


def test_a_flat_copy_stands_alone_and_keeps_its_holes(forest):
    write(forest, LOW, 1, 0, MIB)
    write(forest, TOP, 3, 8 * MIB, MIB)
    flat = layers.named('flat', 'copy')
    forest.flatten(TOP, flat, 2 * SIZE)
    assert forest.chain(flat) == [flat]
    assert forest.size(flat) == 2 * SIZE
    assert forest.allocated(flat, 2 * SIZE) == [values.Range(0, MIB), values.Range(8 * MIB, MIB)]
    assert holds(forest, flat, 3, 8 * MIB, MIB)


def test_what_killed_creates_left_is_removed_at_the_start(forest):
    partial = pathlib.Path(f'{forest.path(LOW)}.partial')
    partial.touch()
    forest.start()
    assert not partial.exists()
    assert forest.exists(LOW)
