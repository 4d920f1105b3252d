"""Takes a point of volumes where they are used: their content at one moment, in files of its own."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import os
import time

from cinder_ext import exceptions
from cinder_ext.drivers.generic import directories, partials
from cinder_ext.drivers.replica import looking, moments, points, roles, several

_ATTEMPTS = 5


class _Overtaken(Exception):
    """Somebody else took the point, or the volumes changed their roles, while it was taken."""


def taken(shipment):
    """The point of a shipment at its source: the one that was taken already, or a new one.

    The room of a volume is not held while its content is frozen: a fence need not wait for it.

    :param shipment: shipping.Shipment
    :returns: points.Mark
    :raises ResourceBusy: no moment was found at which nobody writes
    :raises ResourceMissing: a volume is not there
    """
    for _attempt in range(_ATTEMPTS):
        mark = points.read(shipment.source, shipment.point_id)
        if points.has(shipment.source, mark, shipment.names):
            return _for_this_receiver(shipment, mark)
        with contextlib.suppress(_Overtaken):
            return _take(shipment)
    raise exceptions.ResourceBusy(reason=f'the roles of {", ".join(shipment.names)} keep changing')


def _for_this_receiver(shipment, mark):
    receivers = tuple(sorted({*mark.receivers, shipment.destination.identity}))
    if receivers != mark.receivers:
        mark = dataclasses.replace(mark, receivers=receivers)
        points.write(shipment.source, mark)
    return mark


def _take(shipment):
    source = shipment.source
    before = [roles.read(source, name_id).role for name_id in shipment.names]
    _forget_there(shipment)
    taken_at = time.time()
    with contextlib.ExitStack() as held:
        with contextlib.ExitStack() as opened, source.mapped('taking a point'):
            stacks = [opened.enter_context(contextlib.ExitStack()) for _name in shipment.names]
            members = _freeze(shipment, stacks)
            held.enter_context(source.held(shipment.names))
            now = [roles.read(source, name_id).role for name_id in shipment.names]
            if now != before or points.has(source, points.read(source, shipment.point_id),
                                           shipment.names):
                raise _Overtaken
            # Each puts its file on the medium and gives it its name.
            several.each_of(contextlib.ExitStack.close, stacks)
        mark = points.Mark(shipment.point_id, taken_at, _next_number(shipment), members,
                           receivers=(shipment.destination.identity,))
        points.write(source, mark)
        _drop_superseded(source, mark)
    return mark


def _drop_superseded(source, mark):
    """What was taken for the same receiver before, and never arrived there, never will."""
    for name_id in mark.members:
        bases = roles.bases(source, name_id).values()
        points.remove(source, name_id, [
            each for each in points.of(source, name_id)
            if each.number < mark.number and each.receivers == mark.receivers
            and each.id not in bases])


def _freeze(shipment, stacks):
    """Freeze all members into files that get their names when their stacks end; what they are."""
    source, found, pairs = shipment.source, {}, []
    for member, opened in zip(shipment.members, stacks, strict=True):
        name_id = member.volume.name_id
        path = looking.head(source, member.volume)
        target = points.content(source, name_id, shipment.point_id)
        if path == looking.content(source, name_id):
            # Nobody writes to it: the point may be the same file.
            opened.enter_context(_linked(path, target))
        else:
            pairs.append((opened.enter_context(moments.opened(path)),
                          opened.enter_context(partials.replacing(target)).descriptor))
        found[name_id] = {'head': looking.state(path), 'snapshots': [
            each.name_id for each in member.snapshots if snapshot_path(source, name_id, each)]}
    if pairs:
        origins, targets = zip(*pairs, strict=True)
        moments.freeze(source, origins, targets, shipment.seconds, source.volumes_room)
    return found


@contextlib.contextmanager
def _linked(path, target):
    """A second name for a file that nobody writes to, when the block ends well."""
    yield
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    os.link(path, target, follow_symlinks=False)
    directories.sync(os.path.dirname(target))


def _next_number(shipment):
    """Larger than that of any point that either side has."""
    return 1 + max((mark.number for array in (shipment.source, shipment.destination)
                    for name_id in shipment.names for mark in points.of(array, name_id)), default=0)


def _forget_there(shipment):
    """What lies at the destination under the point's name is of another moment."""
    there = shipment.destination
    with there.mapped(f'preparing for point {shipment.point_id}'):
        for name_id in shipment.names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(points.content(there, name_id, shipment.point_id))
                directories.sync(there.room(name_id))


def snapshot_path(array, name_id, snapshot):
    """Where an array has a snapshot; None when it has none, or no more."""
    for path in (array.path(snapshot), looking.snapshot(array, name_id, snapshot.name_id)):
        if os.path.lexists(path):
            return path
    return None
