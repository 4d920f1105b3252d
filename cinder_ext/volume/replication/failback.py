"""The steps of going back that come before the volumes are taken, while they are still in use.

Home is made a secondary of the side that is used, and receives what it lacks.  It gives up only
what is known to be elsewhere: a home that is primary, with writes of its own, is a split brain, and
only a resync that names it decides that.
"""
# SPDX-License-Identifier: Apache-2.0

import functools

from cinder_ext import exceptions
from cinder_ext.db import operation_members, replication_changes, replications
from cinder_ext.volume.replication import outcome, shipments, sides
from cinder_ext.volume.replication.steps import Step, UndoableStep


def turn(work, unit, mate):
    """Make the side that is to receive a secondary of the one that is used.

    :returns: whether it has to receive anything; not where it is primary, rightly
    :raises SplitBrain: both were written to
    :raises BackendDown: either does not answer
    """
    driver, member = work.driver(unit), mate.member
    found = sides.of(driver, unit, mate)
    if found.source is None:
        raise exceptions.BackendDown(reason=f'{sides.title(unit.source)} does not answer')
    if found.is_there:
        return False
    epoch = found.source.epoch
    if found.source.role != sides.PRIMARY:
        return _stayed(driver, unit, mate, found)
    if found.destination.role == sides.PRIMARY and driver.pending_bytes(
            [member], unit.destination, unit.source) != 0:
        raise sides.split(mate, unit, found)
    if found.destination.role is not None:
        driver.demote(member, unit.destination, epoch)
    driver.pair([member], unit.source, unit.destination, epoch)
    return True


def _stayed(driver, unit, mate, found):
    """One that was never moved, though its source was fenced for it."""
    if found.destination.role == sides.FENCED and found.source.role == sides.SECONDARY:
        driver.unfence(mate.member, unit.destination, found.destination.epoch)
        return False
    raise exceptions.MemberRefused(id=mate.volume.id, reason=(
        f'{sides.title(unit.source)} is {found.source.role or "unknown"}, and '
        f'{sides.title(unit.destination)} is {found.destination.role or "unknown"}'))


class PrepareHome(UndoableStep):
    """Home becomes a secondary of the side that is used."""

    def do(self):
        work = self.work
        done, failed = work.each_mate(functools.partial(turn, work), work.units(None))
        note_splits(work, failed)
        outcome.drop_all(work, failed)
        operation_members.note_facts(work.context, work.id, stayed=sorted(
            mate.id for (_, mate), receives in done if not receives))


class ShipHome(UndoableStep):
    """Home receives what it lacks, and a second time what was written meanwhile."""

    def do(self):
        work = self.work
        for name in ('back', 'back again'):
            stayed = set(work.facts.get('stayed', ()))
            _, failed = shipments.all_of(work, [
                unit.of(mate for mate in unit.mates if mate.id not in stayed)
                for unit in work.units(None)], name)
            outcome.drop_all(work, failed)


class TurnMembers(Step):
    """The side that is not used receives from the one that is: protected again."""

    def do(self):
        work = self.work
        done, failed = work.each_mate(functools.partial(turn, work), work.units(None))
        note_splits(work, failed)
        outcome.fail(work, [(mate, fault) for (_, mate), fault in failed])
        failed_units = {unit.replication.id for (unit, _), _ in failed}
        for unit in {unit.replication.id: unit for (unit, _), _ in done}.values():
            if unit.replication.id not in failed_units:
                replications.update(work.context, unit.replication.id, {
                    'source_side': unit.source, 'destination_side': unit.destination,
                    'is_shipping': True})
        outcome.succeed(work, [(mate, {}) for (_, mate), _ in done])


def note_splits(work, failed):
    """A split brain is shown by the replication's conditions, with both epochs."""
    for (unit, _), fault in failed:
        if isinstance(fault, exceptions.SplitBrain):
            replication_changes.set_condition(
                work.context, unit.replication.id, 'split_brain', True, fault.message,
                {name: fault.facts[name] for name in (
                    'local_side', 'local_epoch', 'remote_side', 'remote_epoch')})


def prepare_home(work):
    return PrepareHome('prepare-home', work)


def ship_home(work):
    return ShipHome('ship-home', work)


def turn_members(work):
    return TurnMembers('turn-members', work)
