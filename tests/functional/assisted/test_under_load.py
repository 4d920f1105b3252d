"""Snapshots of volumes in use come and go while their guests write all the time."""
# SPDX-License-Identifier: Apache-2.0

import os
import random
import time

import assisted_stage
import pytest
import rest

LONG = bool(os.environ.get('CINDER_EXT_LONG'))
LONGEST_SILENCE_SECONDS = 1


class Story:
    """Snapshots of one volume: which are there, and what each must hold.

    :ivar cuts: snapshot id -> number of writes it holds
    """

    def __init__(self, stage, seat, seed):
        self.stage, self.seat, self.dice = stage, seat, random.Random(seed)
        self.cuts, self.made, self.longest, self.deleted = {}, 0, 0, 0

    def round(self, most):
        """Ask for some things at once, in any order, and prove what has come of them.

        :param most: so many snapshots are made in all
        """
        seat, stage = self.seat, self.stage
        seat.writer.goes_on(self.dice.randrange(20, 200))
        seat.writer.mark()
        stage.compute.speaks_tokens = self.dice.random() < 0.5
        new, old = {}, []
        for _ in range(self.dice.randrange(1, 5)):
            left = [each for each in self.cuts if each not in old]
            if self.made < most and (not left or self.dice.random() < 0.55):
                least = seat.log.acknowledged
                new[stage.request_snapshot(seat)] = least
                self.made += 1
            elif left:
                old.append(self.dice.choice(left))
                stage.api.delete(f'/snapshots/{old[-1]}')
        most_begun = {}
        for each in new:
            assert stage.ends(each) == 'available'
            most_begun[each] = seat.log.started
        for each in old:
            assert stage.ends(each) == assisted_stage.GONE
            del self.cuts[each]
            self.deleted += 1
        # Nobody reads a layer while another is merged: QEMU gives up the merge.
        for each, least in new.items():
            self.cuts[each] = seat.log.cut_of(stage.layer('snapshot', each), least,
                                              most_begun[each])
        self.longest = max(self.longest, seat.writer.longest_silence())
        self.is_whole()

    def is_whole(self):
        """Guest, chain and files; two of the snapshots are looked at anew."""
        self.seat.is_whole()
        self.seat.is_known()
        for each in self.dice.sample(sorted(self.cuts), min(2, len(self.cuts))):
            path = self.stage.layer('snapshot', each)
            assert self.seat.log.cut_of(path) == self.cuts[each]

    def all_are_whole(self):
        for each, cut in self.cuts.items():
            assert self.seat.log.cut_of(self.stage.layer('snapshot', each)) == cut


def _play(stage, seat, seed, count):
    story = Story(stage, seat, seed)
    looked = False
    while story.made < count or story.cuts:
        story.round(count)
        if story.made == count and not looked:
            looked = True
            story.all_are_whole()
    return story


def _is_all(stage, seat):
    """A layer and a link of the volume are all that the backend has."""
    stage.is_left(seat.names)
    stage.no_layer_was_taken()


def _clear(stage, seat):
    """Shut the server down and delete its volume: nothing is left."""
    _is_all(stage, seat)
    seat.leave()
    _is_all(stage, seat)
    stage.api.delete_volume(seat.volume_id)
    stage.is_left(list)
    assert stage.compute.swallowed == []


@pytest.mark.timeout(1800 if LONG else 300)
def test_twenty_snapshots_in_random_order(stage, record_property):
    seat = stage.seat()
    began = time.monotonic()
    story = _play(stage, seat, 20, 200 if LONG else 20)
    record_property('seconds', round(time.monotonic() - began, 1))
    record_property('longest_silence', round(story.longest, 3))
    print(f'{story.made} snapshots made and {story.deleted} deleted, {seat.log.acknowledged} writes, '
          f'{time.monotonic() - began:.1f} s, longest silence {story.longest:.3f} s')
    assert story.made == story.deleted >= 20
    assert story.longest < LONGEST_SILENCE_SECONDS
    _is_all(stage, seat)
    seat.reboot()
    seat.is_whole()
    _clear(stage, seat)


def test_a_machine_takes_part_as_well(stage):
    seat = stage.seat('machine')
    story = _play(stage, seat, 7, 5)
    assert story.longest < LONGEST_SILENCE_SECONDS
    _clear(stage, seat)


def test_what_is_asked_is_what_the_compute_service_knows(stage):
    """Newest, middle and oldest are deleted: the bodies, and what the API shows."""
    asked = stage.compute.asked
    asked.clear()
    seat = stage.seat()
    ids, layers = [], []
    for number in range(4):
        ids.append(stage.request_snapshot(seat, f'snapshot {number}'))
        assert stage.ends(ids[-1]) == 'available'
        layers.append(stage.layer('snapshot', ids[-1]).name)
    active = stage.layer('volume', seat.volume_id).name
    shown = stage.api.snapshot(ids[0])
    assert shown['os-extended-snapshot-attributes:progress'] == '100%'
    assert asked == [(each, {'snapshot_id': each, 'type': 'qcow2', 'new_file': name})
                     for each, name in zip(ids, [*layers[1:], active], strict=True)]
    asked.clear()
    for each in (ids[1], ids[3], ids[0], ids[2]):
        assert stage.delete(each) == assisted_stage.GONE
    common = {'volume_id': seat.volume_id, 'type': 'qcow2'}
    assert asked == [
        (ids[1], {**common, 'file_to_merge': layers[2], 'merge_target_file': layers[1]}),
        (ids[3], {**common, 'file_to_merge': layers[1], 'merge_target_file': None}),
        (ids[0], {**common, 'file_to_merge': layers[1], 'merge_target_file': layers[0]}),
        (ids[2], {**common, 'file_to_merge': None, 'merge_target_file': None})]
    seat.is_whole()
    _clear(stage, seat)


def test_a_snapshot_taken_in_use_is_cloned_and_reverted_to(stage):
    """What a project does with a snapshot, it can do with this one."""
    seat = stage.seat()
    seat.writer.goes_on()
    snapshot_id = stage.request_snapshot(seat)
    assert stage.ends(snapshot_id) == 'available'
    cut = seat.log.cut_of(stage.layer('snapshot', snapshot_id))
    copy = stage.api.create_volume(1, snapshot_id=snapshot_id)
    seat.writer.goes_on()
    assert seat.log.cut_of(stage.layer('volume', copy['id'])) == cut
    stage.api.delete_volume(copy['id'])
    assert seat.log.cut_of(stage.layer('snapshot', snapshot_id)) == cut
    seat.is_whole()
    seat.leave()
    stage.api.post(f'/volumes/{seat.volume_id}/action', {'revert': {'snapshot_id': snapshot_id}})
    rest.wait_for(lambda: stage.api.volume(seat.volume_id)['status'] == 'available', 'the revert')
    assert seat.log.cut_of(stage.layer('volume', seat.volume_id)) == cut
    assert stage.delete(snapshot_id) == assisted_stage.GONE
    _is_all(stage, seat)
    stage.api.delete_volume(seat.volume_id)
