"""The map of digests: sizes, roots, deltas."""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import random

import blake3
import pytest

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import digests

MIB = values.MIB


def test_a_map_of_zeros_has_the_root_of_zeros():
    one = blake3.blake3(bytes(MIB)).digest()
    assert digests.DigestMap.zeros(3 * MIB).root() == hashlib.sha256(one * 3).hexdigest()


def test_a_short_last_block_is_digested_at_its_length():
    short = digests.DigestMap.zeros(MIB + 5)
    assert short.blocks == 2
    assert short.block_length(1) == 5
    assert short[1] == blake3.blake3(bytes(5)).digest()
    assert short.is_zero(1)


def test_an_unknown_map_has_no_root():
    with pytest.raises(ValueError):
        digests.DigestMap.unknown(MIB).root()


def test_a_forgotten_block_is_unknown():
    known = digests.DigestMap.zeros(2 * MIB)
    known.forget(1)
    assert known.is_known(0)
    assert not known.is_known(1)
    assert not known.is_zero(1)


def test_blocks_that_are_not_zeros_are_those_with_data_and_those_nobody_knows():
    known = digests.DigestMap.zeros(3 * MIB + 5)
    assert known.nonzero_blocks() == []
    known[3] = digests.digest(b'01234')
    known.forget(1)
    assert known.nonzero_blocks() == [1, 3]


@pytest.mark.parametrize(('before', 'after'), [(0, 4), (2, 5), (2.5, 3), (2.5, 2.75), (3, 3)])
def test_extending_with_zeros_equals_a_larger_map_of_zeros(before, after):
    grown = digests.DigestMap.zeros(int(before * MIB))
    grown.extend(int(after * MIB), zeros=True)
    assert grown == digests.DigestMap.zeros(int(after * MIB))


def test_extending_without_the_promise_of_zeros_adds_unknown_blocks():
    grown = digests.DigestMap.zeros(MIB)
    grown.extend(3 * MIB, zeros=False)
    assert [grown.is_known(block) for block in range(3)] == [True, False, False]


def test_a_short_last_block_with_data_is_unknown_once_it_grew():
    grown = digests.DigestMap.zeros(MIB + 10)
    grown[1] = digests.digest(b'0123456789')
    grown.extend(2 * MIB, zeros=True)
    assert not grown.is_known(1)


def test_a_map_never_shrinks():
    with pytest.raises(ValueError):
        digests.DigestMap.zeros(2 * MIB).extend(MIB, zeros=True)


def test_a_map_survives_being_stored():
    known = digests.DigestMap.zeros(4 * MIB)
    known[2] = digests.digest(b'x')
    assert digests.DigestMap.from_bytes(4 * MIB, known.to_bytes()) == known
    with pytest.raises(ValueError):
        digests.DigestMap.from_bytes(5 * MIB, known.to_bytes())


def test_an_index_outside_the_volume_is_refused():
    with pytest.raises(IndexError):
        digests.DigestMap.zeros(MIB)[1]


def test_deltas_carry_exactly_the_written_blocks():
    chance = random.Random(7)
    known = digests.DigestMap.zeros(2500 * MIB)
    written = digests.BlockSet(chance.sample(range(2500), 300))
    for block in written:
        known[block] = chance.randbytes(32)
    restored = digests.DigestMap.zeros(2500 * MIB)
    found = [block for segment in range(3) for block in restored.apply_delta(
        segment, known.encode_delta(segment, written))]
    assert restored == known
    assert found == list(written)


def test_a_delta_of_a_full_segment_fits_a_row():
    known = digests.DigestMap.zeros(values.GIB)
    encoded = known.encode_delta(0, digests.BlockSet(range(1024)))
    assert len(encoded) == 128 + 32 * 1024 < 65536


def test_a_torn_delta_is_refused():
    known = digests.DigestMap.zeros(4 * MIB)
    encoded = known.encode_delta(0, digests.BlockSet([1, 3]))
    with pytest.raises(ValueError):
        known.apply_delta(0, encoded[:-1])


def test_a_delta_of_a_larger_volume_is_refused():
    encoded = digests.DigestMap.zeros(9 * MIB).encode_delta(0, digests.BlockSet([8]))
    with pytest.raises(ValueError):
        digests.DigestMap.zeros(4 * MIB).apply_delta(0, encoded)


def test_a_block_set_counts_and_sorts():
    blocks = digests.BlockSet([9000, 3, 3, 1024])
    assert list(blocks) == [3, 1024, 9000]
    assert len(blocks) == 3
    assert 1024 in blocks
    assert 4 not in blocks
    assert 10 ** 9 not in blocks
