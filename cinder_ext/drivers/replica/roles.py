"""What an array has written down of a volume: its role, its epoch, whom it ships to.

One small file per volume that is replaced as a whole and put on the medium, so that it says the
old or the new after a kill.  Who changes it holds the volume's room (arrays.Array.held).
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import json
import os

from cinder_ext import exceptions
from cinder_ext.drivers.generic import partials

PRIMARY, SECONDARY, FENCED = 'primary', 'secondary', 'fenced'


@dataclasses.dataclass(frozen=True)
class Role:
    """The record of one volume.

    :ivar role: PRIMARY, SECONDARY, FENCED, or None when there is no record
    :ivar stands_at: the point that it was promoted at, as points.Mark has it, of this member
    :ivar peers: identity of each array that it ships to -> what that is called by who ships
    """

    role: str | None = None
    epoch: int = 0
    stands_at: dict | None = None
    peers: dict = dataclasses.field(default_factory=dict)


def read(array, name_id):
    """The record of a volume; an empty one when there is none."""
    with array.mapped(f'reading the role of {name_id}'):
        try:
            with open(_path(array, name_id), encoding='utf-8') as stream:
                return Role(**json.load(stream))
        except FileNotFoundError:
            return Role()
        except (ValueError, TypeError) as fault:
            raise exceptions.DriverError(
                reason=f'{array.title}: the role of {name_id} cannot be read: {fault}')


def write(array, name_id, role):
    """Replace the record of a volume, on the medium."""
    with (array.mapped(f'writing the role of {name_id}'),
          partials.replacing(_path(array, name_id)) as new):
        os.write(new.descriptor, json.dumps(dataclasses.asdict(role)).encode())


def bases(array, name_id):
    """Which point each other array has in common with this side: identity -> id of the point.

    It is not put on the medium: what is missing costs a longer way, what is too much some room.
    """
    try:
        with open(_bases_path(array, name_id), encoding='utf-8') as stream:
            return json.load(stream)
    except (FileNotFoundError, ValueError):
        return {}


def note_base(array, name_id, identity, point_id):
    """Another array has a point in common with this side now."""
    found = bases(array, name_id)
    if found.get(identity) != point_id:
        path = _bases_path(array, name_id)
        new = partials.new_name(path)
        with open(new, 'w', encoding='utf-8') as stream:
            json.dump({**found, identity: point_id}, stream)
        os.rename(new, path)


def forget_bases(array, name_id):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_bases_path(array, name_id))


def _path(array, name_id):
    return os.path.join(array.room(name_id), 'role.json')


def _bases_path(array, name_id):
    return os.path.join(array.room(name_id), 'bases.json')


def split(name_id, reason, here, array, epoch, other=None):
    """SplitBrain that shows both epochs.

    :param here: Role at ``array``
    :param epoch: what the caller said, or that of the other side
    :param other: the other array; None: the caller
    """
    return exceptions.SplitBrain(
        name=name_id, reason=reason, local_epoch=here.epoch, local_side=title(array),
        remote_epoch=epoch, remote_side='the caller' if other is None else title(other))


def title(array):
    """What a side is called towards people."""
    return 'home' if array.side is None else array.side
