"""The steps that move members from one side to the other.

Up to ``begin-promotion`` all can be undone: the source is unfenced and the volumes are what they
were.  From then on the operation goes forward; a forced one has nothing to undo for an array that
is dead.
"""
# SPDX-License-Identifier: Apache-2.0

import datetime
import functools

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import failovers, operation_members
from cinder_ext.volume.replication import outcome, shipments, sides
from cinder_ext.volume.replication.steps import Step, UndoableStep

LOG = log.getLogger(__name__)

_CHUNK = 50
"""Members that are stored in one transaction."""


def chunks(items, count=_CHUNK):
    items = list(items)
    return [items[start:start + count] for start in range(0, len(items), count)]


class TakeMembers(UndoableStep):
    """Ask both sides, choose the epochs, and take the volumes: whoever comes second is refused."""

    def do(self):
        work = self.work
        if work.scope.is_backend:
            failovers.begin_backend(work.context, work.operation().home)
        found, failed = work.each_mate(self._examined, work.units(None))
        outcome.drop_all(work, failed)
        steps = {mate.id: columns for (_, mate), columns in found}
        for some in chunks(work.units(None)):
            self._take(some, steps)

    def _examined(self, unit, mate):
        found = sides.of(self.work.driver(unit), unit, mate)
        sides.check(unit, mate, found, self.work.force)
        if found.is_there:
            return {'step': 'there', 'epoch': found.destination.epoch}
        return {'step': 'taken', 'epoch': max(found.epoch, unit.replication.epoch) + 1}

    def _take(self, units, steps):
        work = self.work
        refused = failovers.take(
            work.context, work.operation(),
            [(unit.replication, [mate.row for mate in unit.mates], work.is_strict(unit))
             for unit in units], steps)
        outcome.fail(work, [(mate, refused[mate.volume.id]) for unit in units
                            for mate in unit.mates if mate.volume.id in refused])

    def undo(self, fault):
        for unit in self.work.units('taken', 'fenced', 'synced', 'there'):
            outcome.put_back(self.work, unit)
            outcome.fail(self.work, [(mate, fault) for mate in unit.mates])
        if self.work.scope.is_backend:
            failovers.end_backend(self.work.context, self.work.operation().home, 'failover-failed')


class FenceMembers(UndoableStep):
    """No write at the source from now on; one that is dead cannot be fenced when it is forced."""

    def do(self):
        work = self.work
        done, failed = work.each_mate(self._fence, work.units('taken', 'there'))
        forward = [each for each in failed if work.force or each[0][1].row.step == 'there']
        for (_, mate), fault in forward:
            LOG.warning('operation %s: the source of volume %s is not fenced: %s', work.id,
                        mate.volume.id, outcome.explained(fault)['error'])
        fenced = [mate for (_, mate), _ in (*done, *forward) if mate.row.step == 'taken']
        for some in chunks(fenced):
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
        units = work.units('fenced')
        done, failed = work.each(functools.partial(shipments.last, work), units)
        noted = {}
        for unit, points in done:
            for mate in unit.mates:
                if mate.id in points:
                    noted[mate.id] = {'step': 'synced', 'point_id': points[mate.id].id,
                                      'last_consistent_at': moment(points[mate.id].taken_at)}
        for some in chunks(noted.items()):
            operation_members.note(work.context, dict(some))
        for unit, fault in failed:
            outcome.drop(work, unit, [(mate, fault) for mate in unit.mates])
        for unit, points in done:
            outcome.drop(work, unit, [(mate, points.faults[mate.id]) for mate in unit.mates
                                      if mate.id in points.faults])


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
        fail_forward(work, [(mate, fault) for (_, mate), fault in failed])

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
        for some in chunks(work.units('synced', 'there')):
            done, failed = work.each_mate(self._promote, some)
            failovers.place(
                work.context, {mate.volume.id: placed for (_, mate), (placed, _) in done},
                {mate.id: columns for (_, mate), (_, columns) in done})
            fail_forward(work, [(mate, fault) for (_, mate), fault in failed])

    def _promote(self, unit, mate):
        if mate.row.step == 'there':
            return self._found_there(unit, mate)
        promoted = self.work.driver(unit).promote(
            mate.member, unit.destination, mate.row.epoch, mate.row.point_id)
        names = {each.name_id or each.id: each.id for each in mate.snapshots}
        placed = {names[name]: place for name, place in promoted.snapshots.items() if name in names}
        lost = 0.0 if not self.work.force else max(
            0.0, self.work.tools.now() - promoted.point.taken_at)
        gone = sorted(set(names.values()) - set(placed))
        return (promoted.location, placed), {
            'step': 'promoted', 'point_id': promoted.point.id, 'location': promoted.location,
            'last_consistent_at': moment(promoted.point.taken_at), 'loss_seconds': lost,
            'remedy': 'Snapshots that were not in the point: ' + ', '.join(gone) if gone else None}

    def _found_there(self, unit, mate):
        """One that an operation before this one promoted: it is only stored where it is."""
        location = self.work.driver(unit).unfence(mate.member, unit.destination, mate.row.epoch)
        before = mate.volume.provider_location
        placed = {each.id: location for each in mate.snapshots if each.provider_location == before}
        return (location, placed), {'step': 'promoted', 'location': location}


def fail_forward(work, failed):
    """Members that were taken and cannot be undone: they may be failed over again."""
    if failed:
        outcome.fail(work, failed)
        failovers.give_back(work.context, [mate.row for mate, _ in failed],
                            {mate.id for mate, _ in failed})


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
                        mate.volume.id, outcome.explained(fault)['error'])

    def _demote(self, unit, mate):
        driver = self.work.driver(unit)
        driver.demote(mate.member, unit.source, mate.row.epoch)
        if unit.destination is None:
            driver.pair([mate.member], None, unit.source, mate.row.epoch)


class ConnectServers(Step):
    """Give each attachment the way to where its volume is now, and say what is left to be done."""

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
                'to_do': 'Nothing: no host was connected.'}
        if not attachment.connector:
            return said
        try:
            found = self.work.driver(unit).connect_volume(mate.member.volume, attachment.connector)
        except (exceptions.DriverError, OSError) as fault:
            return {**said, 'connection': 'failed', 'error': outcome.explained(fault)['error'],
                    'to_do': 'Detach the volume from the server, and attach it again.'}
        # What was added to it for its consumer (limits, mode) holds on.
        before = attachment.connection_info or {}
        mode = {'access_mode': before['access_mode']} if 'access_mode' in before else {}
        failovers.keep_connection(self.work.context, attachment.id, {
            **before, **found.data, 'driver_volume_type': found.driver_volume_type, **mode})
        return {**said, 'connection': 'renewed',
                'to_do': 'Reboot the server hard, or detach the volume and attach it again: what '
                         'the server has open is not used any more.'}


class CloseMembers(Step):
    """Volumes and replications say where they are; the operation says what was lost."""

    def do(self):
        work = self.work
        mates = [mate for unit in work.units('promoted') for mate in unit.mates]
        for some in chunks(mates):
            failovers.arrive(work.context, [mate.row for mate in some], outcome.event_of(work))
        fail_forward(work, [
            (mate, exceptions.MemberRefused(id=mate.volume.id, reason='it was not reached'))
            for unit in work.units('taken', 'fenced') for mate in unit.mates])
        outcome.end_replications(work)
        self._sum_up()
        if work.scope.is_backend:
            self._end_backend()

    def _sum_up(self):
        rows = [row for row in operation_members.of_operation(self.work.context, self.work.id)
                if row.step == 'promoted']
        seconds = [row.loss_seconds for row in rows if row.loss_seconds is not None]
        points = [row.last_consistent_at for row in rows if row.last_consistent_at is not None]
        operation_members.note_facts(
            self.work.context, self.work.id, loss_seconds=max(seconds, default=None),
            oldest_consistent_at=min(points).isoformat() if points else None)
        failovers.stop_shipping(self.work.context, [row.volume_id for row in rows],
                                [row.replication_id for row in rows])

    def _end_backend(self):
        work, asked = self.work, self.work.operation()
        rows = operation_members.of_operation(work.context, work.id)
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
