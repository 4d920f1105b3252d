"""Copies of files that keep their holes."""
# SPDX-License-Identifier: Apache-2.0

import os

import pytest

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import reflink


@pytest.fixture
def pair(tmp_path):
    with open(tmp_path / 'source', 'wb+') as source, open(tmp_path / 'target', 'wb+') as target:
        source.truncate(80 * values.MIB)
        for offset in (3, 40 * values.MIB - 5, 80 * values.MIB - 9):
            source.seek(offset)
            source.write(b'some data')
        source.flush()
        yield source.fileno(), target.fileno()


def test_a_sparse_copy_is_equal_independent_and_sparse(pair):
    source, target = pair
    reflink.copy_sparse(source, target)
    os.fsync(target)
    assert os.pread(target, 80 * values.MIB, 0) == os.pread(source, 80 * values.MIB, 0)
    assert os.fstat(target).st_blocks * 512 < values.MIB
    os.pwrite(source, b'later', 3)
    assert os.pread(target, 9, 3) == b'some data'


def test_sharing_works_exactly_where_it_is_said_to(pair, tmp_path):
    source, target = pair
    if not reflink.is_served_by(tmp_path):
        with pytest.raises(OSError):
            reflink.share(source, target)
        return
    reflink.share(source, target)
    assert os.pread(target, 80 * values.MIB, 0) == os.pread(source, 80 * values.MIB, 0)


def test_the_trial_leaves_no_file(tmp_path):
    reflink.is_served_by(tmp_path)
    assert os.listdir(tmp_path) == []
