"""The step by which one side's content is given up for the other one's, as somebody has decided."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.db import failovers, operation_members, replication_changes
from cinder_ext.volume.replication import outcome, sides
from cinder_ext.volume.replication.steps import Step


class ResyncMembers(Step):
    """The side that is named is discarded; it receives from the other one, which is used."""

    def do(self):
        work = self.work
        done, failed = work.each_mate(self._resync, work.units(None))
        outcome.fail(work, [(mate, fault) for (_, mate), fault in failed])
        epochs = {mate.id: epoch for (_, mate), (_, epoch) in done}
        for some in outcome.chunks(done):
            operation_members.place(work.context, [
                (mate.volume, location) for (_, mate), (location, _) in some])
        lost = {unit.replication.id for (unit, _), _ in failed}
        for unit in work.units(None):
            self._close(unit, unit.replication.id in lost, epochs)

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
        return driver.unfence(member, unit.source, epoch), epoch

    def _close(self, unit, is_partial, epochs):
        work, row, is_away = self.work, unit.replication, unit.source is not None
        failovers.mend(work.context, work.id, [
            mate.volume.id for mate in unit.mates if mate.id in epochs], is_away)
        if is_partial:
            return
        failovers.mend_replication(work.context, row.id, is_away, {
            'source_side': unit.source, 'destination_side': unit.destination,
            'is_shipping': True, 'error': None, 'error_code': None, 'remedy': None,
            'epoch': max((epochs[mate.id] for mate in unit.mates), default=row.epoch)})
        if (row.conditions or {}).get('split_brain', {}).get('status'):
            replication_changes.set_condition(work.context, row.id, 'split_brain', False)


def resync_members(work):
    return ResyncMembers('resync-members', work)
