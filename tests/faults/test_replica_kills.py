"""A process that is killed at every step of a shipment, a failover, a resync: repeated, it is whole.

Before it is repeated, all that counts is right already: each point that a side tells of holds what
its volume held when it was taken, of all members of the group or of none.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import os
import random
import uuid

import mortal_call
import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import media, workbench

MIB = values.MIB
SIZE_BYTES = 8 * MIB
LONG = bool(os.environ.get('CINDER_EXT_LONG'))
STRIDE = 3 if LONG else 43
"""Every so-manieth event kills; the first of them moves with each test."""
TARGET = 'away'


class World:
    """A group of two volumes on two arrays, and what they held at each point.

    :ivar used: the side where they are used; ``other`` receives
    """

    def __init__(self, directory, reflink):
        for name in ('home', TARGET):
            os.makedirs(f'{directory}/{name}')
        self.directory = directory
        self.driver = workbench.started(
            'file', file_path=f'{directory}/home', file_reflink=reflink,
            replication_device=f'backend_id:{TARGET},path:{directory}/{TARGET}')
        self.noise = random.Random(7).randbytes
        self.used, self.other, self.epoch = None, TARGET, 1
        self.held = {}
        self.members = []
        for _each in range(2):
            volume = values.Volume(str(uuid.uuid4()), SIZE_BYTES)
            self.driver.create_volume(volume)
            self.members.append(values.Member(volume))
        self.write()
        self.snapshot()
        self.driver.pair(self.members, None, TARGET, 1)
        self.ship(str(uuid.uuid4()))

    def path(self, resource, side):
        kind = 'snapshot' if isinstance(resource, values.Snapshot) else 'volume'
        return f'{self.directory}/{side or "home"}/{kind}s/{kind}-{resource.name_id}.raw'

    def write(self):
        """Change some of each volume, and make a hole in it."""
        for member in self.members:
            with open(self.path(member.volume, self.used), 'r+b') as stream:
                # The same places each time: a copy has a step for each piece of the file.
                for place_of_part, size_bytes in ((0, 4096), (3 * MIB, 256 * 1024),
                                                  (SIZE_BYTES - 4096, 4096)):
                    stream.seek(place_of_part)
                    stream.write(self.noise(size_bytes))
                stream.seek(3 * MIB + 65536 * (self.noise(1)[0] % 4))
                stream.write(bytes(65536))

    def snapshot(self):
        """A new snapshot of each volume; the oldest of three goes."""
        for number, member in enumerate(self.members):
            volume = member.volume
            made = values.Snapshot(str(uuid.uuid4()), volume.name_id, SIZE_BYTES,
                                   volume_location=volume.location)
            made = dataclasses.replace(made, location=self.driver.create_snapshot(made))
            self.held[made.name_id] = content(self.path(made, self.used))
            snapshots = (*member.snapshots, made)
            for old in snapshots[:-2]:
                self.driver.delete_snapshot(old)
            self.members[number] = values.Member(volume, snapshots[-2:])

    def next_point(self):
        """Write, take snapshots, and note what the point will hold; its id."""
        self.write()
        self.snapshot()
        point_id = str(uuid.uuid4())
        self.note(point_id)
        return point_id

    def ship(self, point_id):
        self.note(point_id)
        self.driver.ship(self.members, self.used, self.other, point_id, 2)

    def note(self, point_id):
        """What the volumes hold now is what a point will hold."""
        self.held[point_id] = [content(self.path(member.volume, self.used))
                               for member in self.members]

    def fail_over(self, point_id):
        """All of a planned failover; may be called again and again."""
        driver = self.driver
        for member in self.members:
            driver.fence(member, self.used, self.epoch + 1)
        driver.ship(self.members, self.used, self.other, point_id, 2)
        for member in self.members:
            driver.promote(member, self.other, self.epoch + 1, point_id)
        for member in self.members:
            driver.demote(member, self.used, self.epoch + 1)
        driver.pair(self.members, self.other, self.used, self.epoch + 1)

    def changed_over(self):
        """The failover has been done."""
        self.used, self.other, self.epoch = self.other, self.used, self.epoch + 1
        self.members = [values.Member(
            dataclasses.replace(member.volume, location=place(self.used)),
            tuple(dataclasses.replace(each, location=place(self.used))
                  for each in member.snapshots)) for member in self.members]

    def points_are_right(self):
        """What any side tells of is whole, for all members."""
        for side in (None, TARGET):
            told = [[point.id for point in self.driver.side(member.volume, side).points]
                    for member in self.members]
            for number, (member, ids) in enumerate(zip(self.members, told, strict=True)):
                for point_id in ids:
                    room = f'{self.directory}/{side or "home"}/replication/volumes'
                    found = content(f'{room}/{member.volume.name_id}/{point_id}.raw')
                    assert found == self.held[point_id][number]
        return told

    def is_whole(self, wanted):
        """The volumes can be used and hold what is wanted, and so do their snapshots."""
        for number, member in enumerate(self.members):
            path = self.driver.connect_volume(member.volume, {}).data['device_path']
            assert path == self.path(member.volume, self.used)
            assert content(path) == wanted[number]
            for snapshot in member.snapshots:
                path = self.driver.connect_snapshot(snapshot, {}).data['device_path']
                assert content(path) == self.held[snapshot.name_id]
            with pytest.raises(exceptions.ResourceBusy):
                self.driver.connect_volume(
                    dataclasses.replace(member.volume, location=place(self.other)), {})

    def nothing_is_left(self):
        """Once the replication has ended there are the volumes with their snapshots, no more."""
        assert self.driver.unpair(self.members, self.used, self.other) == []
        files = sorted(name for side in ('home', TARGET)
                       for _path, _rooms, names in os.walk(f'{self.directory}/{side}')
                       for name in names if name != 'array')
        assert files == sorted(os.path.basename(self.path(each, None)) for member in self.members
                               for each in (member.volume, *member.snapshots))


def place(side):
    return None if side is None else f'side:{side}'


def content(path):
    with open(path, 'rb') as stream:
        return stream.read()


@pytest.fixture(params=['plain', 'shared'])
def world(request, tmp_path):
    """On a plain file system content is copied, on XFS blocks are shared."""
    if request.param == 'plain':
        yield World(tmp_path, 'off')
        return
    with media.mounted_xfs(str(tmp_path), values.GIB) as point:
        yield World(f'{point}/arrays', 'auto')


def killed_at_each(turn, first, record_property):
    """Have a turn killed at one event after the other, until an event is beyond its end.

    :param turn: called with the number of the event; returns whether it was killed
    :param first: event of the first turn
    """
    event = first
    while turn(event):
        event += STRIDE
    kills = (event - first) // STRIDE
    assert kills >= (15 if LONG else 2)
    record_property('kills', kills)


def test_killed_while_it_ships(world, record_property):
    def turn(event):
        point_id = world.next_point()
        killed = mortal_call.is_killed(event, lambda: world.ship(point_id))
        world.points_are_right()
        taken_at = [point.taken_at for point in world.driver.side(
            world.members[0].volume, world.used).points if point.id == point_id]
        found = world.driver.ship(world.members, world.used, world.other, point_id, 2)
        assert [found.taken_at] == (taken_at or [found.taken_at])
        told = world.points_are_right()
        assert [ids[-1] for ids in told] == [point_id, point_id]
        return killed

    killed_at_each(turn, 3, record_property)
    world.nothing_is_left()


def test_killed_while_it_fails_over_and_back(world, record_property):
    def turn(event):
        point_id = world.next_point()
        killed = mortal_call.is_killed(event, lambda: world.fail_over(point_id))
        world.points_are_right()
        world.fail_over(point_id)
        world.changed_over()
        world.is_whole(world.held[point_id])
        world.points_are_right()
        return killed

    killed_at_each(turn, 1, record_property)
    world.nothing_is_left()


def test_killed_while_two_contents_become_one(world, record_property):
    def turn(event):
        before = list(world.members)
        for member in before:
            world.driver.promote(member, world.other, world.epoch + 1)
        world.write()
        world.changed_over()
        world.write()
        point_id = str(uuid.uuid4())
        world.note(point_id)

        def decide():
            world.driver.resync(world.members, world.used, world.other, world.epoch)
            world.driver.ship(world.members, world.used, world.other, point_id, 2)

        killed = mortal_call.is_killed(event, decide)
        decide()
        told = world.points_are_right()
        assert [ids[-1] for ids in told] == [point_id, point_id]
        world.is_whole(world.held[point_id])
        return killed

    killed_at_each(turn, 2, record_property)
    world.nothing_is_left()


def test_killed_while_it_is_taken_back(world, record_property):
    """A fence and its end, and the end of the replication with its beginning."""
    def back_and_forth():
        for member in world.members:
            world.driver.fence(member, None, 1)
        taken_back()

    def taken_back():
        for member in world.members:
            if world.driver.side(member.volume, None).role:
                world.driver.unfence(member, None, 1)
        world.driver.unpair(world.members, None, TARGET)
        world.driver.pair(world.members, None, TARGET, 1)

    def turn(event):
        world.write()
        wanted = [content(world.path(member.volume, None)) for member in world.members]
        killed = mortal_call.is_killed(event, back_and_forth)
        taken_back()
        world.ship(str(uuid.uuid4()))
        world.is_whole(wanted)
        world.points_are_right()
        return killed

    killed_at_each(turn, 1, record_property)
    world.nothing_is_left()
