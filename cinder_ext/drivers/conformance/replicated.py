"""Volumes that are replicated, for the cases of replication: where they are used, and their end."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import workbench


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
        self.members = [moved(member, promoted)
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


def moved(member, promoted):
    """A member where it was promoted, with the snapshots that are there."""
    snapshots = tuple(
        dataclasses.replace(each, location=promoted.snapshots[each.name_id],
                            volume_location=promoted.location)
        for each in member.snapshots if each.name_id in promoted.snapshots)
    return values.Member(dataclasses.replace(member.volume, location=promoted.location), snapshots)


def new_id():
    return str(uuid.uuid4())


class ReplicatedCases(workbench.Cases):
    """What the cases of replication have in common."""

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
