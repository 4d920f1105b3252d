"""Points of an array: which are whole, what is in them, and their removal.

A point is one small file for all its members.  It is written last, so a point counts for all of
them at once or not at all; a member has lost it again when its content is gone.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import json
import os

from oslo_log import log as logging

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import partials
from cinder_ext.drivers.replica import arrays, staging

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Mark:
    """A point as an array has written it down.

    :ivar number: grows from point to point of a volume, whatever the clocks say
    :ivar bytes_shipped: what it added here
    :ivar members: name_id -> {'snapshots': [name_id ...]}, and where it was taken 'head': what
        looking.state said of the volume before
    :ivar receivers: identities of the arrays that it was taken for, when it was taken here
    """

    id: str
    taken_at: float
    number: int
    members: dict
    bytes_shipped: int = 0
    receivers: tuple = ()

    @property
    def point(self):
        return values.Point(self.id, self.taken_at, self.bytes_shipped)

    def snapshots(self, name_id):
        """The names of a member's snapshots, oldest first."""
        return self.members[name_id]['snapshots']


def read(array, point_id):
    """A point that is whole; None when there is none of this id."""
    with array.mapped(f'reading point {point_id}'):
        try:
            with open(_path(array, point_id), encoding='utf-8') as stream:
                status = os.fstat(stream.fileno())
                # It is replaced by another file, never written again.
                return _parsed(stream.name, status.st_ino, status.st_mtime_ns, stream)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as fault:
            LOG.warning('%s: point %s cannot be read and counts for nothing: %s', array.title,
                        point_id, fault)
            return None


_recent = {}
"""Marks that were read last, by their files: that of a large group is read once per member."""
_MOST_RECENT = 64


def _parsed(path, number, changed_ns, stream):
    key = path, number, changed_ns
    found = _recent.get(key)
    if found is None:
        read_now = Mark(**json.load(stream))
        found = dataclasses.replace(read_now, receivers=tuple(read_now.receivers))
        if len(_recent) >= _MOST_RECENT:
            _recent.clear()
        _recent[key] = found
    return found


def write(array, mark):
    """From now on the point counts for all its members."""
    _recent.clear()
    with (array.mapped(f'writing point {mark.id}'),
          partials.replacing(_path(array, mark.id)) as new):
        content = memoryview(json.dumps(dataclasses.asdict(mark)).encode())
        while content:
            content = content[os.write(new.descriptor, content):]


def of(array, name_id):
    """The points of a volume that are whole here, a list of Mark, oldest first."""
    found = []
    with array.mapped(f'listing points of {name_id}'):
        try:
            names = os.listdir(array.room(name_id))
        except FileNotFoundError:
            names = []
    for name in names:
        if name.endswith('.raw') and not name.startswith(('content', 'snapshot-')):
            mark = read(array, name.removesuffix('.raw'))
            if mark and name_id in mark.members:
                found.append(mark)
    return sorted(found, key=lambda mark: (mark.number, mark.taken_at))


def common(source, destination, name_id):
    """The points of the destination that the source has too, a list of Mark, oldest first."""
    here = {mark.id for mark in of(source, name_id)}
    return [mark for mark in of(destination, name_id) if mark.id in here]


def has(array, mark, name_ids):
    """Whether a point is whole for some volumes."""
    return mark is not None and all(
        name_id in mark.members and os.path.lexists(content(array, name_id, mark.id))
        for name_id in name_ids)


def content(array, name_id, point_id):
    """The file of a volume's content at a point."""
    return os.path.join(array.room(name_id), f'{arrays.checked(point_id)}.raw')


def manifest(array, name_id, point_id):
    """The file of what was shipped beside it."""
    return os.path.join(array.room(name_id), f'{arrays.checked(point_id)}.manifest')


def remove(array, name_id, marks):
    """A volume has these points no more; other members keep them.

    Who is the last removes the mark first; of two at once the later one sees that it is the last.
    A point that comes back because the power failed is as whole as it was.
    """
    with array.mapped(f'removing points of {name_id}'):
        for mark in marks:
            others = _others(mark, name_id)
            _drop_unless_needed(array, mark, others)
            for path in (content(array, name_id, mark.id), manifest(array, name_id, mark.id)):
                _drop(path)
            _drop_unless_needed(array, mark, others)


def sweep(array, name_id):
    """Remove what is left of points that are not whole: of removals and shipments that were killed.

    The caller holds the volume's room.
    """
    with array.mapped(f'sweeping {name_id}'):
        room = array.room(name_id)
        for name in os.listdir(room):
            point_id, ending = os.path.splitext(name)
            if ending in ('.raw', '.manifest') and not name.startswith(('content', 'snapshot-')):
                mark = read(array, point_id)
                if mark is None or name_id not in mark.members:
                    _drop(os.path.join(room, name))
        partials.sweep(room)
        staging.sweep(room)


def _others(mark, name_id):
    """The other members, those after this one first: these lose their points last, mostly."""
    names = list(mark.members)
    at = names.index(name_id)
    return [*names[at + 1:], *names[:at]]


def _drop_unless_needed(array, mark, others):
    if not any(os.path.lexists(content(array, other, mark.id)) for other in others):
        _drop(_path(array, mark.id))


def _drop(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _path(array, point_id):
    return os.path.join(array.points_room, f'{arrays.checked(point_id)}.json')
