"""Replication: two arrays, their points, and what failover.py has.

The driver of these cases has at least one target (``replication_device`` or its like) that answers
and that nobody else uses; the first one serves.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import os
import time

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import failover, groups
from cinder_ext.drivers.conformance import replicated as worlds

MIB = values.MIB


class PairCases(worlds.ReplicatedCases):
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
        home = pair.volume
        pair.fail_over()
        assert [side.role for side in pair.sides()] == ['secondary', 'primary']
        with pytest.raises(exceptions.ResourceBusy):
            bench.driver.connect_volume(home, bench.connector)

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


class PointCases(worlds.ReplicatedCases):
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
        clone = values.Volume(worlds.new_id(), pair.volume.size_bytes)
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
        clone = values.Volume(worlds.new_id(), pair.volume.size_bytes)
        for _twice in range(2):
            location = pair.driver.clone_point(clone, pair.members[0], pair.target, point.id)
            clone = dataclasses.replace(clone, location=location)
            bench.write(clone, 3, b'mine')
        bench.write(pair.volume, 0, b'two')
        pair.ship()
        assert bench.read(clone, 0, 7) == b'onemine'
        pair.driver.delete_volume(clone)
        with pytest.raises(exceptions.ResourceMissing):
            pair.driver.clone_point(clone, pair.members[0], pair.target, worlds.new_id())
        pair.promote()
        assert bench.read(pair.volume, 0, 7) == b'two' + bytes(4)

    def test_members_of_a_group_have_one_moment(self, replicated, bench):
        pair = replicated(3)
        with contextlib.ExitStack() as opened:
            paths = [opened.enter_context(bench.path(member.volume)) for member in pair.members]
            writer = opened.enter_context(groups.Writer(paths, 0.1))
            for turn in range(3):
                writer.until(5 * turn + 2)
                pair.ship()
        assert {len(group) for _side, _size, group, _manifest
                in pair.driver.replicas(pair.target).values()} == {3}
        pair.promote()
        seen = [int.from_bytes(bench.read(member.volume, 8192, 8), 'big') for member in pair.members]
        assert seen == sorted(seen, reverse=True)
        assert seen[0] - seen[-1] <= 1
        assert seen[-1] >= 10


class ReplicationCases(PairCases, PointCases, failover.FailoverCases):
    """What replication.Replication says."""
