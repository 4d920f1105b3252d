"""Points that an operation itself ships: the last one before a promotion, and those on the way back.

A group has one point of all its members; in a pool or backend each volume has points of its own.
"""
# SPDX-License-Identifier: Apache-2.0

import functools

from cinder_ext import exceptions
from cinder_ext.volume.replication import scopes


def all_of(work, units, name):
    """Ship one point of each member of units.

    Where the members of a group may be moved one by one, those that fail do not keep the others.

    :param name: of the points: the same one is not taken twice
    :returns: (a list of ((Unit, Mate), values.Point), a list of ((Unit, Mate), fault))
    """
    done, failed = _ship_all(work, [
        part for unit in units for part in parts(unit, scopes.ROWS[unit.replication.scope])], name)
    again = [(unit, fault) for unit, fault in failed if len(unit.mates) > 1 and work.is_best_effort]
    if again:
        singly = [unit.of([mate]) for unit, _ in again for mate in unit.mates]
        more, failed_again = _ship_all(work, singly, name)
        done += more
        failed = [each for each in failed if each not in again] + failed_again
    return ([((unit, mate), point) for unit, point in done for mate in unit.mates],
            [((unit, mate), fault) for unit, fault in failed for mate in unit.mates])


def parts(unit, scope):
    """A unit as it is shipped: a list of Unit, each of one point."""
    if scope.is_together:
        return [unit] if unit.mates else []
    return [unit.of([mate]) for mate in unit.mates]


def _ship_all(work, units, name):
    return work.each(functools.partial(ship, work, name=name), units)


def ship(work, unit, name):
    """Ship one point with all members of a unit; values.Point.

    :raises DriverError: it was not shipped
    """
    if not unit.mates:
        raise exceptions.DriverError(reason='a point without members')
    point_id = work.point_id(unit.replication.id, name, *(mate.volume.id for mate in unit.mates))
    with work.tools.turn(mate.volume.id for mate in unit.mates):
        return work.driver(unit).ship(
            unit.members, unit.source, unit.destination, point_id, unit.replication.retention,
            work.manifests(unit, point_id))
