"""Takes a point of volumes on one array and brings it to another one."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import os

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.replica import carrying, looking, moving, points, roles, several, taking


class Shipment:
    """One point of some members, from one array to another.

    :param seconds: how long a moment is looked for at which nobody writes
    :param rate: function() -> bytes per second, 0 for no limit
    """

    def __init__(self, members, source, destination, point_id, *, seconds, rate):
        self.members = members
        self.names = [member.volume.name_id for member in members]
        self.source, self.destination = source, destination
        self.point_id = point_id
        self.seconds = seconds
        self.pace = moving.Pace((source, destination), rate)

    def go(self, retention, manifests):
        """See replication.Replication.ship."""
        for array in (self.source, self.destination):
            for name_id in self.names:
                array.check(name_id, is_write=True)
        there = points.read(self.destination, self.point_id)
        if not points.has(self.destination, there, self.names):
            self._check_roles()
            there = self._carried(taking.taken(self), manifests or {})
        self._tidy(retention)
        return there.point

    def _check_roles(self):
        """Both sides are what they must be, and agree.

        :raises SplitBrain: they are not
        """
        for name_id in self.names:
            here, there = (roles.read(array, name_id) for array in (self.source, self.destination))
            reason = None
            if there.role != roles.SECONDARY:
                reason = f'the destination is {there.role or "unknown"}'
            elif here.role is None:
                reason = 'the source is unknown'
            elif here.epoch != there.epoch:
                reason = 'the sides know different epochs'
            if reason:
                raise roles.split(name_id, reason, here, self.source, there.epoch, self.destination)

    def _carried(self, mark, manifests):
        """Bring the point across; its Mark there."""
        def carry(member):
            name_id = member.volume.name_id
            with self.destination.mapped(f'receiving {name_id}'):
                cargo = carrying.Cargo(self.source, self.destination, name_id, self.pace)
                return cargo.bring(member, mark, manifests.get(name_id))

        found = dict(zip(self.names, several.each_of(carry, self.members), strict=True))
        with self.destination.held(self.names):
            self._check_roles()
            numbers = [each.number for name_id in self.names
                       for each in points.of(self.destination, name_id)]
            there = dataclasses.replace(
                mark, members=found, receivers=(), bytes_shipped=self.pace.moved,
                number=max(mark.number, 1 + max(numbers, default=0)))
            if not all(os.path.lexists(points.content(self.destination, name_id, mark.id))
                       for name_id in self.names):
                raise exceptions.ResourceBusy(reason=f'point {mark.id} is being taken anew')
            points.write(self.destination, there)
        return there

    def _tidy(self, retention):
        """Remove what neither side needs any more, and note what both have."""
        def tidy(name_id):
            _tidy_destination(self.destination, name_id, retention)
            self._tidy_source(name_id)

        several.each_of(tidy, self.names)

    def _tidy_source(self, name_id):
        """Of the points taken here those stay that some array has in common, or is to receive."""
        here, receiver = self.source, self.destination.identity
        with here.held([name_id]), here.mapped(f'tidying {name_id}'):
            role, marks = roles.read(here, name_id), points.of(here, name_id)
            mine = [mark for mark in marks if mark.id == self.point_id]
            if not mine or role.role is None:
                return
            roles.note_base(here, name_id, receiver, self.point_id)
            bases = roles.bases(here, name_id)
            others = set(role.peers) - {receiver}
            waiting = others - set(bases)
            gone = [mark for mark in marks
                    if mark.number < mine[0].number and mark.id not in bases.values()
                    and not others.intersection(mark.receivers)
                    and not (waiting and not mark.receivers)]
            points.remove(here, name_id, gone)
            points.sweep(here, name_id)
            if role.role == roles.PRIMARY:
                _remove_snapshots(here, name_id, set())


def _tidy_destination(array, name_id, retention):
    """The newest points stay, with their snapshots; what was kept aside has been made up for."""
    with array.held([name_id]), array.mapped(f'tidying {name_id}'):
        if roles.read(array, name_id).role != roles.SECONDARY:
            return
        marks = points.of(array, name_id)
        points.remove(array, name_id, marks[:-retention])
        _remove_snapshots(array, name_id, {
            snapshot for mark in marks[-retention:] for snapshot in mark.snapshots(name_id)})
        _remove(looking.content(array, name_id))
        # Of a promotion that was killed before its role was written.
        _remove(array.path(values.Volume(name_id, 0)))
        points.sweep(array, name_id)


def _remove_snapshots(array, name_id, kept):
    """Of the snapshots that are kept with the replica only some stay."""
    for name in os.listdir(array.room(name_id)):
        matched = name.removeprefix('snapshot-').removesuffix('.raw')
        if name == f'snapshot-{matched}.raw' and matched not in kept:
            _remove(os.path.join(array.room(name_id), name))


def _remove(path):
    if os.path.lexists(path):
        os.unlink(path)
