"""What is read back."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import digests
from cinder_ext.volume.migration import links

SHARED = values.Promises(snapshots_share_blocks=True)
COPIES = values.Promises(snapshots_share_blocks=False)


@pytest.fixture
def digest_map():
    """Four blocks: zeros, an earlier link's, this link's, one that this link made zero."""
    made = digests.DigestMap.zeros(4 * values.MIB - 5)
    made[1], made[2] = digests.digest(b'1'), digests.digest(b'2')
    return made


WRITTEN = digests.BlockSet([2, 3])


@pytest.mark.parametrize(('policy', 'promises', 'expected'), [
    ('full', SHARED, [0, 1, 2, 3]),
    ('full', COPIES, [0, 1, 2, 3]),
    ('written', SHARED, [2, 3]),
    ('written', COPIES, [1, 2, 3]),
])
def test_blocks_to_verify(digest_map, policy, promises, expected):
    assert list(links.blocks_to_verify(policy, promises, digest_map, WRITTEN)) == expected


def test_block_that_is_not_known_is_read_back_where_snapshots_are_copies():
    made = digests.DigestMap.unknown(values.MIB)
    assert links.blocks_to_verify('written', COPIES, made, digests.BlockSet()) == [0]
