"""Volumes and snapshots as sparse raw files in a directory.

``volumes/volume-<name_id>.raw`` and ``snapshots/snapshot-<name_id>.raw`` below
``file_path``.  A file is made under a temporary name, put on the medium and
then named, so a create that was killed leaves nothing visible.  Snapshots
share the volume's blocks where the file system can (XFS, btrfs), else they
are copies with the holes kept.  What differs between two of them is read off
the extents, without reading data.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import errno
import os
import re

from oslo_concurrency import lockutils
from oslo_config import cfg
from oslo_utils import importutils

from cinder_ext import exceptions
from cinder_ext.drivers import base, capabilities, file_manage, values
from cinder_ext.drivers.generic import directories, extents, faults, partials, reflink, together

VERSION = '1.0'
"""What the Block Storage API shows as ``driver_version``."""

_NAME_ID = re.compile(r'[0-9A-Za-z][0-9A-Za-z-]{0,63}')
_ENDING = '.raw'
_QCOW2 = 'cinder_ext.drivers.qcow2.driver.Qcow2FileDriver'
_UNABLE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL})


class FileDriver(file_manage.FileManage, base.Driver, capabilities.SnapshotConnect,
                 capabilities.ChangedRanges, capabilities.AllocatedRanges, capabilities.Revert,
                 capabilities.GroupSnapshots, capabilities.Supersede):
    """The embedded default: needs no privilege and no daemon.

    Consumers must be on this host, or mount the directory at the same path.
    """

    def __init__(self, settings):
        super().__init__(settings)
        self._base = settings.options.file_path
        self._reflink = False
        self._together = False

    @classmethod
    def options(cls):
        return [
            cfg.StrOpt('file_path',
                       help='Existing directory that holds the volumes and snapshots of this '
                            'backend, as an absolute path.'),
            cfg.IntOpt('file_copy_bytes_per_second', default=0, min=0, mutable=True,
                       help='Throttle of every copy from or to this backend, in bytes per '
                            'second; 0 for none.'),
            cfg.IntOpt('file_group_snapshot_seconds', default=10, min=0, mutable=True,
                       help='How long a consistent group snapshot looks for a moment at which no '
                            'volume of the group is written to, in seconds.'),
            cfg.StrOpt('file_format', default='raw', choices=['raw', 'qcow2'],
                       help='Format of the files: raw, or qcow2 with a layer per snapshot. A '
                            'directory holds one of them.'),
            cfg.IntOpt('file_qcow2_chain_limit', default=32, min=2, max=200,
                       help='Layers that a clone may stand on; where there are more it becomes a '
                            'full copy.'),
            cfg.StrOpt('file_export',
                       help='HOST:/PATH by which consumers mount file_path (NFS); qcow2 volumes '
                            'are then attached by nfs connection information.'),
            cfg.StrOpt('file_export_options',
                       help='Mount options that consumers are given with file_export.'),
            cfg.StrOpt('file_reflink', default='auto', choices=['auto', 'off'],
                       help='Whether snapshots share blocks with their volume: auto where the '
                            'file system can, off never.'),
        ]

    @classmethod
    def variant(cls, options):
        # Loaded by who wants it: QEMU's protocol costs a start a tenth of a second.
        return importutils.import_class(_QCOW2) if options.file_format == 'qcow2' else cls

    def switched_off(self):
        off = set()
        if not self._reflink:
            off.add(capabilities.ChangedRanges)
        if not self._together:
            off.add(capabilities.GroupSnapshots)
        return frozenset(off)

    @property
    def clones_need_their_source(self):
        """Shared blocks live as long as one file has them."""
        return False

    @property
    def copy_bytes_per_second(self):
        return self.settings.options.file_copy_bytes_per_second

    def start(self):
        """Make the two directories, remove what killed creates left, try to share blocks."""
        if not self._base or not os.path.isabs(self._base):
            raise exceptions.Misconfigured(
                backend=self.settings.name, reason='file_path is not an absolute path')
        with self._mapped('starting'):
            if not os.path.isdir(self._base):
                os.stat(self._base)
                raise exceptions.Misconfigured(
                    backend=self.settings.name, reason='file_path is not a directory')
            for room in ('volumes', 'snapshots'):
                directory = os.path.join(self._base, room)
                os.makedirs(directory, mode=0o700, exist_ok=True)
                partials.sweep(directory, _ENDING)
            directories.sync(self._base)
            self._reflink = (self.settings.options.file_reflink == 'auto'
                             and reflink.is_served_by(os.path.join(self._base, 'volumes')))
            self._together = (self._reflink
                              and together.is_served_by(os.path.join(self._base, 'snapshots')))

    def report(self):
        with self._mapped('reporting'):
            medium = os.statvfs(self._base)
            volumes = _sizes(os.path.join(self._base, 'volumes'))
            snapshots = _sizes(os.path.join(self._base, 'snapshots'))
        return [values.PoolReport(
            name=self.settings.backend_name,
            total_bytes=medium.f_blocks * medium.f_frsize,
            free_bytes=medium.f_bavail * medium.f_frsize,
            allocated_bytes=sum(taken for _, taken in volumes + snapshots),
            provisioned_bytes=sum(size for size, _ in volumes),
            capabilities=self._capabilities())]

    def _capabilities(self):
        """What the scheduler's filters look at; the words of ``capabilities`` are True."""
        options = self.settings.options
        return {
            'volume_backend_name': self.settings.backend_name,
            'storage_protocol': 'file',
            'vendor_name': 'cinder_ext',
            'driver_version': VERSION,
            'QoS_support': False,
            'thin_provisioning_support': True,
            'thick_provisioning_support': False,
            'multiattach': True,
            'reflink': self._reflink,
            capabilities.GroupSnapshots.word: False,
            'reserved_percentage': options.reserved_percentage,
            'max_over_subscription_ratio': options.max_over_subscription_ratio,
            **dict.fromkeys(capabilities.of(self), True),
        }

    def promises(self):
        return values.Promises(fresh_reads_zeros=True, extended_reads_zeros=True,
                               snapshots_share_blocks=self._reflink, thin=True)

    def create_volume(self, volume):
        self._create(volume, None, volume.size_bytes)

    def create_volume_from_snapshot(self, volume, snapshot):
        self._create(volume, snapshot, volume.size_bytes)

    def clone_volume(self, volume, source):
        self._create(volume, source, volume.size_bytes)

    def create_snapshot(self, snapshot):
        source = values.Volume(snapshot.volume_name_id, snapshot.size_bytes)
        self._create(snapshot, source, snapshot.size_bytes)

    def create_group_snapshot(self, snapshots):
        """Share the blocks of all volumes, and prove that none changed in between."""
        paths = [self._path(snapshot) for snapshot in snapshots]
        with contextlib.ExitStack() as locks:
            for path in sorted(paths):
                locks.enter_context(self._lock(path))
            with self._mapped('taking a group snapshot'):
                self._create_together(snapshots, paths)
        return [None] * len(snapshots)

    def _create_together(self, snapshots, paths):
        room = os.path.join(self._base, 'snapshots')
        with contextlib.ExitStack() as opened:

            def fill(targets):
                sources = [opened.enter_context(self._opened(
                    values.Volume(snapshot.volume_name_id, snapshot.size_bytes), os.O_RDONLY))
                    for snapshot in snapshots]
                together.share(list(zip(sources, targets, strict=True)),
                               self.settings.options.file_group_snapshot_seconds, room)
                for target, snapshot in zip(targets, snapshots, strict=True):
                    _enlarge(target, snapshot.size_bytes)

            if all(os.path.lexists(path) for path in paths) or not partials.create_together(
                    paths, fill):
                for path, snapshot in zip(paths, snapshots, strict=True):
                    _check_size(path, snapshot.size_bytes)
                directories.sync(room)

    def delete_volume(self, volume):
        self._delete(volume)

    def delete_snapshot(self, snapshot):
        self._delete(snapshot)

    def revert_to_snapshot(self, volume, snapshot):
        """A new file takes the volume's name: the old content or the new one, never a mixture."""
        path = self._path(volume)
        with (self._lock(path), self._opened(volume, os.O_RDONLY),
              self._opened(snapshot, os.O_RDONLY) as origin,
              self._mapped(f'reverting {os.path.basename(path)}'),
              partials.replacing(path) as new):
            self._fill(origin, new.descriptor)

    def supersede(self, pairs):
        """A volume is another file from then on; a snapshot, which nobody writes, stays the same."""
        for old, new in pairs:
            if isinstance(new, values.Snapshot):
                self._name_again(old, new)
            else:
                self._create(new, old, old.size_bytes)
        return [None] * len(pairs)

    def _name_again(self, old, new):
        path = self._path(new)
        with self._lock(path), self._opened(old, os.O_RDONLY), self._mapped(f'naming {new.name_id}'):
            with contextlib.suppress(FileExistsError):
                os.link(self._path(old), path, follow_symlinks=False)
            directories.sync(os.path.dirname(path))

    def extend_volume(self, volume, size_bytes):
        path = self._path(volume)
        with self._lock(path), self._opened(volume, os.O_RDWR) as descriptor:
            _enlarge(descriptor, size_bytes)
            # Also when it is so large already: who made it so may have been killed before.
            os.fsync(descriptor)

    def connect_volume(self, volume, connector):
        return self._connect(volume, 'rw')

    def disconnect_volume(self, volume, connector):
        """Nothing to take back: who may open the file is not decided per host."""

    def connect_snapshot(self, snapshot, connector):
        return self._connect(snapshot, 'ro')

    def disconnect_snapshot(self, snapshot, connector):
        """Nothing to take back, as with disconnect_volume."""

    def changed_ranges(self, older, newer):
        if not self._reflink:
            raise self._cannot_tell()
        try:
            with (self._opened(older, os.O_RDONLY) as before,
                  self._opened(newer, os.O_RDONLY) as after):
                return extents.differing(
                    extents.fiemap(before), extents.fiemap(after), newer.size_bytes)
        except exceptions.DriverError as fault:
            if isinstance(fault.__cause__, OSError) and fault.__cause__.errno in _UNABLE:
                raise self._cannot_tell() from fault
            raise

    def allocated_ranges(self, resource):
        with self._opened(resource, os.O_RDONLY) as descriptor:
            return extents.allocated(descriptor, resource.size_bytes)

    def _cannot_tell(self):
        return exceptions.NotCapable(
            backend=self.settings.name, capability='tell what changed between two states')

    def _connect(self, resource, access_mode):
        """os-brick's LOCAL connector takes ``device_path`` as it is."""
        with self._opened(resource, os.O_RDONLY):
            return values.ConnectionInfo('local', {
                'device_path': self._path(resource), 'access_mode': access_mode})

    def _path(self, resource):
        """The file of a volume or snapshot.

        :raises DriverError: the name could lead elsewhere
        """
        name_id = resource.name_id
        if not _NAME_ID.fullmatch(name_id):
            raise exceptions.DriverError(reason=f'{name_id!r} is not fit for a file name')
        if isinstance(resource, values.Snapshot):
            return os.path.join(self._base, 'snapshots', f'snapshot-{name_id}.raw')
        return os.path.join(self._base, 'volumes', f'volume-{name_id}.raw')

    def _lock(self, path):
        """One caller at a time per file, within this process."""
        return lockutils.lock(f'file-driver-{path}')

    def _mapped(self, what):
        return faults.mapped(f'backend {self.settings.name}, {what}')

    @contextlib.contextmanager
    def _opened(self, resource, flags):
        """A descriptor of an existing file.

        :raises ResourceMissing: the directory is there and the file is not
        :raises BackendDown: the directory is gone too
        """
        path = self._path(resource)
        name = os.path.basename(path)
        with self._mapped(name):
            try:
                descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                os.stat(os.path.dirname(path))
                raise exceptions.ResourceMissing(name=name)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _create(self, resource, source, size_bytes):
        """Make a file from nothing or from another one; it appears whole or not at all."""
        path = self._path(resource)
        with self._lock(path), self._mapped(f'creating {os.path.basename(path)}'):

            def fill(target):
                if source is not None:
                    with self._opened(source, os.O_RDONLY) as origin:
                        self._fill(origin, target)
                _enlarge(target, size_bytes)

            if os.path.lexists(path) or not partials.create(path, fill):
                _check_size(path, size_bytes)
                directories.sync(os.path.dirname(path))

    def _fill(self, origin, target):
        """Give a new file the content of another one."""
        if self._reflink:
            reflink.share(origin, target)
        else:
            reflink.copy_sparse(origin, target)

    def _delete(self, resource):
        """Remove a file, and what creates of it are making.  An absent file is a success."""
        path = self._path(resource)
        directory = os.path.dirname(path)
        with self._lock(path), self._mapped(f'deleting {os.path.basename(path)}'):
            os.stat(directory)
            partials.remove(path)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            directories.sync(directory)


def _enlarge(descriptor, size_bytes):
    if os.fstat(descriptor).st_size < size_bytes:
        os.ftruncate(descriptor, size_bytes)


def _check_size(path, size_bytes):
    """Refuse to call a smaller file of the same name the finished result of a repeated create."""
    if os.stat(path, follow_symlinks=False).st_size < size_bytes:
        raise exceptions.DriverError(
            reason=f'{os.path.basename(path)} exists and is smaller than {size_bytes} bytes')


def _sizes(directory):
    """(virtual size, bytes taken) of each finished file in a directory."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(_ENDING):
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_size, status.st_blocks * 512))
    return found
