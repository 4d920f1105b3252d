"""A large file that arrives piece by piece: broken off, gone on with, given up."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.replica import staging

MIB = values.MIB
KEY = ['base', 1]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'POINT.raw')


def begin(descriptor):
    os.ftruncate(descriptor, 256 * MIB)


def broken_off(path, key, fault=exceptions.BackendDown):
    """Two units of which one is behind the checkpoint; then a fault."""
    def go():
        with staging.staged(path, key, begin) as staged:
            os.pwrite(staged.descriptor, b'one', 0)
            staged.moved(values.Range(0, 64 * MIB))
            os.pwrite(staged.descriptor, b'two', 64 * MIB)
            staged.moved(values.Range(64 * MIB, 4 * MIB))
            raise fault(reason='cut off')

    with pytest.raises(fault):
        go()


def test_what_is_checkpointed_is_not_asked_for_again(path, tmp_path):
    broken_off(path, KEY)
    assert not os.path.exists(path)
    with staging.staged(path, KEY, begin) as staged:
        assert staged.done == 64 * MIB
        os.pwrite(staged.descriptor, b'end', 128 * MIB)
    with open(path, 'rb') as stream:
        assert stream.read(3) == b'one'
    assert os.listdir(tmp_path) == ['POINT.raw']


def test_another_content_is_begun_anew(path):
    broken_off(path, KEY)
    with staging.staged(path, ['base', 2], begin) as staged:
        assert staged.done == 0
        assert os.pread(staged.descriptor, 3, 0) == bytes(3)


def test_without_room_nothing_is_kept(path, tmp_path):
    broken_off(path, KEY, exceptions.NoSpace)
    assert os.listdir(tmp_path) == []


def test_who_is_overtaken_keeps_its_file_and_loses_the_name(path):
    with contextlib.suppress(exceptions.BackendDown), staging.staged(path, KEY, begin) as first:
        with staging.staged(path, KEY, begin) as second:
            os.pwrite(first.descriptor, b'first', 0)
            os.pwrite(second.descriptor, b'later', 0)
        raise exceptions.BackendDown(reason='cut off')
    with open(path, 'rb') as stream:
        assert stream.read(5) == b'later'


def test_what_is_staged_is_swept(path, tmp_path):
    broken_off(path, KEY)
    staging.sweep(tmp_path)
    assert os.listdir(tmp_path) == []
