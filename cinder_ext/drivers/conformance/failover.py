"""Replication: fences, promotions, the way back, two contents, and each of these calls twice."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import os

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import replicated as worlds
from cinder_ext.drivers.conformance import workbench

MIB = values.MIB


class FailoverCases(worlds.ReplicatedCases):
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
            pair.driver.promote(pair.members[0], pair.target, 2, worlds.new_id())
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
        home = _written_on_both_sides(pair, bench)
        with pytest.raises(exceptions.SplitBrain):
            pair.driver.ship(home, None, pair.target, worlds.new_id(), 2)
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
        home = _written_on_both_sides(pair, bench, MIB)
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
        home = _written_on_both_sides(pair, bench)
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
        volume = values.Volume(worlds.new_id(), workbench.SIZE_BYTES)
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


def _written_on_both_sides(pair, bench, home_offset=0):
    """The other side is used, and so is home: ``away`` here and ``home`` there; home's members."""
    bench.write(pair.volume, 0, b'both')
    pair.ship()
    home = list(pair.members)
    pair.promote()
    bench.write(pair.volume, 0, b'away')
    bench.write(home[0].volume, home_offset, b'home')
    return home
