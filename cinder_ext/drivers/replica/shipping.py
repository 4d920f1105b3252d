"""Takes a point of volumes on one array and brings it to another one."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import os
import time

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import directories, partials
from cinder_ext.drivers.replica import moments, moving, points, roles, turns


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
            self.check_roles()
            mark = self.frozen()
            there = self.moved(mark, manifests)
        self.tidy(retention)
        return there.point

    def check_roles(self):
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

    def frozen(self):
        """The point at the source: the one that was taken already, or a new one."""
        source = self.source
        with source.held(self.names):
            mark = points.read(source, self.point_id)
            receivers = {*(mark.receivers if mark else ()), self.destination.identity}
            if points.has(source, mark, self.names):
                if receivers == set(mark.receivers):
                    return mark
                mark = dataclasses.replace(mark, receivers=tuple(sorted(receivers)))
            else:
                numbers = [each.number for name_id in self.names
                           for each in points.of(source, name_id)]
                mark = points.Mark(
                    self.point_id, time.time(), 1 + max(numbers, default=0), {},
                    receivers=tuple(sorted(receivers)))
                self._forget_there()
                mark = dataclasses.replace(mark, members=self._freeze())
            points.write(source, mark)
        return mark

    def _forget_there(self):
        """What lies at the destination under this name is of another moment."""
        there = self.destination
        with there.mapped(f'preparing for point {self.point_id}'):
            for name_id in self.names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(points.content(there, name_id, self.point_id))
                    directories.sync(there.room(name_id))

    def _freeze(self):
        """Freeze all members; what the point says of them."""
        source, found = self.source, {}
        with contextlib.ExitStack() as opened, source.mapped('taking a point'):
            origins, targets = [], []
            for member in self.members:
                name_id, volume = member.volume.name_id, member.volume
                path = source.path(volume)
                if roles.read(source, name_id).role != roles.PRIMARY:
                    path = turns.content(source, name_id)
                opened.enter_context(source.lock(source.path(volume)))
                try:
                    origin = opened.enter_context(moments.opened(path))
                except FileNotFoundError:
                    source.check()
                    raise exceptions.ResourceMissing(name=f'{source.title}: volume {name_id}')
                new = opened.enter_context(
                    partials.replacing(points.content(source, name_id, self.point_id)))
                origins.append(origin)
                targets.append(new.descriptor)
                found[name_id] = {
                    'size_bytes': os.fstat(origin).st_size,
                    'snapshots': [each.name_id for each in member.snapshots
                                  if self._snapshot_here(name_id, each)]}
            moments.freeze(source, origins, targets, self.seconds, source.volumes_room)
        return found

    def moved(self, mark, manifests):
        """Bring the point across; its Mark there."""
        found = {}
        for member in self.members:
            name_id = member.volume.name_id
            with self.destination.mapped(f'receiving {name_id}'):
                found[name_id] = self._move_member(member, mark, (manifests or {}).get(name_id))
        there = dataclasses.replace(mark, members=found, receivers=(),
                                    bytes_shipped=self.pace.moved)
        with self.destination.held(self.names):
            self.check_roles()
            points.write(self.destination, there)
        return there

    def _move_member(self, member, mark, manifest):
        name_id, there = member.volume.name_id, self.destination
        common = self._common(name_id)
        snapshots = []
        for each in member.snapshots:
            if self._move_snapshot(name_id, each, common):
                snapshots.append(each.name_id)
        source_path = points.content(self.source, name_id, mark.id)
        target_path = points.content(there, name_id, mark.id)
        if not os.path.lexists(target_path):
            self._move(source_path, target_path,
                       [(points.content(self.source, name_id, base),
                         points.content(there, name_id, base)) for base in common])
        if manifest is not None:
            with partials.replacing(points.manifest(there, name_id, mark.id)) as new:
                os.write(new.descriptor, manifest)
        return {'size_bytes': os.stat(target_path).st_size, 'snapshots': snapshots}

    def _common(self, name_id):
        """The ids of the points that both sides have, the newest first."""
        here = {mark.id for mark in points.of(self.source, name_id)}
        return [mark.id for mark in reversed(points.of(self.destination, name_id))
                if mark.id in here]

    def _move_snapshot(self, name_id, snapshot, common):
        """Bring one snapshot across, unless it is there; whether it is there then."""
        target = turns.snapshot(self.destination, name_id, snapshot.name_id)
        if os.path.lexists(target):
            return True
        source = self._snapshot_here(name_id, snapshot)
        if source is None:
            return False
        self._move(source, target, [(points.content(self.source, name_id, base),
                                     points.content(self.destination, name_id, base))
                                    for base in common])
        return True

    def _snapshot_here(self, name_id, snapshot):
        """Where the source has a snapshot; None when it was deleted meanwhile."""
        for path in (self.source.path(snapshot),
                     turns.snapshot(self.source, name_id, snapshot.name_id)):
            if os.path.lexists(path):
                return path
        return None

    def _move(self, source_path, target_path, bases):
        """Make a file at the destination: a copy of one that both sides have, and what differs.

        :param bases: (path at the source, path at the destination), the best one first
        """
        with contextlib.ExitStack() as opened:
            source = opened.enter_context(moments.opened(source_path))
            base, base_there = (opened.enter_context(moments.opened(path)) for path in bases[0]) \
                if bases else (None, None)
            ranges = moving.changed(self.source, base, source)
            new = opened.enter_context(partials.replacing(target_path))
            if base_there is not None:
                self.destination.fill(base_there, new.descriptor)
            os.ftruncate(new.descriptor, os.fstat(source).st_size)
            moving.move(source, new.descriptor, ranges, self.pace)

    def tidy(self, retention):
        """Remove what neither side needs any more, and note what both have."""
        for name_id in self.names:
            self._tidy_destination(name_id, retention)
            self._tidy_source(name_id)

    def _tidy_destination(self, name_id, retention):
        there = self.destination
        with there.held([name_id]), there.mapped(f'tidying {name_id}'):
            if roles.read(there, name_id).role != roles.SECONDARY:
                return
            marks = points.of(there, name_id)
            points.remove(there, name_id, marks[:-retention])
            kept = {f'snapshot-{snapshot}.raw' for mark in marks[-retention:]
                    for snapshot in mark.snapshots(name_id)}
            for name in os.listdir(there.room(name_id)):
                if name == 'content.raw' or (name.startswith('snapshot-') and name not in kept):
                    os.unlink(os.path.join(there.room(name_id), name))

    def _tidy_source(self, name_id):
        """Of the points taken here those stay that some array has in common, or is to receive."""
        here, receiver = self.source, self.destination.identity
        with here.held([name_id]), here.mapped(f'tidying {name_id}'):
            role = roles.read(here, name_id)
            mine = points.read(here, self.point_id)
            if mine is None or role.role is None:
                return
            if role.peers.get(receiver, {}).get('point') != self.point_id:
                role = role.with_peer(self.destination, self.point_id)
                roles.write(here, name_id, role)
            others = {identity for identity, peer in role.peers.items()
                      if identity != receiver and peer['point'] is None}
            points.remove(here, name_id, [
                mark for mark in points.of(here, name_id)
                if mark.number < mine.number and mark.id not in role.bases
                and not others.intersection(mark.receivers)
                and not (others and not mark.receivers)])


def pending_bytes(members, source, destination):
    """See replication.Replication.pending_bytes."""
    total = 0
    for member in members:
        name_id = member.volume.name_id
        there = {mark.id for mark in points.of(destination, name_id)}
        common = [mark.id for mark in points.of(source, name_id) if mark.id in there]
        path = source.path(member.volume)
        if roles.read(source, name_id).role != roles.PRIMARY:
            path = turns.content(source, name_id)
        if common and not source.shares_blocks:
            return None
        with contextlib.ExitStack() as opened, source.mapped(f'comparing {name_id}'):
            newer = opened.enter_context(moments.opened(path))
            base = opened.enter_context(moments.opened(
                points.content(source, name_id, common[-1]))) if common else None
            total += moving.length(moving.changed(source, base, newer))
    return total


def replicas(array):
    """See replication.Replication.replicas."""
    found = {}
    with array.mapped('listing replicas'):
        names = os.listdir(array.volumes_room) if os.path.isdir(array.volumes_room) else []
    for name_id in names:
        role = roles.read(array, name_id)
        if role.role is None:
            continue
        marks = points.of(array, name_id)
        group = list(marks[-1].members) if marks else [name_id]
        found[name_id] = (side_of(array, name_id), _size(array, name_id, marks), group,
                          _latest_manifest(array, name_id, marks))
    return found


def side_of(array, name_id):
    """What an array knows of a volume: values.Side."""
    role = roles.read(array, name_id)
    marks = points.of(array, name_id)
    exists = bool(marks) or any(os.path.lexists(path) for path in _heads(array, name_id))
    return values.Side(role.role, role.epoch, tuple(mark.point for mark in marks), exists)


def _heads(array, name_id):
    return array.path(values.Volume(name_id, 0)), turns.content(array, name_id)


def _size(array, name_id, marks):
    for path in _heads(array, name_id):
        with contextlib.suppress(FileNotFoundError):
            return os.stat(path).st_size
    return marks[-1].members[name_id]['size_bytes'] if marks else 0


def _latest_manifest(array, name_id, marks):
    for mark in reversed(marks):
        with contextlib.suppress(FileNotFoundError):
            with open(points.manifest(array, name_id, mark.id), 'rb') as stream:
                return stream.read()
    return None
