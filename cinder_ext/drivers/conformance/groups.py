"""Snapshots of several volumes at one moment."""
# SPDX-License-Identifier: Apache-2.0

import os
import threading
import time

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import workbench

TIMES = 12
"""Group snapshots that are taken while a writer works."""
PAUSE_SECONDS = 0.01
"""Of the writer between two pairs of writes."""


class GroupSnapshotCases(workbench.Cases):
    """What capabilities.GroupSnapshots says."""

    word = capabilities.GroupSnapshots.word

    def _members(self, bench, count=2):
        volumes = [bench.volume() for _ in range(count)]
        return volumes, [bench.new_snapshot(volume) for volume in volumes]

    def test_members_keep_what_the_volumes_held(self, bench):
        volumes, members = self._members(bench, 3)
        for number, volume in enumerate(volumes):
            bench.write(volume, 4096, b'%d' % number)
        locations = bench.driver.create_group_snapshot(members)
        for volume in volumes:
            bench.write(volume, 4096, b'x')
        assert [bench.read(member, 4096, 1) for member in members] == [b'0', b'1', b'2']
        assert len(locations) == 3

    def test_repeating_a_group_snapshot_keeps_its_first_content(self, bench):
        volumes, members = self._members(bench)
        bench.driver.create_group_snapshot(members)
        for volume in volumes:
            bench.write(volume, 0, b'later')
        bench.driver.create_group_snapshot(members)
        assert [bench.read(member, 0, 5) for member in members] == [bytes(5), bytes(5)]

    def test_when_a_member_is_not_there_all_are_made_anew(self, bench):
        volumes, members = self._members(bench)
        bench.driver.create_group_snapshot(members)
        bench.driver.delete_snapshot(members[1])
        for volume in volumes:
            bench.write(volume, 0, b'later')
        bench.driver.create_group_snapshot(members)
        assert [bench.read(member, 0, 5) for member in members] == [b'later', b'later']

    def test_a_member_is_deleted_by_itself(self, bench):
        volumes, members = self._members(bench)
        bench.write(volumes[1], 0, b'kept')
        bench.driver.create_group_snapshot(members)
        bench.driver.delete_snapshot(members[0])
        assert bench.read(members[1], 0, 4) == b'kept'

    def test_a_group_of_one_is_a_group(self, bench):
        volumes, members = self._members(bench, 1)
        bench.write(volumes[0], 0, b'one')
        bench.driver.create_group_snapshot(members)
        assert bench.read(members[0], 0, 3) == b'one'

    def test_a_group_without_members_is_nothing(self, bench):
        assert bench.driver.create_group_snapshot([]) == []

    def test_nothing_is_left_when_a_volume_is_unknown(self, bench):
        _volumes, members = self._members(bench)
        members.append(bench.new_snapshot(bench.new_volume()))
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.create_group_snapshot(members)
        clone = bench.new_volume()
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.create_volume_from_snapshot(clone, members[0])

    def test_no_member_has_what_was_written_after_what_another_lacks(self, bench):
        volumes = [bench.volume() for _ in range(3)]
        with bench.path(volumes[0]) as first, bench.path(volumes[1]) as second, \
                bench.path(volumes[2]) as third, Writer([first, second, third]) as writer:
            for turn in range(TIMES):
                writer.until(2 * turn + 1)
                members = [bench.new_snapshot(volume) for volume in volumes]
                if bench.driver.refuses_writers:
                    _check_refused(bench, members)
                    continue
                bench.driver.create_group_snapshot(members)
                # Each number is written to the first volume, then to the second, then to the third.
                seen = [_number(bench, member) for member in members]
                assert seen == sorted(seen, reverse=True)
                assert seen[0] - seen[-1] <= 1
        members = [bench.new_snapshot(volume) for volume in volumes]
        bench.driver.create_group_snapshot(members)
        seen = [_number(bench, member) for member in members]
        assert seen == [_number(bench, volume) for volume in volumes]
        assert min(seen) >= TIMES


def _number(bench, resource):
    """The last number that was written."""
    return int.from_bytes(bench.read(resource, 8192, 8), 'big')


def _check_refused(bench, members):
    """Volumes that are written to are refused, and nothing is left of their members."""
    with pytest.raises(exceptions.ResourceBusy):
        bench.driver.create_group_snapshot(members)
    for member in members:
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.create_volume_from_snapshot(bench.new_volume(), member)


class Writer:
    """Writes 1, 2, 3 ... to each of some files in turn, with a pause after each number."""

    def __init__(self, paths, pause_seconds=PAUSE_SECONDS):
        self._paths, self._pause_seconds = paths, pause_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._count = 0

    def until(self, count):
        """Wait until a number has been begun."""
        while self._count < count:
            assert self._thread.is_alive()
            time.sleep(PAUSE_SECONDS / 10)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_fault):
        self._stop.set()
        self._thread.join()

    def _write(self):
        descriptors = [os.open(path, os.O_RDWR) for path in self._paths]
        try:
            while not self._stop.wait(self._pause_seconds):
                self._count += 1
                for descriptor in descriptors:
                    os.pwrite(descriptor, self._count.to_bytes(8, 'big'), 8192)
                    os.pwrite(descriptor, bytes(65536), values.MIB * (1 + self._count % 64))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
