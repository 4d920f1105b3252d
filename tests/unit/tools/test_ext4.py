"""A file system in a plain file, without mounting it."""
# SPDX-License-Identifier: Apache-2.0

import ext4
import pytest


@pytest.fixture
def device(tmp_path):
    path = tmp_path / 'device.raw'
    with open(path, 'wb') as stream:
        stream.truncate(64 << 20)
    return str(path)


def _read(device, tmp_path, name):
    (tmp_path / name).mkdir()
    return ext4.contents(device, tmp_path / name)


def test_what_was_put_in_is_read_back(device, tmp_path):
    system = ext4.FileSystem(tmp_path / 'files', seed='1')
    system.make(device, 20)
    assert ext4.check(device).startswith('quickstart: ')
    assert ext4.listing(device) == sorted(system.files)
    assert _read(device, tmp_path, 'first') == system.files


def test_changes_are_removals_new_contents_and_new_files(device, tmp_path):
    system = ext4.FileSystem(tmp_path / 'files', seed='1')
    system.make(device, 20)
    before = dict(system.files)
    system.change(device, removed=2, rewritten=3, added=4)
    ext4.check(device)
    assert _read(device, tmp_path, 'second') == system.files
    assert len(before.keys() - system.files.keys()) == 2
    assert len(system.files.keys() - before.keys()) == 4
    assert sum(before[name] != system.files[name] for name in before.keys() & system.files.keys()) == 3


def test_what_was_removed_is_not_listed(device, tmp_path):
    """Also when it was the first of its block of the directory, where its empty entry stays."""
    system = ext4.FileSystem(tmp_path / 'files', seed='1')
    system.make(device, 100)
    system.change(device, removed=100, rewritten=0, added=3)
    assert ext4.listing(device) == sorted(system.files)
    assert len(system.files) == 3


def test_a_damaged_file_system_is_not_called_clean(device, tmp_path):
    ext4.FileSystem(tmp_path / 'files', seed='1').make(device, 20)
    with open(device, 'r+b') as stream:
        stream.seek(1024)
        stream.write(b'\xff' * 65536)
    with pytest.raises(ext4.Broken):
        ext4.check(device)
