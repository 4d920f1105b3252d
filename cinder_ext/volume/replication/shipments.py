"""Points that an operation itself ships: the last one before a promotion, and those on the way back."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions


class Points(dict):
    """What became of the members of a unit: member id -> values.Point.

    :ivar faults: member id -> what went wrong with it
    """

    def __init__(self):
        super().__init__()
        self.faults = {}


def last(work, unit, name='last'):
    """Ship one point of a unit.

    Where its members may be moved one by one, those that fail do not keep the others.

    :param name: of the point: the same one is not taken twice
    :returns: Points
    :raises DriverError: none was shipped
    """
    found = Points()
    try:
        point = ship(work, unit, name)
    except exceptions.DriverError:
        if len(unit.mates) < 2 or not work.is_best_effort:
            raise
    else:
        found.update({mate.id: point for mate in unit.mates})
        return found
    for mate in unit.mates:
        try:
            found[mate.id] = ship(work, unit.of([mate]), f'{name} {mate.volume.id}')
        except exceptions.DriverError as fault:
            found.faults[mate.id] = fault
    return found


def ship(work, unit, name):
    """Ship one point with all members of a unit; values.Point."""
    work.obey()
    point_id = work.point_id(unit.replication.id, name)
    return work.driver(unit).ship(
        unit.members, unit.source, unit.destination, point_id, unit.replication.retention,
        work.manifests(unit, point_id))
