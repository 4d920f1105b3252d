"""What the commands read and write of manifests."""
# SPDX-License-Identifier: Apache-2.0

import argparse

import pytest

from cinder_ext.osc import replica


@pytest.mark.parametrize(('text', 'words'), [
    (None, 'No such file'), ('{', 'Expecting'), ('[]', 'it is no manifest'), ('\udcff', 'decode')])
def test_what_is_no_manifest_is_refused_before_it_is_sent(tmp_path, text, words):
    path = tmp_path / 'manifest'
    if text is not None:
        path.write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        replica.manifest(str(path))


def test_one_is_read(tmp_path):
    path = tmp_path / 'manifest'
    path.write_text('{"version": "1.0"}')
    assert replica.manifest(str(path)) == {'version': '1.0'}


def test_a_line_says_what_became_of_a_volume():
    each = {'id': 'v', 'result': 'imported', 'role': 'primary', 'epoch': 3, 'missing_snapshots': []}
    assert replica.line(each) == 'v: imported, primary with epoch 3'
    assert replica.line({**each, 'missing_snapshots': ['s']}).endswith("without snapshots ['s']")
