"""Units that are read and digested, now or ahead of their use."""
# SPDX-License-Identifier: Apache-2.0

import os
import random

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, digests, reading, units

MIB = values.MIB
SIZE = 9 * MIB + 5
CONTENT = random.Random(8).randbytes(SIZE)


@pytest.fixture
def path(tmp_path):
    made = tmp_path / 'device'
    made.write_bytes(CONTENT)
    return str(made)


@pytest.fixture
def parts():
    """4 MiB, 4 MiB, and what is left."""
    return list(units.cut([values.Range(0, SIZE)]))


def expected(part):
    return [digests.digest(CONTENT[piece.offset:piece.end]) for piece in units.blockwise(part)]


@pytest.mark.parametrize('is_direct', [True, False])
def test_a_unit_is_read_with_the_digests_of_its_blocks(path, parts, is_direct):
    descriptor, _ = blockio.open_source(path, is_direct)
    view = blockio.buffer(units.UNIT_BYTES)
    for part in parts:
        assert reading.read_unit(descriptor, path, part, view) == expected(part)
        assert view[:part.length] == CONTENT[part.offset:part.end]
    os.close(descriptor)


@pytest.mark.parametrize(('offset', 'length'), [
    (3 * MIB - 4096, 8192), (MIB // 2, MIB), (MIB // 2, 4 * MIB), (4096, 4096), (4096, MIB - 4096),
    (8 * MIB + 8192, MIB + 5 - 8192)])
def test_what_begins_within_a_block_is_digested_as_far_as_the_blocks_go(path, offset, length):
    part, view = values.Range(offset, length), blockio.buffer(units.UNIT_BYTES)
    descriptor, _ = blockio.open_source(path)
    found = reading.read_unit(descriptor, path, part, view)
    os.close(descriptor)
    assert found == expected(part)
    assert view[:length] == CONTENT[offset:part.end]


def test_a_device_that_ends_within_a_unit_does_not_answer(path):
    descriptor, _ = blockio.open_source(path)
    with pytest.raises(exceptions.BackendDown, match='it ends at'):
        reading.read_unit(descriptor, path, values.Range(8 * MIB, 4 * MIB),
                          blockio.buffer(units.UNIT_BYTES))
    os.close(descriptor)


def test_units_are_taken_once_with_what_they_hold(path, parts):
    ahead = reading.ReadAhead(path, parts, blockio.buffer(12 * MIB))
    for part in reversed(parts):
        view, found = ahead.take(part)
        assert (bytes(view[:part.length]), found) == (CONTENT[part.offset:part.end], expected(part))
        assert ahead.take(part) is None
    ahead.close()


def test_what_does_not_fit_is_not_read(path, parts):
    ahead = reading.ReadAhead(path, parts, blockio.buffer(8 * MIB))
    assert [ahead.take(part) is not None for part in parts] == [True, True, False]
    ahead.close()


def test_what_cannot_be_read_is_not_there(path, parts):
    past = values.Range(16 * MIB, MIB)
    ahead = reading.ReadAhead(path, [past, parts[0]], blockio.buffer(8 * MIB))
    assert ahead.take(past) is None
    assert ahead.take(parts[0]) is not None
    ahead.close()


def test_closing_twice_is_harmless_and_nothing_is_taken_any_more(path, parts):
    ahead = reading.ReadAhead(path, parts, blockio.buffer(12 * MIB))
    ahead.close()
    ahead.close()
    assert ahead.take(parts[0]) is None
