"""The steps that move members from one side to the other.

Up to ``begin-promotion`` all can be undone: the source is unfenced and the volumes are what they
were.  From then on the operation goes forward; a forced one has nothing to undo for an array that
is dead.
"""
# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import (
    failovers,
    operation_members,
    replication_failover,
    replication_operations,
)
from cinder_ext.volume.replication import outcome, shipments, sides
from cinder_ext.volume.replication.steps import Step, UndoableStep

LOG = log.getLogger(__name__)


class TakeMembers(UndoableStep):
    """Ask both sides, choose the epochs, and take the volumes: whoever comes second is refused."""

    def do(self):
        work = self.work
        if work.scope.is_backend:
            failovers.begin_backend(work.context, work.operation().home)
        found, failed = work.each_mate(self._examined, work.units(None))
        outcome.drop_all(work, failed)
        there = {mate.id for (_, mate), (is_there, _) in found if is_there}
        self._note_epochs([(unit, mate, epoch) for (unit, mate), (_, epoch) in found], there)
        replication_failover.begin(work.context, work.id)
        replication_failover.take_members(work.context, work.id)
        self._drop_refused()
        operation_members.note(work.context, {
            mate.id: {'step': 'there'} for unit in work.units('taken') for mate in unit.mates
            if mate.id in set(work.facts.get('there', ()))})

    def _examined(self, unit, mate):
        """:returns: (whether it is there already, the largest epoch that is known)"""
        found = sides.of(self.work.driver(unit), unit, mate)
        sides.check(unit, mate, found, self.work.force)
        if found.is_there or found.destination.role == sides.FENCED:
            return True, found.destination.epoch
        return False, max(found.epoch, unit.replication.epoch)

    def _note_epochs(self, found, there):
        """All that are promoted of one replication get the same epoch."""
        work, highest = self.work, {}
        for unit, _, epoch in found:
            highest[unit.replication.id] = max(epoch, highest.get(unit.replication.id, 0))
        operation_members.note(work.context, {
            mate.id: {'epoch': epoch if mate.id in there else highest[unit.replication.id] + 1}
            for unit, mate, epoch in found})
        before = work.facts.get('there', ())
        operation_members.note_facts(work.context, work.id, there=sorted(there.union(before)))

    def _drop_refused(self):
        """What keeps one member out keeps out those that are moved only with it."""
        work = self.work
        units = work.units('taken')
        ids = [mate.volume.id for unit in units for mate in unit.mates]
        refused = {} if work.force else failovers.unsettled(work.context, ids)
        outcome.drop_all(work, [((unit, mate), refused[mate.volume.id]) for unit in units
                                for mate in unit.mates if mate.volume.id in refused])
        failed = {row.replication_id: row for row in replication_operations.members(
            work.context, work.id, 'failed')}
        for unit in work.units('taken'):
            first = failed.get(unit.replication.id)
            # It alone is left of a unit: then it is one, too.
            if first is not None and work.goes_together(unit):
                outcome.put_back(work, unit, [(mate, exceptions.MemberRefused(
                    id=mate.volume.id, reason=('all of its replication or none are moved, and of '
                                               f'volume {first.volume_id}: {first.error}')))
                    for mate in unit.mates])

    def undo(self, fault):
        work = self.work
        for unit in work.units('taken', 'fenced', 'synced', 'there'):
            outcome.put_back(work, unit, [(mate, fault) for mate in unit.mates])
        if work.scope.is_backend:
            failovers.end_backend(work.context, work.operation().home, 'failover-failed')


class FenceMembers(UndoableStep):
    """No write at the source from now on; one that is dead cannot be fenced when it is forced."""

    def do(self):
        work = self.work
        done, failed = work.each_mate(self._fence, work.units('taken', 'there'))
        forward = [each for each in failed if work.force or each[0][1].row.step == 'there']
        for (_, mate), fault in forward:
            LOG.warning('operation %s: the source of volume %s is not fenced: %s', work.id,
                        mate.volume.id, outcome.text(fault))
        fenced = [mate for (_, mate), _ in (*done, *forward) if mate.row.step == 'taken']
        for some in outcome.chunks(fenced):
            operation_members.note(work.context, {mate.id: {'step': 'fenced'} for mate in some})
        outcome.drop_all(work, [each for each in failed if each not in forward])
        operation_members.note_facts(work.context, work.id, unfenced=sorted(
            mate.volume.id for (_, mate), _ in forward))

    def _fence(self, unit, mate):
        epoch = mate.row.epoch if mate.row.step == 'there' else mate.row.epoch - 1
        self.work.driver(unit).fence(mate.member, unit.source, epoch)

    def undo(self, fault):
        for unit in self.work.units('fenced', 'synced'):
            stuck = {mate.id for mate, _ in outcome.unfence(self.work, unit)}
            operation_members.note(self.work.context, {
                mate.id: {'step': 'taken'} for mate in unit.mates if mate.id not in stuck})


class SyncMembers(UndoableStep):
    """Ship what the source was left with: nothing is lost."""

    def do(self):
        work = self.work
        done, failed = shipments.all_of(work, work.units('fenced'), 'last')
        for some in outcome.chunks(done):
            operation_members.note(work.context, {
                mate.id: {'step': 'synced', 'point_id': point.id,
                          'last_consistent_at': moment(point.taken_at)}
                for (_, mate), point in some})
        outcome.drop_all(work, failed)


class ChoosePoints(UndoableStep):
    """The newest point that all members of a replication have in common, else each its newest."""

    def do(self):
        work = self.work
        units = work.units('fenced')
        found, failed = work.each_mate(self._points, units)
        points = {mate.id: of_mate for (_, mate), of_mate in found}
        noted = {}
        for unit in units:
            mates = [mate for mate in unit.mates if mate.id in points]
            wanted = work.operation().point_id or _common(points[mate.id] for mate in mates)
            for mate in mates:
                noted[mate.id] = {'step': 'synced', 'point_id': next(
                    (each.id for each in points[mate.id] if each.id == wanted),
                    points[mate.id][-1].id)}
        operation_members.note(work.context, noted)
        outcome.fail_forward(work, [(mate, fault) for (_, mate), fault in failed])

    def _points(self, unit, mate):
        found = self.work.driver(unit).side(mate.member.volume, unit.destination).points
        if not found:
            raise exceptions.NoConsistentPoint(id=mate.volume.id, side=sides.title(unit.destination))
        return found


def _common(of_members):
    """The id of the newest point that is in all lists; None when there is none."""
    lists = list(of_members)
    if not lists:
        return None
    others = [{point.id for point in points} for points in lists]
    return next((point.id for point in reversed(lists[0])
                 if all(point.id in ids for ids in others)), None)


class BeginPromotion(UndoableStep):
    """From here on the operation goes forward."""

    def do(self):
        operation_members.note_facts(self.work.context, self.work.id, is_promoting=True)


class PromoteMembers(Step):
    """Make the destination primary, and store where the volumes and their snapshots are used."""

    def do(self):
        work = self.work
        for some in outcome.chunks(work.units('synced', 'there')):
            done, failed = work.each_mate(self._promote, some)
            failovers.place(work.context, work.id, [
                (mate.volume.id, *said) for (_, mate), said in done])
            outcome.fail_forward(work, [(mate, fault) for (_, mate), fault in failed])

    def _promote(self, unit, mate):
        """:returns: (location, {snapshot's name_id: location}, columns of the member)"""
        if mate.row.step == 'there':
            return found_at(self.work.driver(unit), mate, unit.destination, mate.row.epoch)
        promoted = self.work.driver(unit).promote(
            mate.member, unit.destination, mate.row.epoch, mate.row.point_id)
        lost = 0.0 if not self.work.force else max(
            0.0, self.work.tools.now() - promoted.point.taken_at)
        gone = sorted(each.id for each in mate.snapshots
                      if (each.name_id or each.id) not in promoted.snapshots)
        return promoted.location, dict(promoted.snapshots), {
            'point_id': promoted.point.id, 'loss_seconds': lost,
            'last_consistent_at': moment(promoted.point.taken_at),
            'remedy': 'Snapshots that are not in the point: ' + ', '.join(gone) if gone else None}


def found_at(driver, mate, side, epoch):
    """Of one that is primary on a side: (location, {snapshot's name_id: location}, {})."""
    location = driver.unfence(mate.member, side, epoch)
    before = mate.volume.provider_location
    return location, {each.name_id or each.id: location for each in mate.snapshots
                      if each.provider_location == before}, {}


class DemoteSource(Step):
    """The old source receives from now on, where it answers; it keeps its content until then.

    After a failback it is shipped to again at once.  What cannot be done now is done by the next
    reprotect, or by the next failover.
    """

    def do(self):
        work = self.work
        _, failed = work.each_mate(self._demote, work.units('promoted'))
        for (_, mate), fault in failed:
            LOG.warning('operation %s: the old side of volume %s is not demoted: %s', work.id,
                        mate.volume.id, outcome.text(fault))

    def _demote(self, unit, mate):
        driver = self.work.driver(unit)
        driver.demote(mate.member, unit.source, mate.row.epoch)
        if unit.destination is None:
            driver.pair([mate.member], None, unit.source, mate.row.epoch)


_TO_DO = ('Detach the volume from the server and attach it again. What the server has open is the '
          'volume of the side that was left, and a restart of the server does not change that.')


class ConnectServers(Step):
    """Give each attachment the way to where its volume is now, and say what is left to be done.

    The compute service is asked nothing: a server keeps the connection that it has stored until the
    volume is attached anew, which takes a volume that nobody is failing over.
    """

    def do(self):
        work = self.work
        units = work.units('promoted')
        used = failovers.attachments(
            work.context, [mate.volume.id for unit in units for mate in unit.mates])
        for unit in units:
            for mate in unit.mates:
                said = [self._connect(unit, mate, each) for each in used.get(mate.volume.id, ())]
                if said:
                    operation_members.note(work.context, {mate.id: {'attachments': said}})

    def _connect(self, unit, mate, attachment):
        said = {'attachment_id': attachment.id, 'server_id': attachment.instance_id,
                'host': attachment.attached_host, 'connection': 'none',
                'is_reattached': False, 'to_do': 'Nothing: no host was connected.'}
        if not attachment.connector:
            return said
        try:
            found = self.work.driver(unit).connect_volume(mate.member.volume, attachment.connector)
        except (exceptions.DriverError, OSError) as fault:
            return {**said, 'connection': 'failed', 'error': outcome.text(fault),
                    'to_do': _TO_DO}
        # What was added to it for its consumer (limits, mode) holds on.
        before = attachment.connection_info or {}
        mode = {'access_mode': before['access_mode']} if 'access_mode' in before else {}
        failovers.keep_connection(self.work.context, attachment.id, {
            **before, **found.data, 'driver_volume_type': found.driver_volume_type, **mode})
        return {**said, 'connection': 'renewed',
                'to_do': _TO_DO}


class CloseMembers(Step):
    """Volumes and replications say where they are; the operation says what was lost."""

    def do(self):
        work = self.work
        mates = [mate for unit in work.units('promoted') for mate in unit.mates]
        for some in outcome.chunks(mates):
            failovers.arrive(work.context, work.id, [mate.volume.id for mate in some], work.is_home)
        self._sum_up()
        outcome.settle_replications(work)
        if work.scope.is_backend:
            self._end_backend()

    def _sum_up(self):
        rows = [row for row in replication_operations.members(self.work.context, self.work.id)
                if row.step == 'promoted']
        seconds = [row.loss_seconds for row in rows if row.loss_seconds is not None]
        points = [row.last_consistent_at for row in rows if row.last_consistent_at is not None]
        operation_members.note_facts(
            self.work.context, self.work.id, loss_seconds=max(seconds, default=None),
            oldest_consistent_at=min(points).isoformat() if points else None)
        if rows:
            failovers.tell_others(self.work.context, rows, self.work.is_home)

    def _end_backend(self):
        work, asked = self.work, self.work.operation()
        rows = replication_operations.members(work.context, work.id)
        moved = [row for row in rows if row.step == 'promoted']
        if not moved and any(row.result == 'failed' for row in rows):
            failovers.end_backend(work.context, asked.home, 'failover-failed')
            return
        target = None if work.verb == 'failback' else asked.target or self._target_of(moved)
        event = 'failed-back' if target is None else 'failed-over'
        work.tools.driver_of(work.context, asked.home).activate(target)
        failovers.end_backend(work.context, asked.home, event, target)

    def _target_of(self, moved):
        found = operation_members.replications(
            self.work.context, {row.replication_id for row in moved})
        return min((each.target for each in found.values()), default=None)


def moment(seconds):
    """A time of a driver as a column has it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(tzinfo=None)


def take_members(work):
    return TakeMembers('take-members', work)


def fence_members(work):
    return FenceMembers('fence-members', work)


def sync_members(work):
    return SyncMembers('sync-members', work)


def choose_points(work):
    return ChoosePoints('choose-points', work)


def begin_promotion(work):
    return BeginPromotion('begin-promotion', work)


def promote_members(work):
    return PromoteMembers('promote-members', work)


def demote_source(work):
    return DemoteSource('demote-source', work)


def connect_servers(work):
    return ConnectServers('connect-servers', work)


def close_members(work):
    return CloseMembers('close-members', work)
