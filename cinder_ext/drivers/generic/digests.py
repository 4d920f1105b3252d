"""Digests of what a migration's destination holds, one per block of 1 MiB.

The map lets a link be copied by reading its source once and its destination
not at all.  What changes in it travels as deltas, one per segment of 1024
blocks (1 GiB), small enough for a row: 128 bytes that say which blocks, then
32 bytes for each of them.
"""
# SPDX-License-Identifier: Apache-2.0

import functools
import hashlib

import blake3

from cinder_ext.drivers import values

BLOCK_BYTES = values.BLOCK_BYTES
DIGEST_BYTES = 32
SEGMENT_BLOCKS = 1024
"""Blocks that one delta covers: 1 GiB of the volume."""

UNKNOWN = bytes(DIGEST_BYTES)
"""Stands for 'nobody knows what this block holds'; no content has this digest."""

_BITMAP_BYTES = SEGMENT_BLOCKS // 8


def digest(data):
    """BLAKE3 of a bytes-like object, 32 bytes.  Runs outside the interpreter lock."""
    return blake3.blake3(data).digest()


@functools.lru_cache(maxsize=8)
def zero_digest(length):
    """The digest of ``length`` zero bytes."""
    return digest(bytes(length))


ZERO_DIGEST = zero_digest(BLOCK_BYTES)
"""The digest of a whole block of zeros."""


class BlockSet:
    """A set of block indices that takes one bit per block."""

    def __init__(self, blocks=()):
        self._bits = bytearray()
        for block in blocks:
            self.add(block)

    @classmethod
    def from_bitmap(cls, bitmap):
        """The set that ``bitmap`` of segment 0 wrote."""
        made = cls()
        made._bits[:] = bitmap
        return made

    def add(self, block):
        """Add one index; adding it again changes nothing."""
        byte = block // 8
        if byte >= len(self._bits):
            self._bits.extend(bytes(byte + 1 - len(self._bits)))
        self._bits[byte] |= 1 << block % 8

    def __contains__(self, block):
        byte = block // 8
        return byte < len(self._bits) and bool(self._bits[byte] >> block % 8 & 1)

    def __iter__(self):
        """The indices, ascending."""
        for byte, bits in enumerate(self._bits):
            for bit in range(8) if bits else ():
                if bits >> bit & 1:
                    yield byte * 8 + bit

    def __len__(self):
        return int.from_bytes(self._bits, 'little').bit_count()

    def bitmap(self, segment):
        """The 128 bytes of one segment, least significant bit first."""
        start = segment * _BITMAP_BYTES
        return bytes(self._bits[start:start + _BITMAP_BYTES]).ljust(_BITMAP_BYTES, b'\0')


class DigestMap:
    """One digest per block of 1 MiB of a volume; the last block may be short.

    Reading and setting single blocks from several threads is safe.
    """

    def __init__(self, size_bytes, content):
        self.size_bytes = size_bytes
        self._content = bytearray(content)
        if len(self._content) != self.blocks * DIGEST_BYTES:
            raise ValueError('the digests do not fit the size')

    @classmethod
    def zeros(cls, size_bytes):
        """The map of a volume that reads zeros everywhere."""
        fresh = cls.unknown(0)
        fresh.extend(size_bytes, zeros=True)
        return fresh

    @classmethod
    def unknown(cls, size_bytes):
        """The map of a volume about which nothing is known."""
        return cls(size_bytes, bytes(_blocks(size_bytes) * DIGEST_BYTES))

    @classmethod
    def from_bytes(cls, size_bytes, content):
        """The map that ``to_bytes`` wrote.

        :raises ValueError: the content does not fit the size
        """
        return cls(size_bytes, content)

    def to_bytes(self):
        """All digests, 32 bytes each, in the order of the blocks."""
        return bytes(self._content)

    def copy(self):
        """An independent map with the same content."""
        return type(self)(self.size_bytes, self._content)

    @property
    def blocks(self):
        """How many blocks the volume has."""
        return _blocks(self.size_bytes)

    def block_length(self, block):
        """Bytes of one block; less than 1 MiB only for the last."""
        return min(BLOCK_BYTES, self.size_bytes - block * BLOCK_BYTES)

    def length_of(self, blocks):
        """Bytes of some blocks together."""
        return sum(map(self.block_length, blocks))

    def __getitem__(self, block):
        self._check(block)
        return bytes(self._content[block * DIGEST_BYTES:(block + 1) * DIGEST_BYTES])

    def __setitem__(self, block, value):
        self._check(block)
        if len(value) != DIGEST_BYTES:
            raise ValueError('a digest has 32 bytes')
        self._content[block * DIGEST_BYTES:(block + 1) * DIGEST_BYTES] = value

    def __eq__(self, other):
        return (isinstance(other, DigestMap) and self.size_bytes == other.size_bytes
                and self._content == other._content)

    __hash__ = None

    def _check(self, block):
        if not 0 <= block < self.blocks:
            raise IndexError(block)

    def forget(self, block):
        """Say that nobody knows what a block holds now."""
        self[block] = UNKNOWN

    def is_known(self, block):
        """Whether the block's digest is known."""
        return self[block] != UNKNOWN

    def unknown_blocks(self):
        """The indices whose digests are not known: a list, ascending."""
        if self._content.find(UNKNOWN) < 0:
            return []
        return [block for block in range(self.blocks) if not self.is_known(block)]

    def nonzero_blocks(self):
        """The indices of blocks that are not known to read zeros: a list, ascending."""
        if self == DigestMap.zeros(self.size_bytes):
            return []
        return [block for block in range(self.blocks) if not self.is_zero(block)]

    def is_zero(self, block):
        """Whether the block is known to read zeros."""
        return self[block] == zero_digest(self.block_length(block))

    def extend(self, size_bytes, zeros):
        """Follow a volume that was made larger; repeating it changes nothing.

        :param zeros: whether what was added reads zeros
        :raises ValueError: the size is smaller than before
        """
        if size_bytes < self.size_bytes:
            raise ValueError('a map never shrinks')
        last = self.blocks - 1
        grows = last >= 0 and size_bytes > self.size_bytes and self.block_length(
            last) < BLOCK_BYTES
        still_zero = grows and zeros and self.is_zero(last)
        added = _blocks(size_bytes) - self.blocks
        self._content.extend((ZERO_DIGEST if zeros else UNKNOWN) * added)
        self.size_bytes = size_bytes
        if added and zeros:
            self[self.blocks - 1] = zero_digest(self.block_length(self.blocks - 1))
        if grows:
            self[last] = zero_digest(self.block_length(last)) if still_zero else UNKNOWN

    def root(self):
        """SHA-256 over the digests of all blocks, in hexadecimal: the digest of the whole.

        :raises ValueError: a block is unknown
        """
        if UNKNOWN in self._content and not all(map(self.is_known, range(self.blocks))):
            raise ValueError('the content of some blocks is not known')
        return hashlib.sha256(self._content).hexdigest()

    def encode_delta(self, segment, blocks):
        """What a checkpoint stores of one segment.

        :param blocks: BlockSet of the whole volume; those of the segment are taken
        :returns: bytes, at most 32896
        """
        bitmap = blocks.bitmap(segment)
        first = segment * SEGMENT_BLOCKS
        return bitmap + b''.join(self[first + block] for block in BlockSet.from_bitmap(bitmap))

    def apply_delta(self, segment, encoded):
        """Set the digests of a stored delta.  Idempotent.

        :returns: the block indices that it held, ascending
        :raises ValueError: it is not a delta of this map
        """
        bitmap, digests = encoded[:_BITMAP_BYTES], encoded[_BITMAP_BYTES:]
        first = segment * SEGMENT_BLOCKS
        blocks = [first + block for block in BlockSet.from_bitmap(bitmap)]
        if len(bitmap) != _BITMAP_BYTES or len(digests) != len(blocks) * DIGEST_BYTES:
            raise ValueError('a delta of another length')
        if blocks and blocks[-1] >= self.blocks:
            raise ValueError('a delta of a larger volume')
        for number, block in enumerate(blocks):
            self[block] = digests[number * DIGEST_BYTES:(number + 1) * DIGEST_BYTES]
        return blocks


def _blocks(size_bytes):
    """How many blocks cover a size."""
    return -(-size_bytes // BLOCK_BYTES)


class Excerpt:
    """Some digests of a map, to be read only.

    :param digest_map: DigestMap
    :param blocks: indices of the blocks
    """

    def __init__(self, digest_map, blocks):
        self.size_bytes = digest_map.size_bytes
        self._found = {block: digest_map[block] for block in blocks}

    def __getitem__(self, block):
        return self._found[block]
