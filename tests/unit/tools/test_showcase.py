"""What the quickstart's proof rests on."""
# SPDX-License-Identifier: Apache-2.0

import hashlib

import pytest
import showcase


@pytest.mark.parametrize('pieces', [
    [], [(0, b'a' * 5000)], [(3 << 20, b'b')], [(0, b'c'), (5000000, b'd' * 2000000)]])
def test_sha256_of_a_sparse_file_is_that_of_its_whole_content(tmp_path, pieces):
    path = tmp_path / 'sparse'
    size = 8 << 20
    with open(path, 'wb') as stream:
        stream.truncate(size + 123)
        for offset, content in pieces:
            stream.seek(offset)
            stream.write(content)
    assert showcase.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_used_bytes_counts_what_is_stored_and_no_holes(tmp_path):
    path = tmp_path / 'sparse'
    with open(path, 'wb') as stream:
        stream.truncate(1 << 30)
        stream.write(b'x' * (1 << 20))
        stream.flush()
    unique, apart = showcase.used_bytes([path])
    assert 1 << 20 <= unique < 2 << 20
    assert 1 << 20 <= apart < 2 << 20
