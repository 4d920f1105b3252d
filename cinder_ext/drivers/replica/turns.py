"""A volume changes its role on one array: fenced, freed again, promoted, demoted.

The volume's file is in ``volumes/`` only while the role is primary.  A fence writes the role first
and then takes the file away; a promotion puts the file there and writes the role last: until it
stands, nobody is given the file.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import os

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import directories, partials
from cinder_ext.drivers.replica import moments, points, roles


def fence(array, member, epoch):
    """See replication.Replication.fence."""
    name_id = member.volume.name_id
    with _turning(array, member, 'fencing') as role:
        _refuse_larger(array, name_id, role, epoch)
        if role.role is None:
            raise exceptions.ResourceMissing(name=f'{array.title}: a replica of {name_id}')
        if role.role == roles.SECONDARY:
            return
        if role.role == roles.PRIMARY:
            roles.write(array, name_id, dataclasses.replace(role, role=roles.FENCED))
        _take_away(array, member.volume)


def unfence(array, member, epoch):
    """See replication.Replication.unfence."""
    name_id = member.volume.name_id
    with _turning(array, member, 'freeing') as role:
        _refuse_larger(array, name_id, role, epoch)
        if role.role not in (roles.PRIMARY, roles.FENCED):
            raise roles.split(name_id, f'it is {role.role or "unknown"} there', role, array, epoch)
        if role.role == roles.FENCED:
            put_back(array, member.volume)
            roles.write(array, name_id, dataclasses.replace(role, role=roles.PRIMARY))
            _drop(array, content(array, name_id))
    return array.location


def promote(array, member, epoch, point_id=None):
    """See replication.Replication.promote."""
    name_id = member.volume.name_id
    with _turning(array, member, 'promoting') as role:
        marks = points.of(array, name_id)
        if role.role == roles.PRIMARY and role.epoch == epoch and point_id in (None, role.stands_at):
            mark = points.read(array, role.stands_at)
        else:
            _refuse_promotion(array, name_id, role, epoch)
            mark = _chosen(array, name_id, marks, point_id)
            _make_head(array, member.volume, mark)
            _bring_snapshots(array, member, mark)
            roles.write(array, name_id, roles.Role(roles.PRIMARY, epoch, stands_at=mark.id))
        points.remove(array, name_id, [each for each in marks if each.number > mark.number])
        _drop(array, content(array, name_id))
        partials.sweep(array.room(name_id))
        snapshots = {each.name_id: array.location for each in member.snapshots
                     if each.name_id in mark.snapshots(name_id)
                     and os.path.lexists(array.path(each))}
    return values.Promoted(mark.point, array.location, snapshots)


def demote(array, member, epoch):
    """See replication.Replication.demote."""
    name_id = member.volume.name_id
    with _turning(array, member, 'demoting') as role:
        _refuse_larger(array, name_id, role, epoch)
        if role.role is None:
            raise exceptions.ResourceMissing(name=f'{array.title}: a replica of {name_id}')
        if role.role != roles.SECONDARY or role.epoch != epoch:
            _become_secondary(array, member, epoch,
                              lambda mark: not role.peers or mark.id in role.bases)


def discard(array, member, epoch, common):
    """The content goes, once a point arrives; of the points those stay that the other side has.

    :param common: set of point ids.  The caller holds the volume's room.
    """
    _become_secondary(array, member, epoch, lambda mark: mark.id in common)


def content(array, name_id):
    """Where a volume lies that is fenced or was demoted."""
    return os.path.join(array.room(name_id), 'content.raw')


def snapshot(array, name_id, snapshot_name_id):
    """Where a snapshot lies of a volume that is not primary."""
    return os.path.join(array.room(name_id), f'snapshot-{snapshot_name_id}.raw')


@contextlib.contextmanager
def _turning(array, member, what):
    """Hold a volume's room and its file; its Role."""
    name_id = member.volume.name_id
    array.check(name_id, is_write=True)
    with (array.held([name_id]), array.lock(array.path(member.volume)),
          array.mapped(f'{what} {name_id}')):
        yield roles.read(array, name_id)


def _refuse_larger(array, name_id, role, epoch):
    if role.epoch > epoch:
        raise roles.split(name_id, 'the side knows a larger epoch', role, array, epoch)


def _refuse_promotion(array, name_id, role, epoch):
    if role.role is None:
        raise exceptions.ResourceMissing(name=f'{array.title}: a replica of {name_id}')
    if role.role != roles.SECONDARY:
        raise roles.split(name_id, f'it is {role.role} there already', role, array, epoch)
    if role.epoch >= epoch:
        raise roles.split(name_id, 'the side knows an epoch as large', role, array, epoch)


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
    _rename_all([(snapshot(array, name_id, each.name_id), array.path(each))
                 for each in member.snapshots if each.name_id in mark.snapshots(name_id)])


def _become_secondary(array, member, epoch, is_kept):
    name_id = member.volume.name_id
    marks = points.of(array, name_id)
    roles.write(array, name_id, roles.Role(roles.SECONDARY, epoch))
    _take_away(array, member.volume)
    names = {each.name_id for each in member.snapshots}.union(
        *(mark.snapshots(name_id) for mark in marks))
    _rename_all([(array.path(values.Snapshot(each, name_id, 0)), snapshot(array, name_id, each))
                 for each in sorted(names)])
    points.remove(array, name_id, [mark for mark in marks if not is_kept(mark)])


def _rename_all(pairs):
    """Rename what is there, and put both directories on the medium: also for who was killed here."""
    for before, after in pairs:
        with contextlib.suppress(FileNotFoundError):
            os.rename(before, after)
    for directory in {os.path.dirname(path) for pair in pairs for path in pair}:
        directories.sync(directory)


def _take_away(array, volume):
    """The volume's file goes; its content is another file, which nobody has open."""
    path = array.path(volume)
    if not os.path.lexists(path):
        return
    with (moments.opened(path) as origin,
          partials.replacing(content(array, volume.name_id)) as new):
        moments.freeze(array, [origin], [new.descriptor], 0, array.room(volume.name_id))
    os.unlink(path)
    directories.sync(os.path.dirname(path))


def put_back(array, volume):
    """The volume's file is there again; the content aside may be that of a point too."""
    kept, path = content(array, volume.name_id), array.path(volume)
    if os.path.lexists(path) or not os.path.lexists(kept):
        return
    with moments.opened(kept) as origin, partials.replacing(path) as new:
        array.fill(origin, new.descriptor)


def _drop(array, path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
