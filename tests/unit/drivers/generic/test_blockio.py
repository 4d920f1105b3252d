"""Whole units, direct I/O and holes on real files."""
# SPDX-License-Identifier: Apache-2.0

import ctypes
import os
import pathlib

import pytest

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio


@pytest.fixture
def path(tmp_path):
    made = tmp_path / 'device'
    made.write_bytes(b'\xaa' * values.MIB)
    return str(made)


def test_a_read_past_the_end_is_short(path):
    descriptor, _ = blockio.open_source(path)
    view = blockio.buffer(8192)
    assert blockio.read_into(descriptor, view, values.MIB - 4096) == 4096
    assert blockio.read_into(descriptor, view, 2 * values.MIB) == 0
    os.close(descriptor)


def test_what_is_written_through_a_target_is_read_through_a_source(path):
    target, _ = blockio.open_target(path, values.MIB)
    view = blockio.buffer(4096)
    view[:] = b'\x55' * 4096
    blockio.write_from(target, view, 8192)
    blockio.start_writeback(target, 8192, 4096)
    os.fdatasync(target)
    blockio.drop_cache(path)
    source, _ = blockio.open_source(path, direct=True)
    back = blockio.buffer(4096)
    assert blockio.read_into(source, back, 8192) == 4096
    assert back == view
    os.close(source)
    os.close(target)


def test_a_large_buffer_begins_at_a_huge_page_and_holds_what_was_asked_for():
    view = blockio.buffer(4 * values.MIB)
    assert len(view) == 4 * values.MIB
    assert ctypes.addressof(ctypes.c_char.from_buffer(view)) % (2 * values.MIB) == 0


def test_a_child_does_not_get_a_large_buffer():
    """A page that a fork makes common may not be the target of direct I/O."""
    view = blockio.buffer(4 * values.MIB)
    view[:1] = b'x'
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    mapping = next(part for part in _mappings() if part['start'] <= address < part['end'])
    assert 'dc' in mapping['flags'], 'not to be copied at a fork (VM_DONTCOPY)'


def _mappings():
    """The parts of this process's memory, with the kernel's flags of each (proc(5))."""
    found = []
    for line in pathlib.Path('/proc/self/smaps').read_text().splitlines():
        first, _, rest = line.partition(' ')
        if not first.endswith(':'):
            start, end = (int(edge, 16) for edge in first.split('-'))
            found.append({'start': start, 'end': end})
        elif first == 'VmFlags:':
            found[-1]['flags'] = rest.split()
    return found


def test_a_size_that_is_not_aligned_is_not_written_directly(path):
    descriptor, is_direct = blockio.open_target(path, values.MIB + 1)
    os.close(descriptor)
    assert not is_direct


def test_a_hole_reads_zeros_and_keeps_the_size(path):
    descriptor, _ = blockio.open_target(path, values.MIB)
    if blockio.punch_hole(descriptor, 4096, 8192):
        with open(path, 'rb') as device:
            content = device.read()
        assert content == b'\xaa' * 4096 + bytes(8192) + b'\xaa' * (values.MIB - 12288)
    else:
        with open(path, 'rb') as device:
            assert device.read() == b'\xaa' * values.MIB
    os.close(descriptor)


def test_a_hole_in_what_is_no_file_is_refused_without_a_fault():
    reader, writer = os.pipe()
    with pytest.raises(OSError, match='seek'):
        blockio.punch_hole(writer, 0, 4096)
    assert not blockio.is_regular(reader)
    os.close(reader)
    os.close(writer)
