"""A directory that holds volumes and snapshots, and what it knows of their replication.

Below its path: ``volumes/``, ``snapshots/`` as every file backend has them, and ``replication/``::

    replication/array                    a UUID, the array's identity
    replication/points/POINT.json        a point that is whole: its moment and its members
    replication/volumes/NAME/role.json   role and epoch of a volume
    replication/volumes/NAME/POINT.raw   its content at a point; never written again
    replication/volumes/NAME/POINT.manifest
    replication/volumes/NAME/snapshot-SNAPSHOT.raw   of a side that is not primary
    replication/volumes/NAME/content.raw             the volume of a side that is fenced or demoted
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import fcntl
import os
import re
import time
import uuid

from oslo_concurrency import lockutils

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import directories, faults, partials, reflink, together
from cinder_ext.drivers.replica import hooks, targets

NAME_ID = re.compile(r'[0-9A-Za-z][0-9A-Za-z-]{0,63}')
ROOMS = ('volumes', 'snapshots')
_LOCK_SECONDS = 10
_LOCK_PAUSE_SECONDS = 0.005


class Array:
    """One side of a backend.

    :param backend: name of the backend, for messages
    :param side: None for the backend's own, else the backend_id of a target
    :param base: absolute path of the directory
    :param may_share: whether blocks may be shared at all
    """

    def __init__(self, backend, side, base, may_share=True, control_file=None):
        self.side = side
        self.base = base
        self.control_file = control_file
        self.title = f'backend {backend}' + ('' if side is None else f', target {side}')
        self._may_share = may_share
        self._shares = self._together = self._identity = None

    @property
    def location(self):
        """That of what is used here."""
        return targets.location(self.side)

    def check(self, name_id=None, is_write=False):
        """Whether it answers.

        :raises BackendDown: the directory is gone, or a test says so
        """
        hooks.check(self.control_file, self.title, name_id, is_write)
        with self.mapped('looking for its directory'):
            os.stat(os.path.join(self.base, '.'))

    def prepare(self):
        """Make the rooms.  Idempotent."""
        self.check(is_write=True)
        with self.mapped('preparing its directories'):
            for room in (*ROOMS, 'replication/points', 'replication/volumes'):
                os.makedirs(os.path.join(self.base, room), mode=0o700, exist_ok=True)
            for room in ('replication', ''):
                directories.sync(os.path.join(self.base, room))

    def probe(self):
        """Find out anew whether blocks can be shared.

        :raises OSError: the directory cannot be written
        """
        self._together = None
        self._shares = self._may_share and reflink.is_served_by(self._rooms('volumes'))
        return self.shares_together

    @property
    def shares_blocks(self):
        """Whether files here can share blocks; found out once, and not while it does not answer."""
        if self._shares is None:
            with contextlib.suppress(OSError):
                self._shares = self._may_share and reflink.is_served_by(self._rooms('volumes'))
        return bool(self._shares)

    @property
    def shares_together(self):
        """Whether several files can be shared as of one moment; found out once."""
        if self._together is None:
            with contextlib.suppress(OSError):
                self._together = (self.shares_blocks
                                  and together.is_served_by(self._rooms('snapshots')))
        return bool(self._together)

    @property
    def identity(self):
        """A UUID that the directory has, whoever looks at it.  It is prepared."""
        if self._identity is None:
            path = self._rooms('replication', 'array')
            if not os.path.lexists(path):
                partials.create(path, lambda target: os.write(target, str(uuid.uuid4()).encode()))
            with open(path, encoding='ascii') as stream:
                self._identity = stream.read()
        return self._identity

    def path(self, resource):
        """The file of a volume or snapshot.

        :raises DriverError: the name could lead elsewhere
        """
        name_id = checked(resource.name_id)
        if isinstance(resource, values.Snapshot):
            return self._rooms('snapshots', f'snapshot-{name_id}.raw')
        return self._rooms('volumes', f'volume-{name_id}.raw')

    def room(self, name_id):
        """The directory of a volume's replication."""
        return self._rooms('replication', 'volumes', checked(name_id))

    @property
    def points_room(self):
        return self._rooms('replication', 'points')

    @property
    def volumes_room(self):
        """Where the rooms of replicated volumes are."""
        return self._rooms('replication', 'volumes')

    def _rooms(self, *names):
        return os.path.join(self.base, *names)

    def mapped(self, what):
        """Faults of the block as driver errors."""
        return faults.mapped(f'{self.title}, {what}')

    def lock(self, path):
        """One caller at a time per file, within this process."""
        return lockutils.lock(f'file-driver-{path}')

    def fill(self, origin, target):
        """Give a new, empty file the content of another one here."""
        if self.shares_blocks:
            reflink.share(origin, target)
        else:
            reflink.copy_sparse(origin, target)

    @contextlib.contextmanager
    def held(self, name_ids, make=False):
        """One caller at a time for the replication of some volumes, of all processes.

        :param make: make their rooms; else one that is not there is not held
        :raises ResourceBusy: another one has held it for long
        """
        if make:
            self._make_rooms(name_ids)
        with contextlib.ExitStack() as locks:
            for name_id in sorted(set(name_ids)):
                locks.enter_context(self._held(self.room(name_id)))
            yield

    def _make_rooms(self, name_ids):
        with self.mapped('making rooms'):
            missing = [room for room in map(self.room, name_ids) if not os.path.isdir(room)]
            for room in missing:
                os.makedirs(room, mode=0o700, exist_ok=True)
            if missing:
                directories.sync(self.volumes_room)

    @contextlib.contextmanager
    def _held(self, room):
        path = os.path.join(room, 'lock')
        until = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                yield
                return
            with contextlib.closing(os.fdopen(descriptor, 'rb+', buffering=0)):
                if _is_locked(descriptor) and _is_still(descriptor, path):
                    yield
                    return
            if time.monotonic() > until:
                raise exceptions.ResourceBusy(
                    reason=f'{self.title}: another process is at work on {os.path.basename(room)}')
            time.sleep(_LOCK_PAUSE_SECONDS)


def _is_locked(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(descriptor, path):
    """Whether it is the lock that others would take: who ends a replication removes it."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False


def checked(name_id):
    """A name that is fit for a file name.

    :raises DriverError: it could lead elsewhere
    """
    if not NAME_ID.fullmatch(name_id):
        raise exceptions.DriverError(reason=f'{name_id!r} is not fit for a file name')
    return name_id
