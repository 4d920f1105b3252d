"""Headers: what QEMU's own tool writes is understood, what leads elsewhere is refused."""
# SPDX-License-Identifier: Apache-2.0

import struct
import subprocess

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.qcow2 import header


def image(path, *words):
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', *words, path, '3M'], check=True)
    return path


@pytest.fixture
def layer(tmp_path):
    return image(tmp_path / 'layer', '-u', '-b', 'behind', '-F', 'raw')


def patched(path, offset, content):
    with open(path, 'r+b') as file:
        file.seek(offset)
        file.write(content)
    return path


def test_a_layer_tells_its_size_and_what_is_behind(layer):
    assert header.read(layer) == header.Header(3 * 1024 ** 2, 'behind', 'raw')


@pytest.mark.parametrize('words', [(), ('-o', 'compat=0.10'), ('-o', 'extended_l2=on'),
                                   ('-o', 'cluster_size=2M')])
def test_a_layer_that_stands_on_nothing(tmp_path, words):
    assert header.read(image(tmp_path / 'layer', *words)) == header.Header(
        3 * 1024 ** 2, None, None)


def test_a_format_that_the_header_does_not_name_is_none(tmp_path):
    path = image(tmp_path / 'layer', '-o', 'compat=0.10', '-u', '-b', 'behind', '-F', 'qcow2')
    offset = header.read(path)
    assert offset.backing_format == 'qcow2'
    # The first extension of version 2 follows the header of 72 bytes: its end mark instead.
    patched(path, 72, bytes(8))
    assert header.read(path) == header.Header(3 * 1024 ** 2, 'behind', None)


def test_data_in_another_file_are_refused(tmp_path):
    path = image(tmp_path / 'layer', '-o', f'data_file={tmp_path}/other')
    with pytest.raises(exceptions.DriverError, match='another file'):
        header.read(path)


@pytest.mark.parametrize('method', [1, 2], ids=['aes', 'luks'])
def test_what_is_encrypted_by_itself_is_refused(layer, method):
    with pytest.raises(exceptions.DriverError, match='encrypted'):
        header.read(patched(layer, 32, struct.pack('>I', method)))


def test_snapshots_inside_are_counted(tmp_path):
    path = image(tmp_path / 'layer')
    subprocess.run(['qemu-img', 'snapshot', '-c', 'one', path], check=True)
    assert header.read(path) == header.Header(3 * 1024 ** 2, None, None, 1)


@pytest.mark.parametrize(('offset', 'content'), [
    (0, b'QFI\0'), (4, struct.pack('>I', 4)), (72, struct.pack('>Q', 1 << 40)),
    (8, struct.pack('>Q', 1 << 40)), (16, struct.pack('>I', 1 << 31))],
    ids=['magic', 'version', 'feature', 'far', 'long'])
def test_what_is_out_of_bounds_is_refused(layer, offset, content):
    with pytest.raises(exceptions.DriverError, match='no fit qcow2 layer'):
        header.read(patched(layer, offset, content))


@pytest.mark.parametrize('length', [0, 3, 71, 100])
def test_a_file_that_is_cut_off_is_refused(layer, length):
    with open(layer, 'r+b') as file:
        file.truncate(length)
    with pytest.raises(exceptions.DriverError):
        header.read(layer)


def test_a_layer_is_empty_until_something_is_written(tmp_path):
    layer = image(tmp_path / 'layer')
    assert header.is_empty(layer)
    subprocess.run(['qemu-io', '-f', 'qcow2', '-c', 'write -z 1M 64k', layer], check=True,
                   stdout=subprocess.DEVNULL)
    assert not header.is_empty(layer)
