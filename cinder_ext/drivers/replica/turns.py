"""A volume changes its role on one array: fenced, freed again, promoted, demoted.

The volume's file is in ``volumes/`` only while the role is primary.  A fence writes the role first
and then takes the file away; a promotion puts the file there and writes the role last: until it
stands, nobody is given the file.  A demotion is a fence first.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import os

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import directories, partials
from cinder_ext.drivers.replica import looking, moments, points, roles


def fence(array, member, epoch, seconds):
    """See replication.Replication.fence.

    :param seconds: how long a moment is looked for at which nobody writes, where it is needed
    """
    with _turning(array, member, 'fencing') as role:
        _refuse_larger(array, member, role, epoch)
        if role.role != roles.SECONDARY:
            _fence(array, member.volume, role, seconds)


def unfence(array, member, epoch):
    """See replication.Replication.unfence."""
    name_id = member.volume.name_id
    with _turning(array, member, 'freeing') as role:
        _refuse_larger(array, member, role, epoch)
        if role.role == roles.SECONDARY:
            raise roles.split(name_id, f'it is {role.role} there', role, array, epoch)
        if role.role == roles.FENCED:
            put_back(array, member.volume)
            roles.write(array, name_id, dataclasses.replace(role, role=roles.PRIMARY))
        _drop(looking.content(array, name_id))
    return array.location


def promote(array, member, epoch, point_id=None):
    """See replication.Replication.promote."""
    name_id = member.volume.name_id
    with _turning(array, member, 'promoting') as role:
        marks = points.of(array, name_id)
        mark = _stands_at(role, name_id, epoch, point_id)
        if mark is None:
            _refuse_promotion(array, name_id, role, epoch)
            mark = _chosen(array, name_id, marks, point_id)
            _make_head(array, member.volume, mark)
            _bring_snapshots(array, member, mark)
            roles.write(array, name_id, roles.Role(
                roles.PRIMARY, epoch, stands_at=dataclasses.asdict(_alone(mark, name_id))))
        # What was taken here since, for others, has receivers.
        points.remove(array, name_id, [each for each in marks if each.number > mark.number
                                       and not each.receivers])
        _drop(looking.content(array, name_id))
        points.sweep(array, name_id)
        snapshots = {each.name_id: array.location for each in member.snapshots
                     if each.name_id in mark.snapshots(name_id)
                     and os.path.lexists(array.path(each))}
    return values.Promoted(mark.point, array.location, snapshots)


def demote(array, member, epoch, seconds):
    """See replication.Replication.demote."""
    with _turning(array, member, 'demoting') as role:
        _refuse_larger(array, member, role, epoch)
        if role.role != roles.SECONDARY:
            _fence(array, member.volume, role, seconds)
        shared = set(roles.bases(array, member.volume.name_id).values())
        _become_secondary(array, member, role, epoch,
                          lambda mark: not role.peers or mark.id in shared)


def discard(array, member, role, epoch, common):
    """The content goes; of the points those stay that the other side has.

    :param common: set of point ids.  The caller holds the volume's room.
    """
    name_id, path = member.volume.name_id, array.path(member.volume)
    with array.lock(path), array.mapped(f'discarding {name_id}'):
        if role.role == roles.PRIMARY:
            roles.write(array, name_id, dataclasses.replace(role, role=roles.FENCED))
        with contextlib.suppress(FileNotFoundError):
            # Whoever has it open goes on to write to what nobody will read.
            os.rename(path, looking.content(array, name_id))
            _sync(os.path.dirname(path), array.room(name_id))
        _become_secondary(array, member, role, epoch, lambda mark: mark.id in common)


def put_back(array, volume):
    """The volume's file is there again; what was kept aside may be the file of a point too."""
    kept, path = looking.content(array, volume.name_id), array.path(volume)
    if not os.path.lexists(path) and os.path.lexists(kept):
        with moments.opened(kept) as origin, partials.replacing(path) as new:
            array.fill(origin, new.descriptor)


@contextlib.contextmanager
def _turning(array, member, what):
    """Hold a volume's room and its file; its Role.

    :raises ResourceMissing: it has none
    """
    name_id = member.volume.name_id
    array.check(name_id, is_write=True)
    with (array.held([name_id]), array.lock(array.path(member.volume)),
          array.mapped(f'{what} {name_id}')):
        role = roles.read(array, name_id)
        if role.role is None:
            raise exceptions.ResourceMissing(name=f'{array.title}: a replica of {name_id}')
        yield role


def _refuse_larger(array, member, role, epoch):
    if role.epoch > epoch:
        raise roles.split(member.volume.name_id, 'the side knows a larger epoch', role, array, epoch)


def _refuse_promotion(array, name_id, role, epoch):
    if role.role != roles.SECONDARY:
        raise roles.split(name_id, f'it is {role.role} there already', role, array, epoch)
    if role.epoch >= epoch:
        raise roles.split(name_id, 'the side knows an epoch as large', role, array, epoch)


def _fence(array, volume, role, seconds):
    """The role is fenced, and the volume's file another one, which nobody has open."""
    if role.role != roles.FENCED:
        roles.write(array, volume.name_id, dataclasses.replace(role, role=roles.FENCED))
    path = array.path(volume)
    if os.path.lexists(path):
        kept = looking.content(array, volume.name_id)
        with moments.opened(path) as origin, partials.replacing(kept) as new:
            moments.freeze(array, [origin], [new.descriptor], seconds, array.room(volume.name_id))
        os.unlink(path)
        _sync(os.path.dirname(path))


def _stands_at(role, name_id, epoch, point_id):
    """The Mark of a promotion that was done already, by this call; None if it was not.

    The role keeps it: the point itself goes with time.
    """
    if role.role != roles.PRIMARY or role.epoch != epoch or role.stands_at is None:
        return None
    mark = points.Mark(**role.stands_at)
    return mark if point_id in (None, mark.id) else None


def _alone(mark, name_id):
    """A Mark with one of its members."""
    return dataclasses.replace(mark, members={name_id: mark.members[name_id]})


def _chosen(array, name_id, marks, point_id):
    for mark in reversed(marks):
        if point_id in (None, mark.id):
            return mark
    raise exceptions.ResourceMissing(
        name=f'{array.title}: point {point_id or "at all"} of {name_id}')


def _make_head(array, volume, mark):
    """Give the volume's name a file with the content of a point, in the place of what is there."""
    with (moments.opened(points.content(array, volume.name_id, mark.id)) as origin,
          partials.replacing(array.path(volume)) as new):
        array.fill(origin, new.descriptor)


def _bring_snapshots(array, member, mark):
    """Those snapshots that the point has get the names by which they are used."""
    name_id = member.volume.name_id
    _rename_all([(looking.snapshot(array, name_id, each.name_id), array.path(each))
                 for each in member.snapshots if each.name_id in mark.snapshots(name_id)])


def _become_secondary(array, member, role, epoch, is_kept):
    """Of a volume whose file is kept aside: write the role, and put its snapshots aside too."""
    name_id = member.volume.name_id
    marks = points.of(array, name_id)
    if role.role != roles.SECONDARY:
        points.remove(array, name_id, [mark for mark in marks if not is_kept(mark)])
    if role.role != roles.SECONDARY or role.epoch != epoch:
        roles.write(array, name_id, roles.Role(roles.SECONDARY, epoch))
        roles.forget_bases(array, name_id)
    names = {each.name_id for each in member.snapshots}.union(
        *(mark.snapshots(name_id) for mark in marks))
    _rename_all([(array.path(values.Snapshot(each, name_id, 0)),
                  looking.snapshot(array, name_id, each)) for each in sorted(names)])


def _rename_all(pairs):
    """Rename what is there, and put the directories on the medium where something was."""
    renamed = []
    for before, after in pairs:
        with contextlib.suppress(FileNotFoundError):
            os.rename(before, after)
            renamed += [os.path.dirname(before), os.path.dirname(after)]
    _sync(*renamed)


def _sync(*touched):
    """Put directories on the medium."""
    for directory in sorted(set(touched)):
        directories.sync(directory)


def _drop(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
