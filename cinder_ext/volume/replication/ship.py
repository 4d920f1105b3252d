"""The shipper: brings points of what a backend replicates to the other side, each at its interval.

A point is due one interval after the newest one was *taken*, so that the time that it is on its
way does not add up; one that took longer is followed by the next at once.
"""
# SPDX-License-Identifier: Apache-2.0

import datetime
import threading

from oslo_log import log
from oslo_utils import uuidutils

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import lease, replication_shipping, replications
from cinder_ext.drivers import values as driver_values
from cinder_ext.states import replication as states
from cinder_ext.volume import values
from cinder_ext.volume.replication import breach, pacer, split
from cinder_ext.volume.replication import units as unit_rules

LOG = log.getLogger(__name__)

PER_VOLUME = 'each volume has points of its own: they are of different moments'
"""Said of a pool or backend while it is well."""


class _Trouble:
    """A unit whose last attempt failed.

    :ivar count: failures in a row
    :ivar retry_at: seconds since the epoch
    :ivar reason: what is said of it
    :ivar names: what it was to hold
    :ivar point_id: of the point that was begun: what of it is there already is not moved again
    """

    def __init__(self, count, retry_at, reason, names, point_id):
        self.count, self.retry_at, self.reason = count, retry_at, reason
        self.names, self.point_id = names, point_id


class Shipper:
    """Ships what one backend replicates.

    :param tools: volume.replication.tools.Tools
    :param holds: holds.Holds of replications
    :param manifests: called with (conf, context, replication, volumes, point_id, target): name_id
        -> what is kept beside a point, bytes
    """

    def __init__(self, tools, holds, manifests=lambda *about: {}):
        self._tools = tools
        self._holds = holds
        self._manifests = manifests
        self._lock = threading.Lock()
        self._troubles = {}

    def tasks(self, row, members):
        """What there is to ship of a replication: a list of pacer.Task.

        :param row: replication_models.Replication, in a state in which it ships
        :param members: its rows of db.replication_shipping.members_of_home
        """
        asked_at, now = unit_rules.seconds(row.ship_asked_at), self._tools.now()
        found = []
        for unit in unit_rules.units(row.id, row.scope, members):
            trouble = self._troubles.get(unit.key)
            due_at = unit_rules.due_at(unit.since, row.interval_seconds, asked_at, now)
            if trouble is not None:
                due_at = min(trouble.retry_at, now + self._longest_pause(row))
            found.append(pacer.Task(unit.key, row.id, due_at, lambda unit=unit: self.ship(unit)))
        return found

    def forget(self, living):
        """Keep in mind only what concerns some replications."""
        with self._lock:
            self._troubles = {key: trouble for key, trouble in self._troubles.items()
                              if key[0] in living}

    def ship(self, unit):
        """Ship a point of a unit, if it is due.

        :param unit: units.Unit
        :returns: when it is due again, seconds since the epoch; None: that has to be looked up
        """
        context = request_context.admin_context()
        replication_id = unit.key[0]
        with self._holds.held(context, replication_id) as fence:
            if fence is None:
                return self._tools.now() + pacer.LOOK_SECONDS
            context = lease.fenced(context, fence)
            try:
                row = replications.get(context, replication_id)
                if row.state not in states.SHIPPING or not row.is_shipping:
                    return None
                return self._attempt(context, row, unit)
            except (exceptions.ReplicationNotFound, exceptions.RecordLost) as fault:
                LOG.info('replication %s is shipped no more from here: %s', replication_id,
                         fault.message)
                return None

    def _attempt(self, context, row, unit):
        parts = replication_shipping.shipment(context, row.id, unit.volume_ids)
        if len(parts) != len(unit.volume_ids):
            return None
        due_at = self._due_at(row, unit, parts)
        if due_at > self._tools.now():
            return due_at
        shipment = Shipment(self._tools, context, row, parts, self._point_id(unit, parts),
                            self._manifests)
        try:
            with self._tools.turn(unit.volume_ids):
                point = shipment.go()
        except exceptions.SplitBrain as fault:
            return self._settle_split(context, shipment.row, unit, shipment, fault)
        except (exceptions.DriverError, OSError) as fault:
            return self._failed(context, shipment.row, unit, shipment, fault)
        return self._arrived(context, shipment.row, unit, shipment, point)

    def _due_at(self, row, unit, parts):
        """As it is in the records now: who planned this may have read them before the last point."""
        trouble = self._troubles.get(unit.key)
        if trouble is not None:
            return trouble.retry_at
        times = [unit_rules.seconds(member.last_consistent_at) for _, _, member in parts]
        since = None if None in times else min(times)
        return unit_rules.due_at(since, row.interval_seconds,
                                 unit_rules.seconds(row.ship_asked_at), self._tools.now())

    def _point_id(self, unit, parts):
        trouble = self._troubles.get(unit.key)
        if trouble is not None and trouble.names == _names(parts):
            return trouble.point_id
        return uuidutils.generate_uuid()

    # What came of it

    def _arrived(self, context, row, unit, shipment, point):
        with self._lock:
            before = self._troubles.pop(unit.key, None)
            others = [trouble.reason for key, trouble in self._troubles.items() if key[0] == row.id]
        told = _well(row, others, self._tools.now() - point.taken_at)
        now = replication_shipping.arrived(
            context, row, point.id, _moment(point.taken_at), unit.volume_ids,
            counts=not unit.is_seed, bytes_shipped=point.bytes_shipped,
            bytes_pending=shipment.pending_bytes(), conditions=told)
        if now is None:
            LOG.info('replication %s: point %s counts no more, it has moved on meanwhile', row.id,
                     point.id)
            return None
        if before is not None or row.state == states.ENABLING:
            LOG.info('replication %s: point %s of %s is whole at %s', row.id, point.id,
                     ', '.join(unit.volume_ids), row.destination_side or 'home')
        breach.measure(context, now, self._tools.now())
        if unit.is_seed:
            # It belongs to its group from now on.
            return None
        return point.taken_at + row.interval_seconds

    def _failed(self, context, row, unit, shipment, fault):
        reason = getattr(fault, 'message', None) or str(fault)
        with self._lock:
            before = self._troubles.get(unit.key)
            count = 1 if before is None else before.count + 1
            pause = min(2 ** min(count - 1, 16), self._longest_pause(row))
            trouble = _Trouble(count, self._tools.now() + pause, reason, _names(shipment.parts),
                               shipment.point_id)
            self._troubles[unit.key] = trouble
        if before is None or before.reason != reason:
            LOG.warning('replication %s: no point of %s could be shipped to %s, it is tried again '
                        'and again: %s', row.id, ', '.join(unit.volume_ids),
                        row.destination_side or 'home', reason)
            told = {'degraded': (True, reason)}
            if row.scope in ('volume', 'group') and not unit.is_seed:
                told['replicating'] = (False, reason)
            replication_shipping.tell(context, row, told)
        return trouble.retry_at

    def _longest_pause(self, row):
        return max(1, min(self._tools.conf.replication.retry_seconds, row.interval_seconds))

    def _settle_split(self, context, row, unit, shipment, fault):
        """Two sides are not of one mind: unless it was a failover that has just come between."""
        row = replications.get(context, row.id)
        if not replication_shipping.is_as(row, shipment.row):
            return None
        try:
            sides = split.look(shipment.driver, row, shipment.members)
            if split.is_lost(sides, row):
                LOG.warning('replication %s: %s has no replica of %s any more, it is made anew',
                            row.id, row.destination_side or 'home', ', '.join(unit.volume_ids))
                with self._tools.turn(unit.volume_ids):
                    point = shipment.go(is_new=True)
                return self._arrived(context, row, unit, shipment, point)
        except exceptions.SplitBrain as again:
            fault, sides = again, split.look(shipment.driver, row, shipment.members)
        except (exceptions.DriverError, OSError) as other:
            return self._failed(context, row, unit, shipment, other)
        if split.record(context, row, unit.volume_ids, sides, fault):
            split.fence(shipment.driver, row, shipment.members, sides)
        return None


class Shipment:
    """One point of some volumes on its way.

    :param row: replication_models.Replication
    :param parts: as db.replication_shipping.shipment
    :ivar members: list of drivers.values.Member
    :ivar driver: the backend's, once it is there
    """

    def __init__(self, tools, context, row, parts, point_id, manifests):
        self.row, self.parts, self.point_id = row, parts, point_id
        self._tools, self._context, self._manifests = tools, context, manifests
        self.driver = None
        self.members = [member(volume, snapshots) for volume, snapshots, _ in parts]
        self._is_new = any(row_of.point_id is None for _, _, row_of in parts)

    def go(self, is_new=False):
        """Ship it: values.Point.

        :param is_new: the other side is to be made ready first, as of a first point
        """
        row = self.row
        self.driver = self._tools.driver_of(self._context, row.home)
        sides = row.source_side, row.destination_side
        if is_new or self._is_new:
            row = self.row = self._raised(self._agreed(row))
            self.driver.pair(self.members, *sides, row.epoch)
        return self.driver.ship(
            self.members, *sides, self.point_id, row.retention, self._manifests(
                self._tools.conf, self._context, row, [volume for volume, _, _ in self.parts],
                self.point_id, self._target()))

    def _agreed(self, row):
        """The record, with an interval that the driver serves.

        :raises NotCapable: it cannot ship so often
        """
        if row.state != states.ENABLING or row.destination_side != row.target:
            return row
        interval = self.driver.replication_interval(row.target, row.interval_seconds)
        if interval == row.interval_seconds:
            return row
        replications.update(self._context, row.id, {'interval_seconds': interval})
        return replications.get(self._context, row.id)

    def _raised(self, row):
        """The record, with an epoch as large as that of each volume that comes into it.

        One that was taken from another cloud has been promoted before.
        """
        epoch = max(self.driver.side(each.volume, row.source_side).epoch for each in self.members)
        if epoch <= row.epoch:
            return row
        replications.update(self._context, row.id, {'epoch': epoch})
        return replications.get(self._context, row.id)

    def _target(self):
        """Where it goes: values.ReplicationTarget; None: home."""
        return next((each for each in self.driver.replication_targets()
                     if each.backend_id == self.row.destination_side), None)

    def pending_bytes(self):
        """What is at the source only; None: it is not known, or is only a part of all there is."""
        if self.row.scope not in ('volume', 'group'):
            return None
        try:
            return self.driver.pending_bytes(self.members, self.row.source_side,
                                             self.row.destination_side)
        except (exceptions.DriverError, OSError) as fault:
            LOG.debug('replication %s: what is pending is not known: %s', self.row.id, fault)
            return None


def member(volume, snapshots):
    """A volume with its snapshots as its backend knows them: drivers.values.Member."""
    return driver_values.Member(
        values.volume_value(volume),
        tuple(values.snapshot_value(each, volume) for each in snapshots))


def _names(parts):
    """What a point holds; another one is begun when it is to hold something else."""
    return tuple((volume.id, volume.size, tuple(each.id for each in snapshots))
                 for volume, snapshots, _ in parts)


def _moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)


def _well(row, troubles, age_seconds):
    """The conditions of a replication of which a point has arrived.

    :param troubles: why others of its units do not arrive
    :param age_seconds: of the point
    """
    is_wide = row.scope not in ('volume', 'group')
    if row.breached_at is not None and age_seconds > row.rpo_seconds:
        troubles = [*troubles, breach.MISSED.format(seconds=row.rpo_seconds)]
    return {'completed': (True, None),
            'replicating': (True, PER_VOLUME if is_wide else None),
            'degraded': (bool(troubles), troubles[0] if troubles else None)}
