"""The steps of the verbs that leave the volumes where they are: a dry run, a sync now, a test."""
# SPDX-License-Identifier: Apache-2.0

import functools

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import failovers, operation_members, replication_shipping, trial_volumes
from cinder_ext.drivers import values as drivers
from cinder_ext.volume import values
from cinder_ext.volume.replication import outcome, shipments, sides
from cinder_ext.volume.replication.failover import moment
from cinder_ext.volume.replication.steps import Step, UndoableStep

LOG = log.getLogger(__name__)


class ExamineMembers(Step):
    """Say of each member whether it could be moved, and what would be lost.  Changes nothing."""

    def do(self):
        work = self.work
        units = work.units(None)
        refused = failovers.refusals(
            work.context, [mate.volume.id for unit in units for mate in unit.mates],
            work.operation().allow_attached, work.force)
        done, failed = work.each_mate(functools.partial(self._examine, refused), units)
        outcome.fail(work, [(mate, fault) for (_, mate), fault in failed])
        outcome.succeed(work, [(mate, columns) for (_, mate), columns in done])
        seconds = [columns['loss_seconds'] for _, columns in done if columns['loss_seconds']]
        operation_members.note_facts(work.context, work.id, loss_seconds=max(seconds, default=0.0))

    def _examine(self, refused, unit, mate):
        if mate.volume.id in refused:
            raise refused[mate.volume.id]
        found = sides.of(self.work.driver(unit), unit, mate)
        if self.work.verb == 'failover':
            sides.check(unit, mate, found, self.work.force)
        elif found.source is None:
            raise exceptions.BackendDown(reason=f'{sides.title(unit.source)} does not answer')
        elif found.destination.role == sides.PRIMARY and not found.is_there:
            raise sides.split(mate, unit, found)
        if found.point is None:
            return {'loss_seconds': 0.0}
        age = self.work.tools.now() - found.point.taken_at
        return {'point_id': found.point.id, 'last_consistent_at': moment(found.point.taken_at),
                'loss_seconds': age if self.work.force else 0.0}


class ShipMembers(Step):
    """Ship a point now."""

    def do(self):
        work = self.work
        done, failed = shipments.all_of(work, work.units(None), 'now')
        outcome.fail(work, [(mate, fault) for (_, mate), fault in failed])
        by_point = {}
        for (unit, mate), point in done:
            by_point.setdefault(point.id, []).append((unit, mate, point))
        for arrived in by_point.values():
            unit, _, point = arrived[0]
            replication_shipping.arrived(
                work.context, unit.replication, point.id, moment(point.taken_at),
                [mate.volume.id for _, mate, _ in arrived], bytes_shipped=point.bytes_shipped)
        outcome.succeed(work, [(mate, {'point_id': point.id,
                                       'last_consistent_at': moment(point.taken_at)})
                               for (_, mate), point in done])


class CloneMembers(UndoableStep):
    """A temporary volume of a point of each member, at the side that receives; replication goes on."""

    def do(self):
        work = self.work
        operation_members.note(work.context, {
            mate.id: {'clone_volume_id': work.point_id('clone', mate.volume.id)}
            for unit in work.units(None) for mate in unit.mates if not mate.row.clone_volume_id})
        done, failed = work.each_mate(self._clone, work.units(None))
        outcome.fail(work, [(mate, fault) for (_, mate), fault in failed])
        for (_, mate), (location, _) in done:
            trial_volumes.create(work.context, work.operation(), mate.row.clone_volume_id,
                                 mate.volume, location)
        outcome.succeed(work, [(mate, columns) for (_, mate), (_, columns) in done])

    def _clone(self, unit, mate):
        driver = self.work.driver(unit)
        found = driver.side(mate.member.volume, unit.destination).points
        if not found:
            raise exceptions.NoConsistentPoint(id=mate.volume.id, side=sides.title(unit.destination))
        wanted = self.work.operation().point_id
        point = next((each for each in found if each.id == wanted), None if wanted else found[-1])
        if point is None:
            raise exceptions.ResourceMissing(name=f'point {wanted} of {mate.volume.id}')
        location = driver.clone_point(self._volume(mate), mate.member, unit.destination, point.id)
        return location, {'point_id': point.id, 'last_consistent_at': moment(point.taken_at),
                          'location': location}

    @staticmethod
    def _volume(mate, location=None):
        return drivers.Volume(mate.row.clone_volume_id,
                              values.volume_value(mate.volume).size_bytes, location)

    def undo(self, fault):
        for unit in self.work.units(None):
            outcome.fail(self.work, [(mate, fault) for mate in unit.mates])


def examine_members(work):
    return ExamineMembers('examine-members', work)


def ship_members(work):
    return ShipMembers('ship-members', work)


def clone_members(work):
    return CloneMembers('clone-members', work)
