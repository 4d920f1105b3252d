"""The content of one moment where no blocks are shared: copied, and looked at until it is quiet."""
# SPDX-License-Identifier: Apache-2.0

import itertools
import os
import sys
import threading

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, units
from cinder_ext.drivers.replica import arrays, moments

MIB = values.MIB


@pytest.fixture
def array(tmp_path):
    made = arrays.Array('alpha', None, str(tmp_path), may_share=False)
    made.prepare()
    return made


@pytest.fixture
def files(tmp_path):
    """Two files to be copied and two empty ones, as descriptors."""
    names = ('one', 'two', 'first', 'second')
    found = [os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in names]
    for descriptor in found[:2]:
        os.ftruncate(descriptor, 32 * MIB)
        os.pwrite(descriptor, b'begin', 9 * MIB)
    yield found[:2], found[2:]
    for descriptor in found:
        os.close(descriptor)


def test_copies_are_equal_and_keep_their_holes(array, files, tmp_path):
    sources, targets = files
    moments.freeze(array, sources, targets, 5, str(tmp_path))
    for source, target in zip(sources, targets, strict=True):
        assert os.pread(target, 32 * MIB, 0) == os.pread(source, 32 * MIB, 0)
        assert os.fstat(target).st_blocks * 512 < MIB


def test_a_pause_of_the_writer_is_found(array, files, tmp_path):
    """One number after the other is written to both files: the copies are never more than one apart."""
    sources, targets = files
    stop, begun = threading.Event(), threading.Event()

    def write():
        count = 0
        while not stop.wait(0.1):
            count += 1
            for source in sources:
                os.pwrite(source, count.to_bytes(8, 'big'), 8192)
            begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    begun.wait(5)
    try:
        moments.freeze(array, sources, targets, 30, str(tmp_path))
    finally:
        stop.set()
        thread.join()
    first, second = (int.from_bytes(os.pread(target, 8, 8192), 'big') for target in targets)
    assert first >= second >= 1
    assert first - second <= 1


def test_a_writer_without_a_pause_is_busy(array, files, tmp_path):
    """It writes between any two calls of who looks for a pause."""
    sources, targets = files
    numbers = itertools.count()

    def write(_frame, _event, _about):
        os.pwrite(sources[0], next(numbers).to_bytes(8, 'big'), 0)

    sys.setprofile(write)
    try:
        with pytest.raises(exceptions.ResourceBusy, match='without a pause'):
            moments.freeze(array, sources, targets, 0.1, str(tmp_path))
    finally:
        sys.setprofile(None)
    moments.freeze(array, sources, targets, 0, str(tmp_path))
    assert os.pread(targets[0], MIB, 0) == os.pread(sources[0], MIB, 0)


def test_a_time_of_change_in_the_future_is_no_writer(array, files, tmp_path):
    sources, targets = files
    os.utime(sources[0], (4e9, 4e9))
    moments.freeze(array, sources, targets, 1, str(tmp_path))
    assert os.pread(targets[0], MIB, 9 * MIB) == os.pread(sources[0], MIB, 9 * MIB)


def test_files_differ_in_pieces(files):
    (one, two), _targets = files
    os.pwrite(two, b'x', 20 * MIB)
    os.ftruncate(two, 32 * MIB + 1)
    os.pwrite(two, b'y', 32 * MIB)
    views = blockio.buffer(units.UNIT_BYTES), blockio.buffer(units.UNIT_BYTES)
    found = list(moments.differing(one, two, 32 * MIB + 1, views))
    assert found == [values.Range(20 * MIB, 4096), values.Range(32 * MIB, 1)]
