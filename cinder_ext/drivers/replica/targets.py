"""Other directories that a backend replicates to: its option, and which side a resource is used on.

``replication_device`` stands for one target each time, as ``key:value`` with commas between them.
A location says on which side a volume or snapshot is used: None is home, ``side:BACKEND_ID`` a
target.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import os
import re

from oslo_config import cfg
from oslo_utils import strutils

from cinder_ext import exceptions
from cinder_ext.drivers import values

MODES = ('sync', 'async')
_PREFIX = 'side:'
_BACKEND_ID = re.compile(r'[0-9A-Za-z][0-9A-Za-z_.-]{0,63}')
_KEYS = {'backend_id', 'path', 'modes', 'cross_os', 'peer', 'availability_zone',
         'min_interval_seconds', 'control_file'}

OPTIONS = [
    cfg.MultiOpt('replication_device', item_type=cfg.types.Dict(), secret=True,
                 help='A target that volumes of this backend can be replicated to; may be '
                      'repeated. backend_id: its name. path: existing directory that stands for '
                      'the other array, as an absolute path; it may be the file_path of a backend '
                      'of another cloud. modes: async. cross_os: whether it belongs to another '
                      'cloud, and peer: the name of that cloud. availability_zone: shown only. '
                      'min_interval_seconds: points are not shipped more often. control_file: '
                      'for tests, see the manual for authors of drivers.'),
    cfg.StrOpt('file_control_file',
               help='For tests only: a file that says how the directory of this backend fails, '
                    'as control_file of a replication_device does for a target.'),
]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One target with what is nobody else's business.

    :ivar target: values.ReplicationTarget
    """

    target: values.ReplicationTarget
    path: str
    min_interval_seconds: float = 1
    control_file: str | None = None


def parse(backend, devices, home=None):
    """The targets of a backend: backend_id -> Entry.

    :param devices: what ``replication_device`` holds, a list of dicts
    :param home: path of the backend's own directory
    :raises Misconfigured: an entry is wrong; no value of it is in the message
    """
    found, paths = {}, {os.path.normpath(home or '/')}
    for number, device in enumerate(devices, 1):
        try:
            entry = _entry({key.strip(): (value or '').strip() for key, value in device.items()})
        except ValueError as fault:
            raise exceptions.Misconfigured(
                backend=backend, reason=f'replication_device, entry {number}: {fault}')
        name = entry.target.backend_id
        if name in found:
            raise exceptions.Misconfigured(
                backend=backend, reason=f'two of replication_device have the backend_id {name}')
        if os.path.normpath(entry.path) in paths:
            raise exceptions.Misconfigured(
                backend=backend, reason=f'the path of {name} is that of another array')
        paths.add(os.path.normpath(entry.path))
        found[name] = entry
    return found


def _entry(device):
    unknown = sorted(set(device) - _KEYS)
    if unknown:
        raise ValueError(f'{", ".join(unknown)} is unknown')
    if not _BACKEND_ID.fullmatch(device.get('backend_id', '')) or device['backend_id'] == 'default':
        raise ValueError('backend_id is missing or unfit')
    if not os.path.isabs(device.get('path', '')):
        raise ValueError('path is not an absolute path')
    if 'async' not in _modes(device.get('modes', 'async')):
        raise ValueError('this driver serves the mode async only')
    interval = float(device.get('min_interval_seconds', 1))
    if not 0 < interval < float('inf'):
        raise ValueError('min_interval_seconds is no number above 0')
    target = values.ReplicationTarget(
        backend_id=device['backend_id'], modes=('async',),
        cross_os=strutils.bool_from_string(device.get('cross_os', 'false'), strict=True),
        peer=device.get('peer') or None, availability_zone=device.get('availability_zone') or None)
    return Entry(target, device['path'], interval, device.get('control_file') or None)


def _modes(words):
    modes = [word.strip() for word in re.split(r'[|;]', words)]
    if not set(modes) <= set(MODES):
        raise ValueError(f'modes are {" or ".join(MODES)}')
    return modes


def location(side):
    """What a resource that is used on a side has as its location."""
    return None if side is None else _PREFIX + side


def side_of(place):
    """The side that a location names."""
    return place.removeprefix(_PREFIX) if place and place.startswith(_PREFIX) else None
