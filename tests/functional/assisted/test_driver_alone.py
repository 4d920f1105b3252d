"""The driver and a guest, without any service between them: what the one plans, the other does."""
# SPDX-License-Identifier: Apache-2.0

import os
import random
import uuid

import assisted_stage
import pytest
import qcow2_guest
import stamped_writer
from oslo_concurrency import lockutils

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import workbench

GIB = 1024 ** 3
LONG = bool(os.environ.get('CINDER_EXT_LONG'))


class Play:
    """A volume, its guest, and snapshots of which some parts go wrong.

    :ivar cuts: snapshot -> how many writes it holds
    :ivar doubtful: snapshots of which nobody knows what they hold
    """

    def __init__(self, driver, base, seed):
        self.driver, self.base, self.dice = driver, base, random.Random(seed)
        self.volume = values.Volume(str(uuid.uuid4()), GIB)
        driver.create_volume(self.volume)
        self.log = stamped_writer.StampLog(512)
        self.cuts, self.doubtful, self.story = {}, [], []
        self.may_die = True
        self.guests = []
        self.start()

    def start(self):
        self.guest = qcow2_guest.Guest(self.active())
        self.guests.append(self.guest)
        self.writer = stamped_writer.StampedWriter(self.guest, self.log)

    def active(self):
        return self.path(self.driver.connect_volume(self.volume, {'host': 'one'}).data['name'])

    def path(self, name):
        return os.path.join(self.base, name)

    def beside(self, name):
        return os.path.join(os.path.dirname(self.guest.path), name)

    def layer(self, snapshot):
        return os.path.realpath(f'{self.base}/snapshots/snapshot-{snapshot.name_id}')

    def reboot(self, is_hard):
        self.story.append(f'reboot {is_hard}')
        if is_hard:
            self.guest.kill()
        self.writer.stop()
        if not is_hard:
            self.guest.close()
        path = self.active()
        if is_hard:
            self.log.survives(path)
        self.start()

    def create(self, how):
        self.writer.goes_on(self.dice.randrange(5, 60))
        snapshot = values.Snapshot(str(uuid.uuid4()), self.volume.name_id, GIB)
        begun = self.driver.create_snapshot_assisted_begin(snapshot)
        again = self.driver.create_snapshot_assisted_begin(snapshot)
        assert begun == again
        self.story.append(f"create {how} {begun.request['new_file']}")
        least = self.log.acknowledged
        if how == 'never asked':
            self.driver.create_snapshot_assisted_abort(
                snapshot, begun.noted, capabilities.NEVER_ASKED)
            return
        if how in ('well', 'unreported'):
            self.guest.snapshot(self.beside(begun.request['new_file']))
        if how == 'well':
            self.driver.create_snapshot_assisted_complete(snapshot, begun.noted)
            self.cuts[snapshot] = self.log.cut_of(self.layer(snapshot), least, self.log.started)
            assert self.active() == self.guest.path
            return
        left = self.driver.create_snapshot_assisted_abort(
            snapshot, begun.noted, capabilities.UNKNOWN)
        self.doubtful.append(snapshot)
        if how == 'late':
            self.guest.snapshot(self.beside(begun.request['new_file']))
            if self.dice.random() < 0.5:
                self.driver.create_snapshot_assisted_complete(snapshot, left.noted)

    def delete(self, snapshot, how):
        begun = self.driver.delete_snapshot_assisted_begin(snapshot)
        self.story.append(f'delete {how} {snapshot.name_id} {begun.request}')
        if begun.request is not None:
            if how in ('well', 'unreported'):
                self.merge(begun.request)
                if self.cuts.pop(snapshot, None) is not None:
                    # A snapshot that is being deleted holds nothing to rely on.
                    self.doubtful.append(snapshot)
            if how == 'never asked':
                with pytest.raises(exceptions.DriverError):
                    self.driver.delete_snapshot_assisted_complete(snapshot, begun.noted)
            if how != 'well':
                self.driver.delete_snapshot_assisted_abort(snapshot, begun.noted)
                return False
            self.driver.delete_snapshot_assisted_complete(snapshot, begun.noted)
            if self.may_die and self.dice.random() < 0.2:
                self.reboot(True)
        self.cuts.pop(snapshot, None)
        if snapshot in self.doubtful:
            self.doubtful.remove(snapshot)
        return True

    def merge(self, request):
        if request['merge_target_file'] is None:
            self.guest.stream(request['file_to_merge'])
        else:
            self.guest.commit(request['file_to_merge'], request['merge_target_file'])

    def is_whole(self):
        with self.writer.held():
            for _, path in self.guest.chain():
                assert assisted_stage.is_sound(path, may_leak=True), '\n'.join(self.story)
            assert self.log.cut_of(self.active(), self.log.acknowledged) == self.log.acknowledged
        for snapshot, cut in self.cuts.items():
            assert self.log.cut_of(self.layer(snapshot)) == cut
        self.writer.goes_on(5)

    def close(self):
        self.writer.stop()
        self.guest.close()


@pytest.fixture
def play(tmp_path):
    """play(seed) -> Play"""
    base = tmp_path / 'base'
    base.mkdir()
    lockutils.set_defaults(str(tmp_path))
    driver = workbench.started('file', file_path=base, file_format='qcow2', file_export='host:/x')
    made = []

    def make(seed):
        made.append(Play(driver, str(base), seed))
        return made[-1]

    yield make
    for each in made:
        each.close()
    driver.stop()


HOW = ('well', 'well', 'well', 'never asked', 'silent', 'unreported')


@pytest.mark.parametrize('seed', range(60 if LONG else 3))
def test_whatever_happens_everything_can_be_deleted(play, seed):
    it = play(seed)
    with assisted_stage.LayerWatch(lambda: list(it.guests)) as watch:
        for _ in range(15):
            there = [*it.cuts, *it.doubtful]
            if it.dice.random() < 0.1:
                it.reboot(it.dice.random() < 0.5)
            elif len(there) < 2 or (len(there) < 6 and it.dice.random() < 0.5):
                it.create(it.dice.choice((*HOW, 'late')))
            else:
                it.delete(it.dice.choice(there), it.dice.choice(HOW))
            it.is_whole()
        for each in [*it.cuts, *it.doubtful]:
            if not it.delete(each, 'well'):
                raise AssertionError('\n'.join(it.story))
            it.is_whole()
        it.may_die = False
        # What merges that were not reported have left goes with the next snapshot that does.
        it.create('well')
        assert it.delete(*it.cuts, 'well')
        it.is_whole()
        it.driver.report()
        active = os.path.basename(it.guest.path)
        assert os.listdir(it.base + '/layers') == [active], '\n'.join(it.story)
        assert it.active() == it.guest.path
    assert watch.problems == [], '\n'.join(it.story)
