"""What both arrays say of a member, and what that means for moving it."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions

PRIMARY, SECONDARY, FENCED = 'primary', 'secondary', 'fenced'


@dataclasses.dataclass(frozen=True)
class Found:
    """What the sides say.

    :ivar source: values.Side; None: it does not answer
    :ivar destination: values.Side
    """

    source: object
    destination: object

    @property
    def epoch(self):
        """The largest that either of them knows."""
        return max(self.destination.epoch, self.source.epoch if self.source else 0)

    @property
    def is_there(self):
        """Whether the destination was promoted before: its epoch is the newer one."""
        return self.destination.role == PRIMARY and (
            self.source is None or self.source.role != PRIMARY
            or self.destination.epoch > self.source.epoch)

    @property
    def point(self):
        """The newest of the destination; None when it has none."""
        return self.destination.points[-1] if self.destination.points else None


def of(driver, unit, mate):
    """Ask both sides.

    :raises BackendDown: the destination does not answer
    """
    volume = mate.member.volume
    destination = driver.side(volume, unit.destination)
    try:
        source = driver.side(volume, unit.source)
    except exceptions.BackendDown:
        source = None
    return Found(source, destination)


def check(unit, mate, found, force):
    """Whether a member can be moved.

    :param force: the source may be dead
    :raises NoConsistentPoint, SplitBrain, BackendDown: it cannot
    """
    if found.is_there or (force and found.destination.role == FENCED):
        return
    if found.destination.role in (PRIMARY, FENCED):
        raise split(mate, unit, found)
    if found.source is None and not force:
        raise exceptions.BackendDown(
            reason=f'{title(unit.source)} does not answer: a planned move needs both sides')
    if found.destination.role is None or (found.point is None and force):
        raise exceptions.NoConsistentPoint(id=mate.volume.id, side=title(unit.destination))


def split(mate, unit, found):
    """SplitBrain that names both sides with their epochs."""
    here, there = found.source, found.destination
    return exceptions.SplitBrain(
        name=mate.volume.id,
        reason=(f'{title(unit.source)} is {here.role if here else "silent"}, '
                f'{title(unit.destination)} is {there.role}'),
        local_side=title(unit.source), local_epoch=here.epoch if here else 'unknown',
        remote_side=title(unit.destination), remote_epoch=there.epoch)


def title(side):
    """What a side is called towards people."""
    return 'home' if side is None else side
