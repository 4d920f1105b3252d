"""Reading back: faults are found, and digests of whole devices."""
# SPDX-License-Identifier: Apache-2.0

import os
import random
import threading

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import digests, reading, runs, verify

MIB = values.MIB
SIZE = 20 * MIB + 77


class Control:
    def __init__(self):
        self.lengths = []

    def check(self, length):
        self.lengths.append(length)


class Stopped(Exception):
    """What a test's control raises."""


class Stop(Control):
    def check(self, length):
        raise Stopped


@pytest.fixture
def path(tmp_path):
    made = tmp_path / 'device'
    with open(made, 'wb') as device:
        device.truncate(SIZE)
        device.seek(6 * MIB)
        device.write(random.Random(3).randbytes(5 * MIB))
        device.seek(SIZE - 3)
        device.write(b'end')
    return str(made)


@pytest.fixture
def known(path):
    made = digests.DigestMap.unknown(SIZE)
    with open(path, 'rb') as device:
        for block in range(made.blocks):
            made[block] = digests.digest(device.read(MIB))
    return made


def test_equal_blocks_pass_and_progress_counts_their_bytes(path, known):
    seen, control = [], Control()
    how = verify.verify_blocks(path, SIZE, known, range(known.blocks), control=control,
                               on_progress=seen.append)
    assert how in (verify.DIRECT, verify.DROPPED)
    assert seen[-1] == SIZE
    assert sum(control.lengths) == SIZE


def test_a_flipped_bit_is_found_in_its_block(path, known):
    with open(path, 'r+b') as device:
        device.seek(9 * MIB + 500)
        bits = device.read(1)[0]
        device.seek(9 * MIB + 500)
        device.write(bytes([bits ^ 4]))
    with pytest.raises(exceptions.VerifyFailed) as caught:
        verify.verify_blocks(path, SIZE, known, [2, 9, 10], control=Control(), link='snapshot s')
    assert caught.value.facts == {'link': 'snapshot s', 'offset': 9 * MIB, 'length': MIB}


@pytest.fixture
def written(path):
    """What was written: two pages across blocks 6 and 7, and the end."""
    made = runs.Runs()
    with open(path, 'rb') as device:
        for offset, length in ((7 * MIB - 4096, 8192), (20 * MIB, 77)):
            device.seek(offset)
            made.add(memoryview(device.read(length)), offset)
    return made.within(digests.BlockSet(range(21)))[0]


def _compared(path, known, written, control):
    device = verify.Device(path, SIZE, known, [9], 'snapshot s', written)
    device.open()
    try:
        verify.verify_devices([device], control=control)
    finally:
        device.close()


def test_devices_of_one_path_share_a_descriptor(path, known):
    first = verify.Device(path, SIZE, digests.Excerpt(known, ()), ())
    first.open()
    second = verify.Device(path, SIZE, digests.Excerpt(known, [3, 9]), [3, 9])
    second.share(first)
    control = Control()
    try:
        verify.verify_devices([second], control=control)
    finally:
        first.close()
    assert (second.descriptor, second.how) != (None, None)
    assert sum(control.lengths) == 2 * MIB


def test_runs_are_read_beside_blocks_and_nothing_around_them(path, known, written):
    with open(path, 'r+b') as device:
        device.seek(7 * MIB + 4096)
        device.write(b'not read')
    control = Control()
    _compared(path, known, written, control)
    assert control.lengths == [MIB, 8192, 77]


@pytest.mark.parametrize(('offset', 'start', 'length'), [
    (7 * MIB - 1, 7 * MIB - 4096, 4096), (7 * MIB + 4095, 7 * MIB, 4096),
    (SIZE - 1, 20 * MIB, 77)])
def test_a_byte_that_changed_in_a_run_is_found(path, known, written, offset, start, length):
    with open(path, 'r+b') as device:
        device.seek(offset)
        device.write(b'!')
    with pytest.raises(exceptions.VerifyFailed) as caught:
        _compared(path, known, written, Control())
    assert caught.value.facts == {'link': 'snapshot s', 'offset': start, 'length': length}


def test_only_the_named_blocks_are_read(path, known):
    known.forget(9)
    control = Control()
    verify.verify_blocks(path, SIZE, known, [20, 3, 4], control=control)
    assert control.lengths == [2 * MIB, 77]


def test_units_do_not_wait_for_one_that_was_sent_before_them(path, known, monkeypatch):
    read_unit, others = reading.read_unit, threading.Semaphore(0)

    def slow_at_first(descriptor, path, part, view):
        if part.offset == 0:
            assert all(others.acquire(timeout=10) for _ in range(2))
        found = read_unit(descriptor, path, part, view)
        others.release()
        return found
    monkeypatch.setattr(reading, 'read_unit', slow_at_first)
    verify.verify_blocks(path, SIZE, known, [0, 2, 4, 6], control=Control(), workers=2)


def test_control_can_stop_it(path, known):
    with pytest.raises(Stopped):
        verify.verify_blocks(path, SIZE, known, [1], control=Stop())


def test_a_device_that_is_too_short_is_a_backend_fault(path, known):
    os.truncate(path, 5 * MIB)
    with pytest.raises(exceptions.BackendDown):
        verify.verify_blocks(path, SIZE, known, [12], control=Control())


def test_the_digest_of_a_device_is_the_root_of_its_map(path, known):
    assert verify.digest_of(path, SIZE) == known.root()


def test_the_digest_of_a_prefix_leaves_the_rest_out(path):
    assert verify.digest_of(path, 6 * MIB) == digests.DigestMap.zeros(6 * MIB).root()


def test_a_missing_device_is_a_backend_fault(tmp_path):
    with pytest.raises(exceptions.BackendDown):
        verify.digest_of(str(tmp_path / 'none'), MIB)


def test_devices_are_compared_in_their_order_and_the_next_is_opened_before_one_is_done(path, known):
    told, opened = [], []

    def devices():
        for number, blocks in enumerate([range(8), [], [10, 11, 12, 20]]):
            opened.append(verify.Device(path, SIZE, known, blocks, f'link {number}'))
            opened[-1].open()
            told.append(f'open {number}')
            yield opened[-1]

    verify.verify_devices(devices(), control=Control(),
                          on_done=lambda device: told.append(f'done {device.link}'))
    assert told == ['open 0', 'open 1', 'open 2', 'done link 0', 'done link 2']
    for device in opened:
        device.close()
        device.close()


def test_nothing_is_in_flight_when_a_difference_is_told(path, known):
    known[0] = digests.digest(b'other')
    device = verify.Device(path, SIZE, known, range(known.blocks), 'a link')
    device.open()
    with pytest.raises(exceptions.VerifyFailed) as caught:
        verify.verify_devices([device], control=Control())
    assert 'a link' in caught.value.message
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('verify')]
    device.close()
