"""What an array knows of volumes that are replicated, without changing anything."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.replica import arrays, moments, moving, points, roles


def side(array, name_id):
    """What an array knows of a volume: values.Side."""
    with array.mapped(f'looking at {name_id}'):
        role = roles.read(array, name_id)
        marks = points.of(array, name_id)
        exists = bool(marks) or any(os.path.lexists(path) for path in _heads(array, name_id))
    return values.Side(role.role, role.epoch, tuple(mark.point for mark in marks), exists)


def replicas(array):
    """See replication.Replication.replicas."""
    found = {}
    with array.mapped('listing replicas'):
        names = os.listdir(array.volumes_room) if os.path.isdir(array.volumes_room) else []
        for name_id in filter(arrays.NAME_ID.fullmatch, names):
            if roles.read(array, name_id).role is not None:
                marks = points.of(array, name_id)
                found[name_id] = (side(array, name_id), _size(array, name_id, marks),
                                  sorted(marks[-1].members) if marks else [name_id],
                                  _latest_manifest(array, name_id, marks))
    return found


def pending_bytes(members, source, destination):
    """See replication.Replication.pending_bytes."""
    found = [_pending(member, source, destination) for member in members]
    return None if None in found else sum(found)


def _pending(member, source, destination):
    name_id, path = member.volume.name_id, head(source, member.volume)
    common = points.common(source, destination, name_id)
    base = points.content(source, name_id, common[-1].id) if common else None
    there = set(common[-1].snapshots(name_id)) if common else set()
    missing = [source.path(each) for each in member.snapshots if each.name_id not in there]
    with source.mapped(f'comparing {name_id}'):
        missing = [each for each in missing if os.path.lexists(each)]
        if base is None or source.shares_blocks:
            return sum(_differing_bytes(source, base, each) for each in (*missing, path))
        # Without shared blocks it would take reading all to tell how much it is.
        mark = points.read(source, common[-1].id)
        is_unchanged = mark.members[name_id].get('head') == state(path)
        return sum(_differing_bytes(source, None, each) for each in missing) if is_unchanged else None


def state(path):
    """What changes when a file is written to, or is another file: a list of JSON values."""
    status = os.stat(path)
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def head(array, volume):
    """Where the content of a volume lies now, whatever its role.

    :raises ResourceMissing: nowhere
    """
    used, kept = array.path(volume), content(array, volume.name_id)
    is_used = roles.read(array, volume.name_id).role in (None, roles.PRIMARY)
    path = used if is_used else kept
    if not os.path.lexists(path):
        array.check()
        raise exceptions.ResourceMissing(name=f'{array.title}: volume {volume.name_id}')
    return path


def content(array, name_id):
    """Where a volume lies that is fenced or was demoted."""
    return os.path.join(array.room(name_id), 'content.raw')


def snapshot(array, name_id, snapshot_name_id):
    """Where a snapshot lies of a volume that is not primary."""
    return os.path.join(array.room(name_id), f'snapshot-{arrays.checked(snapshot_name_id)}.raw')


def _heads(array, name_id):
    return array.path(values.Volume(name_id, 0)), content(array, name_id)


def _differing_bytes(array, base, newer):
    with contextlib.ExitStack() as opened:
        descriptors = [opened.enter_context(moments.opened(path)) if path else None
                       for path in (base, newer)]
        return moving.length(moving.changed(array, *descriptors))


def _size(array, name_id, marks):
    newest = [points.content(array, name_id, mark.id) for mark in marks[-1:]]
    for path in (*_heads(array, name_id), *newest):
        with contextlib.suppress(FileNotFoundError):
            return os.stat(path).st_size
    return 0


def _latest_manifest(array, name_id, marks):
    for mark in reversed(marks):
        with contextlib.suppress(FileNotFoundError):
            with open(points.manifest(array, name_id, mark.id), 'rb') as stream:
                return stream.read()
    return None
