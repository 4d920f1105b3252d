"""Volumes and snapshots as sparse raw files in a directory.

``volumes/volume-<name_id>.raw`` and ``snapshots/snapshot-<name_id>.raw`` below
``file_path``.  A file is made under a temporary name, put on the medium and
then named, so a create that was killed leaves nothing visible.  Snapshots
share the volume's blocks where the file system can (XFS, btrfs), else they
are copies with the holes kept.  What differs between two of them is read off
the extents, without reading data.

With ``replication_device`` there are more such directories, see drivers/replica: a resource lies on
the side that its location names.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import errno
import os

from oslo_config import cfg
from oslo_utils import importutils

from cinder_ext import exceptions
from cinder_ext.drivers import base, capabilities, file_manage, values
from cinder_ext.drivers.generic import directories, extents, partials, together
from cinder_ext.drivers.replica import arrays, hooks, sides, targets

VERSION = '1.0'
"""What the Block Storage API shows as ``driver_version``."""

_ENDING = '.raw'
_QCOW2 = 'cinder_ext.drivers.qcow2.driver.Qcow2FileDriver'
_UNABLE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL})
_MOST_KNOWN_EXTENTS = 16384


class FileDriver(sides.Sides, file_manage.FileManage, base.Driver, capabilities.SnapshotConnect,
                 capabilities.ChangedRanges, capabilities.AllocatedRanges,
                 capabilities.DeferredFlush, capabilities.Revert, capabilities.GroupSnapshots,
                 capabilities.Supersede):
    """The embedded default: needs no privilege and no daemon.

    Consumers must be on this host, or mount the directory at the same path.
    """

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
            *targets.OPTIONS,
        ]

    @classmethod
    def variant(cls, options):
        # Loaded by who wants it: QEMU's protocol costs a start a tenth of a second.
        return importutils.import_class(_QCOW2) if options.file_format == 'qcow2' else cls

    def switched_off(self):
        off = set()
        if not self._active_array.shares_blocks:
            off |= {capabilities.ChangedRanges, capabilities.DeferredFlush}
        if not self._active_array.shares_together:
            off.add(capabilities.GroupSnapshots)
        if not self.replication_targets():
            off.add(capabilities.Replication)
        return frozenset(off)

    @property
    def clones_need_their_source(self):
        """Shared blocks live as long as one file has them."""
        return False

    @property
    def connections_outlive_snapshots(self):
        """A volume stays the same file."""
        return True

    @property
    def copy_bytes_per_second(self):
        return self.settings.options.file_copy_bytes_per_second

    def start(self):
        """Make the directories, remove what killed creates left, try to share blocks.

        Where new volumes are made must answer; of the other sides it is done if they do.
        """
        if not self._base or not os.path.isabs(self._base):
            raise exceptions.Misconfigured(
                backend=self.settings.name, reason='file_path is not an absolute path')
        for array in self._arrays.values():
            if array is self._active_array:
                self._begin(array)
            else:
                with contextlib.suppress(exceptions.DriverError):
                    self._begin(array)

    def _begin(self, array):
        if os.path.lexists(array.base) and not os.path.isdir(array.base):
            raise exceptions.Misconfigured(
                backend=self.settings.name, reason='file_path is not a directory')
        array.check()
        with array.mapped('starting'):
            for room in arrays.ROOMS:
                directory = os.path.join(array.base, room)
                os.makedirs(directory, mode=0o700, exist_ok=True)
                partials.sweep(directory, _ENDING)
            if os.path.isdir(array.points_room):
                partials.sweep(array.points_room)
            directories.sync(array.base)
            array.probe()

    def report(self):
        array = self._active_array
        array.check()
        with array.mapped('reporting'):
            medium = os.statvfs(array.base)
            volumes = _sizes(os.path.join(array.base, 'volumes'))
            snapshots = _sizes(os.path.join(array.base, 'snapshots'))
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
            'reflink': self._active_array.shares_blocks,
            capabilities.GroupSnapshots.word: False,
            'reserved_percentage': options.reserved_percentage,
            'max_over_subscription_ratio': options.max_over_subscription_ratio,
            **dict.fromkeys(capabilities.of(self), True),
            **self._replication_capabilities(),
        }

    def promises(self):
        return values.Promises(fresh_reads_zeros=True, extended_reads_zeros=True,
                               snapshots_share_blocks=self._active_array.shares_blocks, thin=True)

    def create_volume(self, volume):
        return self._create(volume, None, volume.size_bytes)

    def create_volume_from_snapshot(self, volume, snapshot):
        return self._create(volume, snapshot, volume.size_bytes)

    def clone_volume(self, volume, source):
        return self._create(volume, source, volume.size_bytes)

    def create_snapshot(self, snapshot):
        return self._create(snapshot, self._volume_of(snapshot), snapshot.size_bytes)

    def create_snapshot_unflushed(self, snapshot):
        return self._create(snapshot, self._volume_of(snapshot), snapshot.size_bytes,
                            is_flushed=False)

    def flush_snapshots(self, snapshots):
        with contextlib.ExitStack() as opened:
            files = [opened.enter_context(self._opened(snapshot, os.O_RDONLY))
                     for snapshot in snapshots]
            rooms = {os.path.dirname(self._path(snapshot)) for snapshot in snapshots}
            for array in {self._array_of(snapshot) for snapshot in snapshots}:
                opened.enter_context(array.mapped('flushing snapshots'))
            directories.sync_all(files, rooms)

    def create_group_snapshot(self, snapshots):
        """Share the blocks of all volumes, and prove that none changed in between."""
        if not snapshots:
            return []
        volumes = [self._volume_of(snapshot) for snapshot in snapshots]
        array = self._array_of(volumes[0])
        if any(self._array_of(volume) is not array for volume in volumes):
            raise exceptions.ResourceBusy(reason='the volumes are not on the same side')
        paths = [array.path(snapshot) for snapshot in snapshots]
        with contextlib.ExitStack() as locks:
            for path in sorted(paths):
                locks.enter_context(array.lock(path))
            with array.mapped('taking a group snapshot'):
                self._create_together(array, volumes, snapshots, paths)
        return [array.location] * len(snapshots)

    def _create_together(self, array, volumes, snapshots, paths):
        room = os.path.dirname(paths[0])
        with contextlib.ExitStack() as opened:

            def fill(targets):
                sources = [opened.enter_context(self._opened(volume, os.O_RDONLY))
                           for volume in volumes]
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
        array, path = self._array_of(volume), self._path(volume)
        with (array.lock(path), self._opened(volume, os.O_RDONLY),
              self._opened(snapshot, os.O_RDONLY) as origin,
              array.mapped(f'reverting {os.path.basename(path)}'),
              partials.replacing(path) as new):
            array.fill(origin, new.descriptor)

    def supersede(self, pairs):
        """A volume is another file from then on; a snapshot, which nobody writes, stays the same."""
        return [self._name_again(old, new) if isinstance(new, values.Snapshot)
                else self._create(new, old, old.size_bytes) for old, new in pairs]

    def _name_again(self, old, new):
        array = self._array_of(old)
        path = array.path(new)
        with array.lock(path), self._opened(old, os.O_RDONLY), array.mapped(f'naming {new.name_id}'):
            with contextlib.suppress(FileExistsError):
                os.link(self._path(old), path, follow_symlinks=False)
            directories.sync(os.path.dirname(path))
        return array.location

    def extend_volume(self, volume, size_bytes):
        array = self._array_of(volume)
        with (array.lock(self._path(volume)), self._opened(volume, os.O_RDWR) as descriptor,
              array.mapped('extending')):
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
        array = self._array_of(newer)
        if self._array_of(older) is not array or not array.shares_blocks:
            raise self._cannot_tell()
        try:
            with (self._opened(older, os.O_RDONLY) as before,
                  self._opened(newer, os.O_RDONLY) as after):
                return extents.differing(
                    self._extents_of(older, before), self._extents_of(newer, after),
                    newer.size_bytes)
        except exceptions.DriverError as fault:
            if isinstance(fault.__cause__, OSError) and fault.__cause__.errno in _UNABLE:
                raise self._cannot_tell() from fault
            raise

    _known_extents = None, ()

    def _extents_of(self, resource, descriptor):
        """The extents of a file; of the snapshot that was asked about last they are still known.

        Of a chain each snapshot is asked about twice, as the newer and as the older one.
        """
        if isinstance(resource, values.Volume):
            return extents.fiemap(descriptor)
        known, found = self._known_extents
        status = os.fstat(descriptor)
        file = status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns
        if file != known:
            found = extents.fiemap(descriptor)
            if len(found) <= _MOST_KNOWN_EXTENTS:
                self._known_extents = file, found
        return found

    def allocated_ranges(self, resource):
        with self._opened(resource, os.O_RDONLY) as descriptor:
            return extents.allocated(descriptor, resource.size_bytes)

    def _cannot_tell(self):
        return exceptions.NotCapable(
            backend=self.settings.name, capability='tell what changed between two states')

    def _connect(self, resource, access_mode):
        """os-brick's LOCAL connector takes ``device_path`` as it is."""
        array = self._array_of(resource)
        if isinstance(resource, values.Volume):
            self._refuse_unless_primary(array, resource)
        with self._opened(resource, os.O_RDONLY):
            return values.ConnectionInfo('local', {
                'device_path': self._path(resource), 'access_mode': access_mode})

    def _volume_of(self, snapshot):
        """The volume of a snapshot that is to be made, on its side."""
        volume = values.Volume(snapshot.volume_name_id, snapshot.size_bytes,
                               snapshot.volume_location)
        if volume.location is None and self._active is not None and not os.path.lexists(
                self._array(None).path(volume)):
            return dataclasses.replace(volume, location=self._active_array.location)
        return volume

    @contextlib.contextmanager
    def _opened(self, resource, flags):
        """A descriptor of an existing file.

        :raises ResourceMissing: the directory is there and the file is not
        :raises ResourceBusy: it is a volume that is fenced, or that receives
        :raises BackendDown: the directory is gone too
        """
        array, path = self._array_of(resource), self._path(resource)
        name = os.path.basename(path)
        with array.mapped(name):
            try:
                descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                os.stat(os.path.dirname(path))
                if isinstance(resource, values.Volume):
                    self._refuse_unless_primary(array, resource)
                raise exceptions.ResourceMissing(name=name)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def _create(self, resource, source, size_bytes, is_flushed=True):
        """Make a file from nothing or from another one; it appears whole or not at all.

        :param is_flushed: whether it is on the medium then
        :returns: its location: that of the source, or where new volumes are made
        """
        array = self._array_of(source) if source else self._array_for(resource)
        path = array.path(resource)
        hooks.check(array.control_file, array.title, resource.name_id, is_write=True)
        with array.lock(path), array.mapped(f'creating {os.path.basename(path)}'):

            def fill(target):
                if source is not None:
                    with self._opened(source, os.O_RDONLY) as origin:
                        array.fill(origin, target)
                _enlarge(target, size_bytes)

            if os.path.lexists(path) or not partials.create(path, fill, is_flushed):
                _check_size(path, size_bytes)
                if is_flushed:
                    directories.sync(os.path.dirname(path))
        return array.location

    def _delete(self, resource):
        """Remove a file, and what creates of it are making.  An absent file is a success."""
        array, path = self._array_of(resource), self._path(resource)
        directory = os.path.dirname(path)
        with array.lock(path), array.mapped(f'deleting {os.path.basename(path)}'):
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
