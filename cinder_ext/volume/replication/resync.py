"""The step by which one side's content is given up for the other one's, as somebody has decided."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.db import failovers
from cinder_ext.states import replication as states
from cinder_ext.volume.replication import outcome, sides
from cinder_ext.volume.replication.failover import chunks
from cinder_ext.volume.replication.steps import Step


class ResyncMembers(Step):
    """The side that is named is discarded; it receives from the other one, which is used."""

    def do(self):
        work = self.work
        units = work.units(None)
        for some in chunks(units):
            done, failed = work.each_mate(self._resync, some)
            failovers.place(
                work.context, {mate.volume.id: placed for (_, mate), (placed, _) in done},
                {mate.id: {'epoch': epoch} for (_, mate), (_, epoch) in done})
            outcome.fail(work, [(mate, fault) for (_, mate), fault in failed])
            lost = {unit.replication.id for (unit, _), _ in failed}
            self._close(some, lost, {mate.id: epoch for (_, mate), (_, epoch) in done})

    def _resync(self, unit, mate):
        """:returns: (where it is used, the epoch of both sides)"""
        driver, member = self.work.driver(unit), mate.member
        found = sides.of(driver, unit, mate)
        if found.source is None:
            raise exceptions.BackendDown(reason=f'{sides.title(unit.source)} does not answer')
        if found.source.role == sides.FENCED:
            driver.unfence(member, unit.source, found.source.epoch)
        epoch = found.epoch
        driver.resync([member], unit.source, unit.destination, epoch)
        location = driver.unfence(member, unit.source, epoch)
        before = mate.volume.provider_location
        placed = {each.id: location for each in mate.snapshots if each.provider_location == before}
        return (location, placed), epoch

    def _close(self, units, lost, epochs):
        for unit in units:
            row = unit.replication
            mates = [mate for mate in unit.mates if mate.id in epochs]
            failovers.mend_volumes(self.work.context, [mate.volume.id for mate in mates],
                                   is_away=unit.source is not None)
            outcome.succeed(self.work, {mate: {} for mate in mates})
            if row.id not in lost:
                failovers.mend_replication(self.work.context, row.id, unit.source is not None, {
                    'source_side': unit.source, 'destination_side': unit.destination,
                    'is_shipping': row.state != states.PAUSED,
                    'epoch': max(epochs.values(), default=row.epoch),
                    'conditions': outcome.conditions(row, split_brain=None, resyncing=None),
                    'error': None, 'error_code': None, 'remedy': None})


def resync_members(work):
    return ResyncMembers('resync-members', work)
