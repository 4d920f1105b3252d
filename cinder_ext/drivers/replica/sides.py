"""The sides of the file driver, and its replication: part of the driver.

Every call finds its directory by the location of what it is about (targets.location).
"""
# SPDX-License-Identifier: Apache-2.0

import os

from cinder_ext import exceptions
from cinder_ext.drivers import replication
from cinder_ext.drivers.generic import partials
from cinder_ext.drivers.replica import (
    arrays,
    hooks,
    looking,
    moments,
    pairs,
    points,
    roles,
    shipping,
    targets,
    turns,
)


class Sides(replication.Replication):
    """Knows the arrays of a backend; needs ``settings`` only, so that home may be gone."""

    def __init__(self, settings):
        super().__init__(settings)
        options = settings.options
        self._entries = targets.parse(
            settings.name, options.replication_device or [], options.file_path)
        may_share = options.file_reflink == 'auto'
        self._arrays = {None: arrays.Array(settings.name, None, options.file_path or '', may_share,
                                           options.file_control_file)}
        for name, entry in self._entries.items():
            self._arrays[name] = arrays.Array(
                settings.name, name, entry.path, may_share, entry.control_file)
        self._active = settings.active_backend_id

    def _array(self, side):
        """The array of a side.

        :raises BackendDown: no target of this name is configured, any more
        """
        try:
            return self._arrays[side]
        except KeyError:
            raise exceptions.BackendDown(
                reason=f'backend {self.settings.name} has no replication_device {side}')

    @property
    def _active_array(self):
        return self._array(self._active)

    @property
    def _base(self):
        """The backend's own directory."""
        return self._arrays[None].base

    def _array_for(self, resource):
        """The array on which something new is made."""
        if resource.location is not None:
            return self._array_of(resource)
        hooks.check(self._active_array.control_file, self._active_array.title)
        return self._active_array

    def _array_of(self, resource):
        """The array on which a volume or snapshot is used, which answers."""
        array = self._array(targets.side_of(resource.location))
        hooks.check(array.control_file, array.title)
        return array

    def _path(self, resource):
        """The file of a volume or snapshot on its side."""
        return self._array_of(resource).path(resource)

    def _replication_capabilities(self):
        """What a report says of the targets; nothing where there are none."""
        names = list(self._entries)
        return {'replication_enabled': True, 'replication_type': ['async'],
                'replication_count': len(names), 'replication_targets': names} if names else {}

    def replication_targets(self):
        return [entry.target for entry in self._entries.values()]

    def activate(self, backend_id):
        self._array(backend_id)
        self._active = backend_id

    def replication_interval(self, target, interval_seconds):
        self._array(target)
        least = self._entries[target].min_interval_seconds if target is not None else 1
        if interval_seconds is None:
            return max(least, 60)
        if interval_seconds < least:
            raise exceptions.NotCapable(
                backend=self.settings.name,
                capability=f'ship a point to {target} every {interval_seconds} s; '
                           f'at most every {least} s')
        return interval_seconds

    def side(self, volume, side):
        array = self._array(side)
        array.check(volume.name_id)
        return looking.side(array, volume.name_id)

    def replicas(self, side):
        array = self._array(side)
        array.check()
        return looking.replicas(array)

    def pair(self, members, source, destination, epoch):
        pairs.pair(members, *self._both(source, destination), epoch)

    def ship(self, members, source, destination, point_id, retention, manifests=None):
        here, there = self._both(source, destination)
        shipment = shipping.Shipment(
            members, here, there, point_id, rate=lambda: self._rate(here, there),
            seconds=self._patience_seconds)
        return shipment.go(retention, manifests)

    @property
    def _patience_seconds(self):
        """How long a moment is looked for at which nobody writes."""
        return self.settings.options.file_group_snapshot_seconds

    def _rate(self, *both):
        """Bytes per second that the slowest of all throttles lets through; 0: no throttle."""
        rates = [self.settings.options.file_copy_bytes_per_second,
                 *(hooks.bytes_per_second(array.control_file) for array in both)]
        return min((rate for rate in rates if rate), default=0)

    def pending_bytes(self, members, source, destination):
        here, there = self._both(source, destination)
        here.check()
        there.check()
        return looking.pending_bytes(members, here, there)

    def unpair(self, members, source, destination):
        return pairs.unpair(members, *self._both(source, destination))

    def fence(self, member, side, epoch):
        turns.fence(self._array(side), member, epoch, self._patience_seconds)

    def unfence(self, member, side, epoch):
        return turns.unfence(self._array(side), member, epoch)

    def promote(self, member, side, epoch, point_id=None):
        return turns.promote(self._array(side), member, epoch, point_id)

    def demote(self, member, side, epoch):
        turns.demote(self._array(side), member, epoch, self._patience_seconds)

    def resync(self, members, source, discard, epoch):
        pairs.resync(members, *self._both(source, discard), epoch)

    def clone_point(self, volume, member, side, point_id):
        array, name_id = self._array(side), member.volume.name_id
        array.check(name_id, is_write=True)
        path = array.path(volume)
        with array.lock(path), array.mapped(f'cloning a point of {name_id}'):
            if os.path.lexists(path):
                return array.location
            if not points.has(array, points.read(array, point_id), [name_id]):
                raise exceptions.ResourceMissing(
                    name=f'{array.title}: point {point_id} of {name_id}')

            def fill(target):
                with moments.opened(points.content(array, name_id, point_id)) as origin:
                    array.fill(origin, target)
                if os.fstat(target).st_size < volume.size_bytes:
                    os.ftruncate(target, volume.size_bytes)

            partials.create(path, fill)
        return array.location

    def _both(self, first, second):
        if first == second:
            raise exceptions.DriverError(reason='source and destination are the same side')
        return self._array(first), self._array(second)

    def _refuse_unless_primary(self, array, volume):
        """Nobody gets a volume that is fenced, or that receives.

        :raises ResourceBusy: naming its role
        """
        role = roles.read(array, volume.name_id).role
        if role not in (None, roles.PRIMARY):
            raise exceptions.ResourceBusy(
                reason=f'{array.title}: volume {volume.name_id} is {role} there')
