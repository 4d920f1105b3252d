"""The copier on real files: equality, checkpoints, kills, control, faults."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, copy, digests, reading, runs, units

MIB = values.MIB
SIZE = 96 * MIB
ALL = [values.Range(0, SIZE)]


class Control:
    """Counts the units, sleeps before each, and stops at a number of them."""

    def __init__(self, seconds=0.0, stop_at=None):
        self.seconds, self.stop_at, self.lengths = seconds, stop_at, []

    def check(self, length):
        self.lengths.append(length)
        if len(self.lengths) == self.stop_at:
            raise Stopped
        time.sleep(self.seconds)


class Stopped(Exception):
    """What a test's control raises."""


class Checkpoints:
    """Keeps what a copier hands out, as a table of rows would."""

    def __init__(self):
        self.position, self.rows, self.stats, self.history = 0, {}, copy.CopyStats(), []

    def __call__(self, position, deltas, stats):
        self.position, self.stats = position, stats
        self.rows.update(deltas)
        self.history.append((position, stats))

    def restored(self, base):
        """(map, blocks written) of the last checkpoint on top of the map at the start."""
        restored, written = base.copy(), digests.BlockSet()
        for segment, encoded in self.rows.items():
            for block in restored.apply_delta(segment, encoded):
                written.add(block)
        return restored, written


@pytest.fixture
def source(tmp_path):
    """Random data with holes: the first half of each 8 MiB, 48 MiB in all."""
    path = tmp_path / 'source'
    chance = random.Random(1)
    with open(path, 'wb') as made:
        made.truncate(SIZE)
        for offset in range(0, SIZE, 8 * MIB):
            made.seek(offset)
            made.write(chance.randbytes(4 * MIB))
    return str(path)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / 'target'
    with open(path, 'wb') as made:
        made.truncate(SIZE)
    return str(path)


def copier(source, target, known=None, **options):
    options.setdefault('control', Control())
    known = digests.DigestMap.zeros(SIZE) if known is None else known
    return copy.RangeCopier(source, target, known, size_bytes=SIZE, **options)


def content(path):
    with open(path, 'rb') as device:
        return device.read()


def taken(path):
    """Bytes that a file takes on its medium."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    return os.stat(path).st_blocks * 512


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith('copy')]


def test_a_copy_is_equal_and_its_holes_stay_holes(source, target):
    made = copier(source, target)
    stats = made.copy(ALL)
    assert content(target) == content(source)
    assert stats == copy.CopyStats(read=SIZE, written=48 * MIB, skipped=48 * MIB)
    assert taken(target) < 49 * MIB
    assert len(made.written) == 48
    assert threads() == []


def test_the_map_is_that_of_the_target_afterwards(source, target):
    made = copier(source, target)
    made.copy(ALL)
    again = copier(source, target, made.digests)
    assert again.copy(ALL) == copy.CopyStats(read=SIZE, skipped=SIZE)


def test_only_what_differs_is_written(source, target):
    made = copier(source, target)
    made.copy(ALL)
    with open(source, 'r+b') as device:
        device.seek(33 * MIB)
        device.write(b'changed')
    stats = copier(source, target, made.digests).copy([values.Range(33 * MIB + 100, 1)])
    assert stats == copy.CopyStats(read=MIB, written=MIB)
    assert content(target) == content(source)


def test_an_unknown_target_is_written_whole_and_its_zeros_punched(source, target):
    with open(target, 'r+b') as device:
        device.write(b'\xff' * SIZE)
    stats = copier(source, target, digests.DigestMap.unknown(SIZE)).copy(ALL)
    assert content(target) == content(source)
    assert stats == copy.CopyStats(read=SIZE, written=48 * MIB, zeroed=48 * MIB)
    assert taken(target) < 49 * MIB


def test_a_short_last_block_is_copied(tmp_path):
    size = 3 * MIB + 123
    for name in ('source', 'target'):
        (tmp_path / name).write_bytes(bytes(size))
    data = random.Random(2).randbytes(size)
    (tmp_path / 'source').write_bytes(data)
    made = copy.RangeCopier(
        str(tmp_path / 'source'), str(tmp_path / 'target'), digests.DigestMap.zeros(size),
        size_bytes=size, control=Control())
    made.copy([values.Range(0, size)])
    assert (tmp_path / 'target').read_bytes() == data
    assert not made.target_direct


def test_checkpoints_cover_what_was_written_and_nothing_more(source, target):
    seen, expected = [], content(source)

    def look(position, deltas, stats):
        seen.append((position, stats.written))
        assert content(target) == expected[:position] + bytes(SIZE - position)
        assert abs(taken(target) - stats.written) < MIB

    copier(source, target, on_checkpoint=look, checkpoint_bytes=10 * MIB).copy(ALL)
    written = [0] + [figure for _, figure in seen]
    steps = [after - before for before, after in zip(written, written[1:], strict=False)]
    assert max(steps) <= 10 * MIB
    assert seen[-1] == (SIZE, 48 * MIB)
    assert len(seen) >= 5


def test_a_checkpoint_is_made_when_its_time_has_come(source, target):
    kept = Checkpoints()
    copier(source, target, on_checkpoint=kept, checkpoint_seconds=0.05,
           control=Control(seconds=0.02)).copy(ALL)
    assert len(kept.history) >= 4
    positions = [position for position, _ in kept.history]
    assert positions == sorted(positions)


def test_a_stopped_copy_goes_on_without_writing_anything_again(source, target):
    kept = Checkpoints()
    with pytest.raises(Stopped):
        copier(source, target, on_checkpoint=kept, control=Control(stop_at=11)).copy(ALL)
    assert kept.position == 40 * MIB
    assert threads() == []
    restored, written = kept.restored(digests.DigestMap.zeros(SIZE))
    made = copier(source, target, restored, written=written, on_checkpoint=kept)
    stats = made.copy(ALL, kept.position)
    assert content(target) == content(source)
    assert stats.written == 48 * MIB - 20 * MIB
    assert len(made.written) == 48


KILLED = '''
import json, sys, time
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import copy, digests
source, target, size, log = sys.argv[1], sys.argv[2], int(sys.argv[3]), open(sys.argv[4], 'a')
class Slow:
    def check(self, length):
        time.sleep(0.004)
def keep(position, deltas, stats):
    rows = [(segment, encoded.hex()) for segment, encoded in deltas]
    log.write(json.dumps([position, rows, stats.written]) + '\\n')
    log.flush()
copy.RangeCopier(source, target, digests.DigestMap.zeros(size), size_bytes=size, control=Slow(),
                 checkpoint_bytes=12 * values.MIB, on_checkpoint=keep).copy(
    [values.Range(0, size)])
'''


@pytest.mark.parametrize('lines', [1, 2, 3])
def test_after_a_kill_at_most_one_interval_is_written_again(source, target, tmp_path, lines):
    log = tmp_path / 'log'
    log.touch()
    child = subprocess.Popen(
        [sys.executable, '-c', KILLED, source, target, str(SIZE), str(log)])
    deadline = time.monotonic() + 60
    while log.read_text().count('\n') < lines and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(random.random() * 0.03)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = Checkpoints()
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith('\n'):
            position, rows, written = json.loads(line)
            kept(position, [(segment, bytes.fromhex(row)) for segment, row in rows],
                 copy.CopyStats(written=written))
    assert taken(target) - kept.stats.written <= 12 * MIB + 65536
    restored, blocks = kept.restored(digests.DigestMap.zeros(SIZE))
    stats = copier(source, target, restored, written=blocks).copy(ALL, kept.position)
    assert content(target) == content(source)
    assert stats.written == 48 * MIB - kept.stats.written


def test_a_fault_in_the_checkpoint_ends_the_copy(source, target):
    def refuse(position, deltas, stats):
        raise Stopped

    with pytest.raises(Stopped):
        copier(source, target, on_checkpoint=refuse, checkpoint_bytes=4 * MIB).copy(ALL)
    assert threads() == []
    assert taken(target) <= 5 * MIB


def test_progress_is_reported_and_ends_with_the_whole(source, target):
    seen = []
    copier(source, target, on_progress=seen.append).copy(ALL)
    assert seen[-1].read == SIZE
    assert [stats.read for stats in seen] == sorted(stats.read for stats in seen)


def test_control_sees_each_unit_and_none_is_larger_than_four_mebibytes(source, target):
    control = Control()
    copier(source, target, control=control).copy(ALL)
    assert sum(control.lengths) == SIZE
    assert max(control.lengths) == 4 * MIB


@pytest.mark.parametrize(('workers', 'most'), [(1, 1), (4, 2), (7, 3)])
def test_half_of_the_units_are_read_while_others_are_written(source, target, monkeypatch, workers,
                                                             most):
    lock, counts, read_unit = threading.Lock(), [0, 0], reading.read_unit

    def counted(*arguments):
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        time.sleep(0.01)
        try:
            return read_unit(*arguments)
        finally:
            with lock:
                counts[0] -= 1

    monkeypatch.setattr(reading, 'read_unit', counted)
    copier(source, target, workers=workers).copy([values.Range(0, SIZE)])
    assert counts == [0, most]
    assert content(target) == content(source)


@pytest.mark.parametrize(('may_wait', 'is_direct'), [
    (True, True), (True, False), (False, True)], ids=['left', 'cached', 'done'])
def test_what_was_written_last_is_flushed_by_the_copier_or_left_to_its_caller(
        source, target, monkeypatch, may_wait, is_direct):
    """What lies in the page cache is never left: a snapshot elsewhere would not have it."""
    if not is_direct:
        monkeypatch.setattr(blockio, 'open_target', lambda path, size_bytes, is_proven: (
            os.open(path, os.O_RDWR), False))
    flushed, fdatasync = [], os.fdatasync

    def note(descriptor):
        flushed.append(descriptor)
        fdatasync(descriptor)

    monkeypatch.setattr(os, 'fdatasync', note)
    kept = Checkpoints()
    made = copier(source, target, defers_flush=lambda: may_wait, on_checkpoint=kept,
                  checkpoint_bytes=20 * MIB)
    made.copy(ALL)
    is_left = may_wait and is_direct
    assert (made.is_flushed, made.target_direct) == (not is_left, is_direct)
    assert len(flushed) == len(kept.history) - is_left == 3 - is_left
    assert kept.position == SIZE
    assert content(target) == content(source)


@pytest.mark.parametrize('stop_at', [None, 4])
def test_threads_that_stay_have_nothing_to_do_when_a_copy_has_ended(source, target, stop_at):
    with concurrent.futures.ThreadPoolExecutor(3, 'staying') as pool:
        for _ in range(2):
            made = copier(source, target, pool=pool, control=Control(stop_at=stop_at))
            with pytest.raises(Stopped) if stop_at else contextlib.nullcontext():
                made.copy(ALL)
            # Each of them is free to meet the others.
            barrier = threading.Barrier(3)
            for met in [pool.submit(barrier.wait, 10) for _ in range(3)]:
                met.result()
    if not stop_at:
        assert content(target) == content(source)


def test_what_was_read_before_the_copy_is_not_read_again(source, target):
    expected = content(source)
    parts = list(units.cut([values.Range(0, 16 * MIB)]))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        early = reading.ReadAhead(source, parts, blockio.buffer(16 * MIB), pool)
    # All are read by now.
    assert early.take(parts[-1])
    other = b'\x07' * 16 * MIB
    with open(source, 'r+b') as device:
        device.write(other)
    stats = copier(source, target, early=early).copy([values.Range(0, SIZE)])
    early.close()
    assert content(target) == expected[:12 * MIB] + other[12 * MIB:] + expected[16 * MIB:]
    assert stats.read == SIZE


def test_it_is_told_that_the_last_unit_is_on_its_way_before_a_checkpoint_covers_the_end(
        source, target):
    seen = []
    made = copier(source, target, on_checkpoint=lambda position, *_: seen.append(position),
                  on_sent=lambda: seen.append('sent'))
    made.copy([values.Range(0, SIZE)])
    assert seen[-2:] == ['sent', SIZE]
    assert SIZE not in seen[:-2]


def test_a_source_that_is_too_short_is_a_backend_fault(source, target):
    os.truncate(source, SIZE - MIB)
    with pytest.raises(exceptions.BackendDown, match=str(SIZE - MIB)):
        copier(source, target).copy(ALL)
    assert threads() == []


@pytest.mark.parametrize('gone', ['source', 'target'])
def test_a_path_that_is_gone_is_a_backend_fault(source, target, gone):
    os.unlink({'source': source, 'target': target}[gone])
    with pytest.raises(exceptions.BackendDown):
        copier(source, target).copy(ALL)


def check_true(known, held, end):
    """What a map claims of the blocks below ``end`` is so, or it claims nothing."""
    for block in range(end // MIB):
        data = held[block * MIB:(block + 1) * MIB]
        assert known[block] in (digests.digest(data), digests.UNKNOWN)


@pytest.mark.skipif(os.geteuid() != 0, reason='mounting a small tmpfs needs root')
def test_a_full_target_is_no_space_and_its_checkpoints_stay_true(source, tmp_path):
    point = tmp_path / 'small'
    point.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16m', 'none', point], check=True)
    try:
        full = str(point / 'target')
        for _ in range(4):
            with open(full, 'wb') as made:
                made.truncate(SIZE)
            kept = Checkpoints()
            made = copier(source, full, on_checkpoint=kept, checkpoint_bytes=4 * MIB)
            with pytest.raises(exceptions.NoSpace, match='writing'):
                made.copy(ALL)
            held = content(full)
            assert held[:kept.position] == content(source)[:kept.position]
            for known in (made.digests, kept.restored(digests.DigestMap.zeros(SIZE))[0]):
                check_true(known, held, kept.position)
    finally:
        subprocess.run(['umount', point], check=True)
    assert threads() == []


def test_a_map_of_another_size_is_refused(source, target):
    with pytest.raises(ValueError):
        copier(source, target, digests.DigestMap.zeros(MIB))


def test_a_copy_looks_where_the_source_has_data_or_the_target_may_not_read_zeros():
    known = digests.DigestMap.zeros(10 * MIB)
    known.forget(7)
    known[8] = digests.digest(b'data')
    found = copy.needed_ranges([values.Range(MIB + 5, 10)], known)
    assert found == [values.Range(MIB, 4096), values.Range(7 * MIB, 2 * MIB)]


def test_a_unit_that_failed_is_never_counted_as_done():
    gate = copy._Gate(4 * MIB, 0)
    gate.admit(0, MIB, MIB)
    fault = OSError('medium')
    gate.leave(OSError, fault, None)
    assert gate.writing == 0
    assert gate.fault is fault
    with pytest.raises(copy._Abandoned):
        gate.admit(1, MIB, 2 * MIB)


def test_of_a_differing_block_only_the_pages_within_the_ranges_are_written(source, target):
    known = digests.DigestMap.zeros(SIZE)
    copier(source, target, known).copy(ALL)
    for offset in (4096, 5 * MIB + 8192):
        with open(source, 'r+b') as changed:
            changed.seek(offset)
            changed.write(b'x' * 100)

    told = runs.Runs()
    made = copier(source, target, known, runs=told)
    stats = made.copy([values.Range(4096, 100), values.Range(5 * MIB + 8192, 100)],
                      is_relative=True)

    assert content(target) == content(source)
    assert (stats.read, stats.written, stats.skipped) == (2 * MIB, 8192, 2 * MIB - 8192)
    found, others = told.within(made.written)
    assert [run.part for run in found] == [
        values.Range(4096, 4096), values.Range(5 * MIB + 8192, 4096)]
    assert (list(made.written), list(others)) == ([0, 5], [])


def test_ranges_that_are_not_relative_never_narrow_a_block_with_other_content(source, target):
    with open(target, 'r+b') as other:
        other.write(b'y' * MIB)
    known = digests.DigestMap.zeros(SIZE)
    known[0] = digests.digest(b'y' * MIB)

    copier(source, target, known).copy([values.Range(0, 4096), values.Range(4096, 4 * MIB)])

    assert content(target)[:4 * MIB] == content(source)[:4 * MIB]
