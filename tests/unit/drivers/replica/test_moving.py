"""What is moved, how fast, and when it stops."""
# SPDX-License-Identifier: Apache-2.0

import os
import time

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.replica import arrays, moving

MIB = values.MIB


@pytest.fixture
def pair(tmp_path):
    found = []
    for name in ('home', 'dr'):
        (tmp_path / name).mkdir()
        found.append(arrays.Array('alpha', name, str(tmp_path / name), may_share=False,
                                  control_file=tmp_path / f'{name}.control'))
    return found


@pytest.fixture
def files(tmp_path):
    found = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ('one', 'two')]
    for descriptor in found:
        os.ftruncate(descriptor, 16 * MIB)
    yield found
    for descriptor in found:
        os.close(descriptor)


def test_only_the_ranges_are_moved_and_zeros_become_holes(pair, files):
    source, target = files
    os.pwrite(source, b'a' * MIB, 0)
    os.pwrite(source, b'c' * MIB, 8 * MIB)
    os.pwrite(target, b'b' * MIB, 2 * MIB)
    pace = moving.Pace(pair, lambda: 0)
    moving.move(source, target, [values.Range(0, 4 * MIB)], pace)
    assert os.pread(target, 4 * MIB, 0) == os.pread(source, 4 * MIB, 0)
    assert os.pread(target, MIB, 8 * MIB) == bytes(MIB)
    assert os.fstat(target).st_blocks * 512 <= 2 * MIB
    assert pace.moved == 4 * MIB


def test_a_throttle_is_obeyed_in_units(pair, files):
    source, target = files
    asked = []
    pace = moving.Pace(pair, lambda: asked.append(1) or 40 * MIB)
    began = time.monotonic()
    moving.move(source, target, [values.Range(0, 16 * MIB)], pace)
    # Four units: the first at once, each of the others after the time that the one before takes.
    assert time.monotonic() - began >= 0.29
    assert len(asked) >= 4


@pytest.mark.parametrize(('name', 'said', 'fault'), [
    ('home', '{"cut": true}', exceptions.BackendDown), ('dr', '{"cut": true}', exceptions.BackendDown),
    ('dr', '{"full": true}', exceptions.NoSpace)],
    ids=['source-cut', 'destination-cut', 'destination-full'])
def test_an_array_that_fails_in_the_middle_ends_it(pair, files, tmp_path, name, said, fault):
    class Cut:
        count = 0

        def __call__(self):
            self.count += 1
            if self.count == 2:
                (tmp_path / f'{name}.control').write_text(said)
            return 0

    rate = Cut()
    with pytest.raises(fault):
        moving.move(*files, [values.Range(0, 16 * MIB)], moving.Pace(pair, rate))
    assert rate.count == 2


def test_without_shared_blocks_changes_are_found_by_reading(pair, files):
    base, newer = files
    os.pwrite(base, b'a' * MIB, 0)
    os.pwrite(newer, b'a' * MIB, 0)
    pair[0].prepare()
    assert moving.changed(pair[0], base, newer) == []
    os.pwrite(newer, b'b', 5 * MIB)
    os.ftruncate(newer, 17 * MIB)
    os.pwrite(newer, b'c', 16 * MIB)
    assert moving.changed(pair[0], base, newer) == [
        values.Range(5 * MIB, 4096), values.Range(16 * MIB, 4096)]
    assert moving.length(moving.changed(pair[0], None, newer)) >= MIB
