"""Replication: two arrays, points, failover, failback, two contents, and every call twice.

The driver of these cases has at least one target (``replication_device`` or its like) that answers
and that nobody else uses; the first one serves.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import os
import threading
import time
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import workbench

MIB = values.MIB


class Replicated:
    """Volumes that are replicated, and where they are used now.

    :ivar members: a list of values.Member with their locations
    :ivar target: the other side's backend_id
    """

    def __init__(self, bench, count=1):
        self.bench, self.driver = bench, bench.driver
        self.target = bench.driver.replication_targets()[0].backend_id
        self.used, self.other, self.epoch = None, self.target, 1
        self.members = [values.Member(bench.volume()) for _ in range(count)]

    @property
    def volume(self):
        return self.members[0].volume

    def pair(self):
        self.driver.pair(self.members, self.used, self.other, self.epoch)
        return self

    def ship(self, point_id=None, retention=2, manifests=None):
        return self.driver.ship(self.members, self.used, self.other, point_id or new_id(),
                                retention, manifests)

    def snapshot(self, number=0):
        """A new snapshot of a member, where it is used."""
        member = self.members[number]
        made = values.Snapshot(new_id(), member.volume.name_id, member.volume.size_bytes,
                               volume_location=member.volume.location)
        made = dataclasses.replace(made, location=self.driver.create_snapshot(made))
        self.members[number] = dataclasses.replace(member, snapshots=(*member.snapshots, made))
        return made

    def promote(self, point_id=None):
        """The other side becomes the one that is used; a list of values.Promoted."""
        self.epoch += 1
        done = [self.driver.promote(member, self.other, self.epoch, point_id)
                for member in self.members]
        self.members = [_moved(member, promoted)
                        for member, promoted in zip(self.members, done, strict=True)]
        self.used, self.other = self.other, self.used
        return done

    def fail_over(self):
        """As planned: fence, last point, promote, demote, and ready for the way back."""
        before = list(self.members)
        for member in before:
            self.driver.fence(member, self.used, self.epoch)
        point = self.ship()
        self.promote()
        for member in before:
            self.driver.demote(member, self.other, self.epoch)
        return point

    def sides(self, number=0):
        """What home and the target know of a member."""
        volume = self.members[number].volume
        return self.driver.side(volume, None), self.driver.side(volume, self.target)

    def clear(self):
        """End the replication and delete all, wherever it is."""
        for side in (self.used, self.other):
            there = None if side else self.target
            with contextlib.suppress(exceptions.ResourceBusy):
                self.driver.unpair(self.members, side, there)
        for member in self.members:
            for value, delete in ((member.volume, self.driver.delete_volume),
                                  *((each, self.driver.delete_snapshot)
                                    for each in member.snapshots)):
                delete(value)


def _moved(member, promoted):
    """A member where it was promoted, with the snapshots that are there."""
    snapshots = tuple(
        dataclasses.replace(each, location=promoted.snapshots[each.name_id],
                            volume_location=promoted.location)
        for each in member.snapshots if each.name_id in promoted.snapshots)
    return values.Member(dataclasses.replace(member.volume, location=promoted.location), snapshots)


def new_id():
    return str(uuid.uuid4())


class _Base(workbench.Cases):
    word = capabilities.Replication.word

    @pytest.fixture
    def replicated(self, bench):
        """replicated(count) -> Replicated, paired; cleared away at the end."""
        made = []

        def make(count=1):
            made.append(Replicated(bench, count))
            return made[-1].pair()

        yield make
        for each in made:
            each.clear()


class PairCases(_Base):
    """Two sides and their roles."""

    def test_targets_have_names_of_their_own(self, driver):
        names = [target.backend_id for target in driver.replication_targets()]
        assert names
        assert len(names) == len(set(names))

    def test_an_interval_is_at_most_what_was_asked_for(self, driver):
        target = driver.replication_targets()[0].backend_id
        assert driver.replication_interval(target, 3600) <= 3600
        assert driver.replication_interval(target, None) > 0

    def test_an_unknown_volume_has_no_role_anywhere(self, bench):
        volume = bench.new_volume()
        for side in (None, bench.driver.replication_targets()[0].backend_id):
            assert bench.driver.side(volume, side) == values.Side()

    def test_a_pair_has_a_primary_and_a_secondary_of_one_epoch(self, replicated):
        pair = replicated()
        pair.pair()
        home, there = pair.sides()
        assert (home.role, home.epoch, home.exists) == ('primary', 1, True)
        assert (there.role, there.epoch, there.points) == ('secondary', 1, ())

    def test_an_unknown_volume_is_not_paired(self, bench):
        target = bench.driver.replication_targets()[0].backend_id
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.pair([values.Member(bench.new_volume())], None, target, 1)

    def test_nobody_gets_the_secondary(self, replicated, bench):
        pair = replicated()
        pair.ship()
        location = _moved(pair.members[0], values.Promoted(None, f'side:{pair.target}')).volume
        with pytest.raises(exceptions.DriverError):
            bench.driver.connect_volume(location, bench.connector)

    def test_after_the_end_the_volume_is_a_plain_one(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'kept')
        pair.ship()
        for _twice in range(2):
            assert pair.driver.unpair(pair.members, None, pair.target) == []
        home, there = pair.sides()
        assert (home.role, home.exists) == (None, True)
        assert there == values.Side()
        assert pair.volume.name_id not in pair.driver.replicas(pair.target)
        assert bench.read(pair.volume, 0, 4) == b'kept'

    def test_the_end_leaves_a_destination_that_was_promoted(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'kept')
        pair.ship()
        home = list(pair.members)
        pair.promote()
        pair.driver.unpair(home, None, pair.target)
        assert bench.read(pair.volume, 0, 4) == b'kept'


class PointCases(_Base):
    """What is shipped, and what counts."""

    def test_a_point_brings_what_was_written_before_it(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 5 * MIB, b'before')
        asked_at = time.time()
        point = pair.ship()
        assert asked_at - 1 <= point.taken_at <= time.time() + 1
        bench.write(pair.volume, 5 * MIB, b'after!')
        assert [each.id for each in pair.sides()[1].points] == [point.id]
        assert pair.promote()[0].point.id == point.id
        assert bench.read(pair.volume, 5 * MIB, 6) == b'before'

    def test_each_point_brings_what_changed(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, os.urandom(8 * MIB))
        pair.ship()
        wanted = os.urandom(MIB)
        bench.write(pair.volume, 3 * MIB + 4096, wanted)
        bench.write(pair.volume, 6 * MIB, bytes(2 * MIB))
        second = pair.ship()
        assert second.bytes_shipped < 8 * MIB
        held = bench.read(pair.volume, 0, 16 * MIB)
        pair.promote()
        assert bench.read(pair.volume, 0, 16 * MIB) == held
        assert held[3 * MIB + 4096:4 * MIB + 4096] == wanted

    def test_a_point_that_is_whole_is_not_shipped_again(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'first')
        point = pair.ship()
        bench.write(pair.volume, 0, b'later')
        assert pair.ship(point.id) == point
        pair.promote()
        assert bench.read(pair.volume, 0, 5) == b'first'

    def test_so_many_points_are_kept(self, replicated):
        pair = replicated()
        shipped = [pair.ship(retention=2).id for _ in range(4)]
        assert [each.id for each in pair.sides()[1].points] == shipped[-2:]
        assert pair.ship(retention=1).id == pair.sides()[1].points[0].id
        assert len(pair.sides()[1].points) == 1

    def test_an_older_point_is_promoted_too(self, replicated, bench):
        pair = replicated()
        shipped = []
        for state in (b'one', b'two'):
            bench.write(pair.volume, 0, state)
            shipped.append(pair.ship().id)
        assert pair.promote(shipped[0])[0].point.id == shipped[0]
        assert bench.read(pair.volume, 0, 3) == b'one'
        assert [each.id for each in pair.sides()[1].points] == shipped[:1]

    def test_a_volume_that_grew_is_as_large_on_the_other_side(self, replicated, bench):
        pair = replicated()
        pair.ship()
        larger = dataclasses.replace(pair.volume, size_bytes=2 * pair.volume.size_bytes)
        pair.driver.extend_volume(pair.volume, larger.size_bytes)
        pair.members = [values.Member(larger)]
        bench.write(larger, larger.size_bytes - 4, b'last')
        pair.ship()
        pair.promote()
        assert bench.read(pair.volume, larger.size_bytes - 4, 8) == b'last'

    def test_snapshots_are_there_and_can_be_used(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'one')
        kept, gone = pair.snapshot(), pair.snapshot()
        bench.write(pair.volume, 0, b'two')
        pair.ship()
        assert set(pair.promote()[0].snapshots) == {kept.name_id, gone.name_id}
        kept, gone = pair.members[0].snapshots
        assert bench.read(kept, 0, 3) == b'one'
        clone = values.Volume(new_id(), pair.volume.size_bytes)
        clone = dataclasses.replace(
            clone, location=pair.driver.create_volume_from_snapshot(clone, kept))
        pair.driver.delete_snapshot(gone)
        assert bench.read(clone, 0, 3) == b'one'
        pair.driver.delete_volume(clone)
        later = pair.snapshot()
        assert bench.read(later, 0, 3) == b'two'
        if capabilities.has(pair.driver, capabilities.Revert):
            bench.write(pair.volume, 0, b'xxx')
            pair.driver.revert_to_snapshot(pair.volume, later)
            assert bench.read(pair.volume, 0, 3) == b'two'

    def test_a_snapshot_that_was_deleted_is_not_brought_back(self, replicated):
        pair = replicated()
        snapshot = pair.snapshot()
        pair.ship()
        pair.driver.delete_snapshot(snapshot)
        pair.members = [values.Member(pair.volume)]
        pair.ship()
        assert pair.promote()[0].snapshots == {}

    def test_manifests_come_with_their_points_as_they_were(self, replicated):
        pair = replicated()
        name_id, manifest = pair.volume.name_id, b'{"any": "bytes\0"}'
        pair.ship(manifests={name_id: b'old'})
        pair.ship(manifests={name_id: manifest})
        side, size_bytes, group, found = pair.driver.replicas(pair.target)[name_id]
        assert (side, size_bytes) == (pair.sides()[1], pair.volume.size_bytes)
        assert (group, found) == ([name_id], manifest)

    def test_what_is_pending_is_at_least_what_was_written(self, replicated, bench):
        pair = replicated()
        pair.ship()
        bench.write(pair.volume, 0, os.urandom(2 * MIB))
        pending = pair.driver.pending_bytes(pair.members, None, pair.target)
        assert pending is None or pending >= 2 * MIB
        pair.ship()
        pending = pair.driver.pending_bytes(pair.members, None, pair.target)
        assert pending is None or pending < 2 * MIB

    def test_a_point_becomes_a_volume_while_replication_goes_on(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'one')
        point = pair.ship()
        clone = values.Volume(new_id(), pair.volume.size_bytes)
        for _twice in range(2):
            location = pair.driver.clone_point(clone, pair.members[0], pair.target, point.id)
            clone = dataclasses.replace(clone, location=location)
            bench.write(clone, 3, b'mine')
        bench.write(pair.volume, 0, b'two')
        pair.ship()
        assert bench.read(clone, 0, 7) == b'onemine'
        pair.driver.delete_volume(clone)
        with pytest.raises(exceptions.ResourceMissing):
            pair.driver.clone_point(clone, pair.members[0], pair.target, new_id())
        pair.promote()
        assert bench.read(pair.volume, 0, 7) == b'two' + bytes(4)

    def test_members_of_a_group_have_one_moment(self, replicated, bench):
        pair = replicated(3)
        with contextlib.ExitStack() as opened:
            paths = [opened.enter_context(bench.path(member.volume)) for member in pair.members]
            writer = opened.enter_context(_InTurn(paths))
            for turn in range(3):
                writer.until(10 * turn + 5)
                pair.ship()
        assert {len(group) for _side, _size, group, _manifest
                in pair.driver.replicas(pair.target).values()} == {3}
        pair.promote()
        seen = [int.from_bytes(bench.read(member.volume, 8192, 8), 'big') for member in pair.members]
        assert seen == sorted(seen, reverse=True)
        assert seen[0] - seen[-1] <= 1
        assert seen[-1] >= 20


class _InTurn:
    """Writes 1, 2, 3 ... to each of some files in turn, with a pause after each number."""

    def __init__(self, paths):
        self._paths = paths
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._count = 0

    def until(self, count):
        while self._count < count:
            assert self._thread.is_alive()
            time.sleep(0.01)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_fault):
        self._stop.set()
        self._thread.join()

    def _write(self):
        with contextlib.ExitStack() as opened:
            devices = [opened.enter_context(open(path, 'r+b', buffering=0)) for path in self._paths]
            while not self._stop.wait(0.1):
                self._count += 1
                for device in devices:
                    os.pwrite(device.fileno(), self._count.to_bytes(8, 'big'), 8192)


class TurnCases(_Base):
    """Fences, promotions, the way back, and two contents."""

    def test_a_fence_refuses_everybody_and_keeps_the_content(self, replicated, bench):
        pair = replicated()
        pair.ship()
        with bench.path(pair.volume) as path, open(path, 'r+b', buffering=0) as device:
            device.write(b'in time')
            for _twice in range(2):
                pair.driver.fence(pair.members[0], None, pair.epoch)
            # Who has it open may write, or fail: it counts for nothing.
            with contextlib.suppress(OSError):
                os.pwrite(device.fileno(), b'too late', 0)
        assert pair.sides()[0].role == 'fenced'
        with pytest.raises(exceptions.ResourceBusy):
            pair.driver.connect_volume(pair.volume, bench.connector)
        pair.ship()
        pair.promote()
        assert bench.read(pair.volume, 0, 8) == b'in time\0'

    def test_a_fence_is_taken_back_with_the_content(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'one')
        pair.driver.fence(pair.members[0], None, pair.epoch)
        pair.ship()
        for _twice in range(2):
            assert pair.driver.unfence(pair.members[0], None, pair.epoch) == pair.volume.location
        assert pair.sides()[0].role == 'primary'
        bench.write(pair.volume, 3, b'two')
        pair.ship()
        pair.promote()
        assert bench.read(pair.volume, 0, 6) == b'onetwo'

    def test_after_a_demotion_there_is_nothing_to_unfence(self, replicated):
        pair = replicated()
        before = pair.members[0]
        pair.fail_over()
        with pytest.raises(exceptions.SplitBrain):
            pair.driver.unfence(before, None, pair.epoch)

    def test_promoting_twice_is_promoting_once(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'one')
        pair.snapshot()
        pair.ship()
        before = pair.members[0]
        first, = pair.promote()
        bench.write(pair.volume, 0, b'new')
        for point_id in (None, first.point.id):
            assert pair.driver.promote(before, pair.target, pair.epoch, point_id) == first
        assert bench.read(pair.volume, 0, 3) == b'new'
        home, there = pair.sides()
        assert (there.role, there.epoch) == ('primary', 2)
        assert home.epoch == 1

    def test_a_promotion_needs_a_larger_epoch_and_a_point(self, replicated):
        pair = replicated()
        with pytest.raises(exceptions.ResourceMissing):
            pair.driver.promote(pair.members[0], pair.target, 2)
        pair.ship()
        with pytest.raises(exceptions.SplitBrain):
            pair.driver.promote(pair.members[0], pair.target, pair.epoch)
        with pytest.raises(exceptions.ResourceMissing):
            pair.driver.promote(pair.members[0], pair.target, 2, new_id())
        assert pair.sides()[1].role == 'secondary'
        before = list(pair.members)
        pair.promote()
        for epoch in (1, 2, 3):
            with pytest.raises(exceptions.SplitBrain):
                pair.driver.promote(before[0], None, epoch)

    def test_it_goes_there_and_back_again_whole(self, replicated, bench):
        pair = replicated(2)
        for number, member in enumerate(pair.members):
            bench.write(member.volume, 0, b'home %d' % number)
        frozen = pair.snapshot()
        pair.ship()
        for turn in range(4):
            pair.fail_over()
            for number, member in enumerate(pair.members):
                bench.write(member.volume, (turn + 1) * MIB, b'turn %d %d' % (turn, number))
            pair.pair()
            pair.ship()
        assert (pair.used, pair.epoch) == (None, 5)
        for number, member in enumerate(pair.members):
            assert bench.read(member.volume, 0, 6) == b'home %d' % number
            for turn in range(4):
                assert bench.read(member.volume, (turn + 1) * MIB, 8) == \
                    b'turn %d %d' % (turn, number)
        assert [each.name_id for each in pair.members[0].snapshots] == [frozen.name_id]
        assert bench.read(pair.members[0].snapshots[0], 0, 6) == b'home 0'

    def test_every_turn_may_be_repeated(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'one')
        pair.snapshot()
        pair.ship()
        home, driver = pair.members[0], pair.driver
        driver.fence(home, None, 1)
        last = pair.ship()
        driver.fence(home, None, 1)
        assert pair.ship(last.id) == last
        pair.promote()
        for _twice in range(2):
            driver.demote(home, None, 2)
        driver.fence(home, None, 2)
        assert [side.role for side in pair.sides()] == ['secondary', 'primary']
        assert [side.epoch for side in pair.sides()] == [2, 2]
        for _twice in range(2):
            pair.pair()
            pair.ship()
        assert bench.read(pair.volume, 0, 3) == b'one'

    def test_two_contents_are_never_mixed(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'both')
        pair.ship()
        home = list(pair.members)
        pair.promote()
        bench.write(pair.volume, 0, b'away')
        bench.write(home[0].volume, 0, b'home')
        with pytest.raises(exceptions.SplitBrain):
            pair.driver.ship(home, None, pair.target, new_id(), 2)
        with pytest.raises(exceptions.SplitBrain):
            pair.ship()
        with pytest.raises(exceptions.SplitBrain):
            pair.pair()
        with pytest.raises(exceptions.SplitBrain):
            pair.driver.pair(home, None, pair.target, 2)
        assert [side.role for side in pair.sides()] == ['primary', 'primary']
        assert bench.read(home[0].volume, 0, 4) == b'home'
        assert bench.read(pair.volume, 0, 4) == b'away'

    def test_resync_gives_up_the_side_that_is_named(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'both')
        pair.ship()
        home = list(pair.members)
        pair.promote()
        bench.write(pair.volume, 0, b'away')
        bench.write(home[0].volume, MIB, b'home')
        with pytest.raises(exceptions.SplitBrain):
            pair.driver.resync(home, None, pair.target, 1)
        for _twice in range(2):
            pair.driver.resync(pair.members, pair.target, None, pair.epoch)
        pair.ship()
        pair.fail_over()
        assert pair.used is None
        assert bench.read(pair.volume, 0, 4) == b'away'
        assert bench.read(pair.volume, MIB, 4) == bytes(4)

    def test_resync_keeps_the_side_of_the_smaller_epoch_by_a_larger_one(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'both')
        pair.ship()
        home = list(pair.members)
        pair.promote()
        bench.write(pair.volume, 0, b'away')
        bench.write(home[0].volume, 0, b'home')
        for _twice in range(2):
            pair.driver.resync(home, None, pair.target, 3)
        assert [side.epoch for side in pair.sides()] == [3, 3]
        pair.members, pair.used, pair.other, pair.epoch = home, None, pair.target, 3
        pair.ship()
        pair.promote()
        assert bench.read(pair.volume, 0, 4) == b'home'

    def test_calls_with_an_old_epoch_change_nothing(self, replicated):
        pair = replicated()
        pair.ship()
        home = pair.members[0]
        pair.fail_over()
        before = pair.sides()
        for call in (pair.driver.fence, pair.driver.demote, pair.driver.unfence, pair.driver.promote):
            for side in (None, pair.target):
                with pytest.raises(exceptions.SplitBrain):
                    call(home, side, 1)
        assert pair.sides() == before

    def test_a_driver_that_was_not_started_fails_over(self, replicated, bench):
        pair = replicated()
        bench.write(pair.volume, 0, b'kept')
        pair.ship()
        pair.driver = type(bench.driver)(bench.driver.settings)
        pair.fail_over()
        assert bench.read(pair.volume, 0, 4) == b'kept'

    def test_new_volumes_are_made_on_the_active_side(self, bench):
        target = bench.driver.replication_targets()[0].backend_id
        volume = values.Volume(new_id(), workbench.SIZE_BYTES)
        bench.driver.activate(target)
        try:
            location = bench.driver.create_volume(volume)
        finally:
            bench.driver.activate(None)
        assert location != bench.driver.create_volume(bench.new_volume())
        volume = dataclasses.replace(volume, location=location)
        bench.write(volume, 0, b'there')
        assert bench.read(volume, 0, 5) == b'there'
        bench.driver.delete_volume(volume)


class ReplicationCases(PairCases, PointCases, TurnCases):
    """What replication.Replication says."""
