"""Snapshots of a volume that a consumer writes to, with a real consumer.

The case classes need qemu-storage-daemon, qemu-img and qemu-io.  An author says with the fixture
``export_directory`` where the export of ``nfs`` connection information is seen on this host; a
driver that gives paths of this host leaves it.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import random

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities
from cinder_ext.drivers.conformance import consumer, workbench

HOST = {'host': 'compute', 'ip': '127.0.0.1', 'multipath': False}
"""The connector of a consumer's host: it opens what connect_volume names."""
COUNT = 20 if os.environ.get('CINDER_EXT_LONG') else 6
"""Snapshots that a volume has at once."""
CHANCE = 0.3
"""How often one goes while they are taken."""
PAUSE_SECONDS = 5
"""A write that takes longer than that has been stopped."""


class Served:
    """A volume with its consumer and writer.

    :ivar taken: snapshot -> (least, most) writes that it may hold
    """

    def __init__(self, bench, directory):
        self.bench, self.driver, self._directory = bench, bench.driver, directory
        self.volume = bench.volume()
        self.taken = {}
        self._begun = 0
        self.start()

    def start(self):
        """Open what the driver names now, and write."""
        self.consumer = consumer.Consumer(*self.named())
        self.writer = consumer.Writer(self.consumer, self._begun)
        self.writer.start()
        self.writer.writes(consumer.BLOCKS)

    def stop(self, kill=False):
        """End the consumer; nobody uses the volume then."""
        self._begun = self.writer.end() if not kill else 0
        (self.consumer.kill if kill else self.consumer.stop)()
        if kill:
            self._begun = self.writer.end()

    def named(self):
        """(path, format) of the file that a consumer is told to open."""
        info = self.driver.connect_volume(self.volume, HOST)
        if info.driver_volume_type == 'nfs':
            assert self._directory, 'the export is not seen here: name its directory'
            return os.path.join(self._directory, info.data['name']), info.data['format']
        return info.data['device_path'], info.data.get('format', 'raw')

    def snapshot(self):
        """A snapshot that went well."""
        snapshot = self.bench.new_snapshot(self.volume)
        begun = self.driver.create_snapshot_assisted_begin(snapshot)
        self.go_over(snapshot, begun)
        assert self.driver.create_snapshot_assisted_complete(
            snapshot, begun.noted).noted == {}
        self.writer.writes(3)
        return snapshot

    def go_over(self, snapshot, begun):
        least = self.writer.done
        self.consumer.go_over(begun.request)
        self.taken[snapshot] = (least, self.writer.begun)
        self.writer.writes(consumer.BLOCKS // 2)

    def delete(self, snapshot):
        """A snapshot's end that went well."""
        begun = self.driver.delete_snapshot_assisted_begin(snapshot)
        if begun.request is not None:
            self.consumer.merge(begun.request)
            self.writer.writes(3)
            self.driver.delete_snapshot_assisted_complete(snapshot, begun.noted)
        self.taken.pop(snapshot, None)

    def check(self):
        """Every snapshot holds a state that the volume had when it was taken, the volume its last."""
        for snapshot, (least, most) in self.taken.items():
            held = self._held(snapshot)
            assert any(held == consumer.state(count) for count in range(least, most + 1)), held
        self.writer.writes(3)
        assert self.writer.longest_seconds < PAUSE_SECONDS
        self.stop()
        assert self._held(self.volume) == consumer.state(self._begun)
        self.driver.disconnect_volume(self.volume, self.bench.connector)

    def _held(self, resource):
        held = []
        with self.bench.path(resource) as path, open(path, 'rb') as device:
            for _ in range(consumer.BLOCKS):
                block = device.read(consumer.BLOCK_BYTES)
                assert block == block[:1] * consumer.BLOCK_BYTES
                held.append(block[0])
        return held


class AssistedSnapshotCases(workbench.Cases):
    """What capabilities.AssistedSnapshots says."""

    word = capabilities.AssistedSnapshots.word

    @pytest.fixture
    def export_directory(self):
        """Where the export is seen; an author's fixture replaces this one."""

    @pytest.fixture
    def served(self, bench, export_directory):
        """A Served, ended when the test is."""
        with contextlib.ExitStack() as ended:
            made = Served(bench, export_directory)
            ended.callback(lambda: made.consumer.kill())  # noqa: PLW0108 - another one by then
            yield made

    def test_a_snapshot_holds_what_was_written_and_the_volume_goes_on(self, served):
        before = served.named()
        snapshot = served.snapshot()
        assert served.named() != before
        assert os.path.basename(served.named()[0]) == served.consumer.active
        assert snapshot in served.taken
        served.check()

    def test_until_it_is_completed_the_volume_is_what_it_was(self, served):
        before = served.named()
        snapshot = served.bench.new_snapshot(served.volume)
        begun = served.driver.create_snapshot_assisted_begin(snapshot)
        assert served.driver.create_snapshot_assisted_begin(snapshot) == begun
        assert served.named() == before
        served.go_over(snapshot, begun)
        assert served.driver.create_snapshot_assisted_begin(snapshot) == begun
        assert served.named() == before
        for _ in range(2):
            served.driver.create_snapshot_assisted_complete(snapshot, begun.noted)
        assert served.driver.create_snapshot_assisted_begin(snapshot).request is None
        served.check()

    @pytest.mark.parametrize('order', [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
    def test_snapshots_are_deleted_in_any_order_while_it_is_written(self, served, order):
        taken = [served.snapshot() for _ in order]
        for number in order:
            served.delete(taken[number])
        last = served.snapshot()
        assert list(served.taken) == [last]
        served.check()

    def test_many_come_and_go_in_no_order(self, served):
        chance = random.Random(COUNT)
        while len(served.taken) < COUNT:
            served.snapshot()
            if chance.random() < CHANCE:
                served.delete(chance.choice(list(served.taken)))
        for snapshot in chance.sample(list(served.taken), COUNT - 2):
            served.delete(snapshot)
        served.check()

    def test_the_rest_is_untouched_when_the_middle_goes(self, served):
        taken = [served.snapshot() for _ in range(4)]
        served.delete(taken[1])
        served.delete(taken[2])
        assert list(served.taken) == [taken[0], taken[3]]
        served.check()

    def test_a_snapshot_that_nobody_was_asked_for_leaves_nothing(self, served):
        before = served.named()
        snapshot = served.bench.new_snapshot(served.volume)
        begun = served.driver.create_snapshot_assisted_begin(snapshot)
        for noted in (begun.noted, {}):
            assert served.driver.create_snapshot_assisted_abort(
                snapshot, noted, capabilities.NEVER_ASKED).noted == {}
        assert served.named() == before
        assert not os.path.exists(os.path.join(os.path.dirname(before[0]),
                                               begun.request['new_file']))
        served.snapshot()
        served.check()

    def test_two_snapshots_of_a_volume_are_not_on_their_way_at_once(self, served):
        first, second = (served.bench.new_snapshot(served.volume) for _ in range(2))
        begun = served.driver.create_snapshot_assisted_begin(first)
        with pytest.raises(exceptions.ResourceBusy):
            served.driver.create_snapshot_assisted_begin(second)
        served.go_over(first, begun)
        served.driver.create_snapshot_assisted_complete(first, begun.noted)
        assert served.driver.create_snapshot_assisted_begin(second).request is not None
        served.driver.create_snapshot_assisted_abort(second, {}, capabilities.NEVER_ASKED)
        served.check()

    @pytest.mark.parametrize('went_over', [True, False])
    @pytest.mark.parametrize('then', ['goes on', 'is deleted', 'is deleted offline'])
    def test_when_nobody_knows_it_is_right_either_way(self, served, went_over, then):
        kept = served.snapshot()
        snapshot = served.bench.new_snapshot(served.volume)
        begun = served.driver.create_snapshot_assisted_begin(snapshot)
        if went_over:
            served.go_over(snapshot, begun)
            served.taken.pop(snapshot)
        noted = served.driver.create_snapshot_assisted_abort(
            snapshot, begun.noted, capabilities.UNKNOWN).noted
        assert noted['chain'] == 'uncertain'
        served.writer.writes(consumer.BLOCKS)
        if then == 'is deleted':
            served.delete(snapshot)
        if then == 'is deleted offline':
            served.stop()
            assert served.driver.create_snapshot_assisted_abort(
                snapshot, noted, capabilities.GONE).noted == {}
            served.driver.delete_snapshot(snapshot)
            served.start()
        later = served.snapshot()
        assert list(served.taken) == [kept, later]
        served.delete(kept)
        served.check()

    def test_a_merge_that_was_not_done_is_not_taken_for_done(self, served):
        taken = [served.snapshot() for _ in range(3)]
        for snapshot in (taken[0], taken[2]):
            begun = served.driver.delete_snapshot_assisted_begin(snapshot)
            assert begun.request is not None
            with pytest.raises(exceptions.DriverError):
                served.driver.delete_snapshot_assisted_complete(snapshot, begun.noted)
            assert served.driver.delete_snapshot_assisted_abort(snapshot, begun.noted).noted == {}
        served.delete(taken[0])
        served.delete(taken[2])
        served.check()

    @pytest.mark.parametrize('which', [0, 1], ids=['frozen', 'newest'])
    @pytest.mark.parametrize('then', ['attached', 'offline'])
    def test_after_a_kill_in_the_middle_of_a_merge_it_is_deleted_again(self, served, which, then):
        taken = [served.snapshot() for _ in range(2)]
        begun = served.driver.delete_snapshot_assisted_begin(taken[which])
        served.consumer.begin_merge(begun.request, speed=1)
        served.stop(kill=True)
        with pytest.raises(exceptions.DriverError):
            served.driver.delete_snapshot_assisted_complete(taken[which], begun.noted)
        served.driver.delete_snapshot_assisted_abort(taken[which], begun.noted)
        served.taken.pop(taken[which])
        if then == 'offline':
            served.driver.delete_snapshot(taken[which])
        served.start()
        served.delete(taken[which])
        served.check()

    @pytest.mark.parametrize('which', [0, 1], ids=['frozen', 'newest'])
    def test_a_merge_that_was_done_and_not_reported_is_recognised(self, served, which):
        taken = [served.snapshot() for _ in range(2)]
        begun = served.driver.delete_snapshot_assisted_begin(taken[which])
        served.consumer.merge(begun.request)
        served.writer.writes(3)
        served.driver.delete_snapshot_assisted_abort(taken[which], begun.noted)
        assert served.driver.delete_snapshot_assisted_begin(taken[which]).request is None
        served.taken.pop(taken[which])
        served.delete(taken[1 - which])
        served.check()

    def test_an_unknown_snapshot_is_one_that_is_gone(self, served):
        snapshot = served.bench.new_snapshot(served.volume)
        assert served.driver.delete_snapshot_assisted_begin(snapshot).request is None
        assert served.driver.delete_snapshot_assisted_complete(snapshot, {}).request is None

    def test_a_snapshot_of_an_unknown_volume_is_refused(self, bench):
        with pytest.raises(exceptions.ResourceMissing):
            bench.driver.create_snapshot_assisted_begin(bench.new_snapshot(bench.new_volume()))
