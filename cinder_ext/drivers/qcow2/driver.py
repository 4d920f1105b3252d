"""Volumes and snapshots as qcow2 layers in a directory: the file driver's other format.

A snapshot freezes the volume's layer and puts an empty one on top of it: the same cost on every
file system, whatever the size.  A clone is a layer on a frozen one.  Consumers get the layer
itself by ``nfs``; this service's own copies get a raw view of it.

``layers/`` has the files, ``volumes/`` and ``snapshots/`` have a link per resource.  A layer
that has no link and on which nothing stands goes; one on which a single other stands is merged
with that when its last link goes.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import hashlib
import os
import shutil

from oslo_concurrency import lockutils

from cinder_ext import exceptions
from cinder_ext.drivers import base, capabilities, values
from cinder_ext.drivers.generic import attach, faults
from cinder_ext.drivers.qcow2 import (
    assisted,
    daemon,
    exports,
    groups,
    header,
    images,
    layers,
    links,
    manage,
    spares,
    supersede,
)

VERSION = '1.0'
_LOCKS = 64
_TOOLS = {images.TOOL: 'qemu-utils', daemon.TOOL: 'qemu-system-common', daemon.VIEWER: 'libnbd-bin',
          'fusermount3': 'fuse3'}


class Qcow2FileDriver(assisted.AssistedLayers, manage.ManageLayers, supersede.SupersedeLayers,
                      groups.GroupLayers, base.Driver, capabilities.SnapshotConnect,
                      capabilities.ChangedRanges, capabilities.AllocatedRanges,
                      capabilities.Revert, exports.Views):
    """``file_format = qcow2``; needs qemu-img, and qemu-storage-daemon with FUSE."""

    def __init__(self, settings):
        super().__init__(settings)
        self._base = settings.options.file_path or ''
        self._layers = layers.Layers(self._base)
        self._links = links.Links(self._base)
        self._spares = spares.Spares(self._base, self._layers)
        self._daemon = daemon.StorageDaemon(os.path.join(self._base, 'views'))

    @property
    def clones_need_their_source(self):
        """What is removed and still stood on is merged, or stays without a name."""
        return False

    @property
    def copy_bytes_per_second(self):
        return self.settings.options.file_copy_bytes_per_second

    def start(self):
        """Look for the tools, make the directories, collect what killed calls left."""
        self._refuse_missing()
        with self._mapped('starting'):
            os.stat(self._base)
            os.makedirs(self._daemon.directory, mode=0o700, exist_ok=True)
            self._layers.start()
            self._links.start()
            self._spares.start()
            for family in {layers.family_of(name) for name in self._layers.names()}:
                with self._locked(family):
                    self._collect(family)

    def stop(self):
        """End the daemon of the raw views, unless one is in use."""
        with self._mapped('stopping'):
            self._daemon.stop()

    def _refuse_missing(self):
        reason = None
        if not os.path.isabs(self._base):
            reason = 'file_path is not an absolute path'
        if self.settings.options.replication_device:
            reason = 'replication_device is for the format raw'
        for tool, package in _TOOLS.items():
            if shutil.which(tool) is None:
                reason = f'{tool} is not installed (Debian: {package})'
        if not os.path.exists(daemon.FUSE):
            reason = f'there is no {daemon.FUSE}'
        if reason:
            raise exceptions.Misconfigured(backend=self.settings.name, reason=reason)

    def report(self):
        with self._mapped('reporting'):
            for family in self._spares.families():
                # Whoever has the turn has settled it.
                with (contextlib.suppress(lockutils.AcquireLockFailedException),
                      self._locked(family, blocking=False)):
                    pass
            medium = os.statvfs(self._base)
            names = self._layers.names()
            taken = provisioned = 0
            for name in names:
                with contextlib.suppress(FileNotFoundError, exceptions.DriverError):
                    taken += self._layers.taken_bytes(name)
            for name in self._links.of_volumes():
                with contextlib.suppress(exceptions.DriverError):
                    provisioned += self._layers.size(name)
        return [values.PoolReport(
            name=self.settings.backend_name, total_bytes=medium.f_blocks * medium.f_frsize,
            free_bytes=medium.f_bavail * medium.f_frsize, allocated_bytes=taken,
            provisioned_bytes=provisioned, capabilities=self._capabilities())]

    def _capabilities(self):
        options = self.settings.options
        return {
            'volume_backend_name': self.settings.backend_name,
            'storage_protocol': 'nfs' if options.file_export else 'file',
            'vendor_name': 'cinder_ext', 'driver_version': VERSION, 'QoS_support': False,
            'thin_provisioning_support': True, 'thick_provisioning_support': False,
            'multiattach': False, 'file_format': 'qcow2',
            capabilities.GroupSnapshots.word: False,
            'reserved_percentage': options.reserved_percentage,
            'max_over_subscription_ratio': options.max_over_subscription_ratio,
            **dict.fromkeys(capabilities.of(self), True),
        }

    def promises(self):
        return values.Promises(fresh_reads_zeros=True, extended_reads_zeros=True,
                               snapshots_share_blocks=True, thin=True)

    def create_volume(self, volume):
        with self._work(volume.name_id, f'creating volume {volume.name_id}'):
            if not self._is_made(volume):
                name = self._fresh(volume.name_id, volume.name_id)
                self._layers.create(name, volume.size_bytes)
                self._links.set(volume, name)

    def create_volume_from_snapshot(self, volume, snapshot):
        origin = self._links.get(snapshot)
        with self._work(layers.family_of(origin), f'creating volume {volume.name_id}',
                        volume.name_id):
            if not self._is_made(volume):
                self._put_on(volume, self._links.get(snapshot))

    def clone_volume(self, volume, source):
        origin = self._links.get(source)
        with self._work(layers.family_of(origin), f'creating volume {volume.name_id}',
                        volume.name_id):
            if not self._is_made(volume):
                self._put_on(volume, self._still(source))
            if self._links.get(source) in self._layers.chain(self._links.get(volume)):
                self._freeze(source, f'{volume.name_id}-origin')

    def create_snapshot(self, snapshot):
        volume = assisted.volume_of(snapshot)
        family = layers.family_of(self._links.get(volume))
        with self._work(family, f'creating snapshot {snapshot.name_id}'):
            if self._links.find(snapshot) in (None, self._links.get(volume)):
                self._links.set(snapshot, self._still(volume))
                self._freeze(volume, snapshot.name_id)

    def _still(self, volume):
        """The layer of a volume that nobody writes to.

        :raises ResourceBusy: somebody does
        """
        self._refuse_used(volume)
        return self._links.get(volume)

    def _freeze(self, volume, stem):
        """Put an empty layer on a volume: what it was is never written again.

        Who is to have the frozen layer has it before.  So whether a killed call has come so far
        is seen from the links, and what it had prepared counts for nothing.
        """
        active = self._still(volume)
        top = self._fresh(layers.family_of(active), stem)
        self._layers.create(top, self._layers.size(active), active)
        self._links.set(volume, top)

    def _put_on(self, volume, origin):
        """Make a volume that reads what a frozen layer reads.

        :raises ResourceBusy: it is not frozen: a consumer that was to leave it has not
        """
        self._refuse_written(origin)
        size_bytes = max(volume.size_bytes, self._layers.size(origin))
        limit = self.settings.options.file_qcow2_chain_limit
        if len(self._layers.chain(origin)) >= limit:
            name = self._fresh(volume.name_id, volume.name_id)
            self._layers.flatten(origin, name, size_bytes)
        else:
            name = self._fresh(layers.family_of(origin), volume.name_id)
            self._layers.create(name, size_bytes, origin)
        self._links.set(volume, name)

    def _is_made(self, volume):
        """Whether a volume is there; one that is smaller is another's.

        :raises DriverError: it is smaller
        """
        name = self._links.find(volume)
        if name is None:
            return False
        if self._layers.size(name) < volume.size_bytes:
            raise exceptions.DriverError(
                reason=f'volume {volume.name_id} exists and is smaller than '
                       f'{volume.size_bytes} bytes')
        return True

    def delete_volume(self, volume):
        self._delete(volume, f'deleting volume {volume.name_id}')

    def delete_snapshot(self, snapshot):
        self._delete(snapshot, f'deleting snapshot {snapshot.name_id}')

    def _delete(self, resource, what):
        with self._mapped(what):
            name = self._links.find(resource)
            self._daemon.withdraw(links.label(resource))
            if name is None:
                os.stat(self._layers.directory)
                return
            with self._locked(layers.family_of(name)):
                if isinstance(resource, values.Snapshot):
                    self._recognise(resource)
                self._let_go(resource, self._links.find(resource))

    def _let_go(self, resource, name):
        """Take a resource's link from a layer, after what hangs on that was seen to."""
        if name is None:
            return
        if self._layers.exists(name) and len(self._links.names(name)) == 1:
            self._refuse_underway(name)
            above = self._layers.children(name)
            self._dissolve(name)
            self._links.remove(resource)
            self._dissolve_unnamed(name, *above)
        self._links.remove(resource)
        self._collect(layers.family_of(name))

    def _dissolve_unnamed(self, *names):
        """Go on with layers that nobody wants either, unless they are kept as spares.

        Others may have them in use: then the next that is removed beside them looks again.
        """
        for name in names:
            kept = self._spares.kept(layers.family_of(name))
            if self._layers.exists(name) and name not in kept and not self._links.names(name):
                with contextlib.suppress(exceptions.ResourceBusy):
                    self._dissolve(name)

    def _dissolve(self, name):
        """Remove a layer that nobody wants, or merge it with the single one that stands on it.

        Where several stand on it, it stays for them.  What it stood on is looked at next.
        """
        above = self._layers.children(name)
        if len(above) > 1:
            return
        parent = self._layers.parent(name)
        if above:
            self._merge(name, above[0])
        else:
            self._refuse_written(name)
            self._layers.remove(name)
        if parent is not None:
            self._dissolve_unnamed(parent)

    def _merge(self, name, above):
        """Make one layer of two, copying the smaller one's data.

        Each part may be repeated; until the last the content is read through either.
        """
        if self._layers.taken_bytes(above) <= self._layers.taken_bytes(name):
            self._layers.commit(above)
            self._links.move(above, name)
            self._layers.remove(above)
        else:
            self._layers.pull(above)
            self._layers.remove(name)

    def _collect(self, family):
        """Remove what calls that were killed left: layers without a link that carry nothing."""
        used = self._links.used() | self._spares.kept(family)
        while True:
            garbage = [name for name in self._layers.names()
                       if layers.family_of(name) == family and name not in used
                       and not self._layers.children(name) and not self._is_written(name)]
            for name in garbage:
                self._layers.remove(name)
            if not garbage:
                return

    def extend_volume(self, volume, size_bytes):
        family = layers.family_of(self._links.get(volume))
        with self._work(family, f'extending volume {volume.name_id}'):
            self._refuse_underway(self._links.get(volume))
            self._layers.extend(self._links.get(volume), size_bytes)

    def revert_to_snapshot(self, volume, snapshot):
        """The link changes in one step: the old content or the new one, never a mixture."""
        family, other = (layers.family_of(self._links.get(each)) for each in (volume, snapshot))
        with self._work(family, f'reverting volume {volume.name_id}', other):
            before, origin = self._still(volume), self._links.get(snapshot)
            name = self._fresh(layers.family_of(origin),
                               f'{volume.name_id[:32]}-{snapshot.name_id[:32]}')
            self._layers.create(name, volume.size_bytes, origin)
            self._links.set(volume, name)
            if not self._links.names(before):
                self._dissolve(before)

    def _fresh(self, family, stem, kind=header.QCOW2):
        """A name for a layer that no other has, also none that was frozen under it before."""
        name, number = layers.named(family, stem, kind), 0
        while self._layers.exists(name):
            number += 1
            name = layers.named(family, f'{stem}-{number}', kind)
        return name

    def connect_volume(self, volume, connector):
        return self._connect(volume, connector, 'rw')

    def disconnect_volume(self, volume, connector):
        self._disconnect(volume, connector)

    def connect_snapshot(self, snapshot, connector):
        return self._connect(snapshot, connector, 'ro')

    def disconnect_snapshot(self, snapshot, connector):
        self._disconnect(snapshot, connector)

    def _connect(self, resource, connector, access_mode):
        name = self._links.get(resource)
        if self._is_for_consumers(connector):
            if layers.family_of(name) in self._spares.families():
                with self._work(layers.family_of(name), f'showing {name}'):
                    name = self._links.get(resource)
            return values.ConnectionInfo('nfs', {
                'export': self.settings.options.file_export,
                'options': self.settings.options.file_export_options,
                'name': f'{layers.ROOM}/{name}', 'format': layers.format_of(name),
                'access_mode': access_mode})
        with self._mapped(f'showing {name}'), self._locked(layers.family_of(name)):
            path = self._daemon.export(
                links.label(resource), self._layers.nodes(self._links.get(resource)),
                access_mode == 'rw')
        return values.ConnectionInfo('local', {'device_path': path, 'access_mode': access_mode})

    def _disconnect(self, resource, connector):
        if not self._is_for_consumers(connector):
            with self._mapped(f'hiding {resource.name_id}'):
                self._daemon.withdraw(links.label(resource))

    def _is_for_consumers(self, connector):
        return self.settings.options.file_export is not None and not connector.get(attach.RAW_VIEW)

    def changed_ranges(self, older, newer):
        with self._mapped(f'comparing {newer.name_id}'):
            found = self._layers.differing(self._links.get(older), self._links.get(newer),
                                           newer.size_bytes)
        if found is None:
            raise exceptions.NotCapable(
                backend=self.settings.name, capability='tell what changed between two states')
        return found

    def allocated_ranges(self, resource):
        with self._mapped(f'mapping {resource.name_id}'):
            return self._layers.allocated(self._links.get(resource), resource.size_bytes)

    @contextlib.contextmanager
    def _work(self, family, what, *more):
        """
        :param more: other families that get a layer
        """
        with self._mapped(what), self._locked(family, *more):
            yield

    @contextlib.contextmanager
    def _locked(self, *families, blocking=True):
        """One caller at a time per family, also of other processes on this directory.

        What consumers have merged is settled then, as far as it can be.

        :raises AcquireLockFailedException: not ``blocking``, and another has the turn
        """
        with contextlib.ExitStack() as locked:
            for number in sorted({_slot(family) for family in families}):
                locked.enter_context(lockutils.lock(
                    f'family-{number}', f'qcow2-{self._base}-', external=True, blocking=blocking,
                    lock_path=os.path.join(self._daemon.directory, '.locks')))
            for family in families:
                if self._spares.settle(family):
                    self._collect(family)
            yield

    def _mapped(self, what):
        return faults.mapped(f'backend {self.settings.name}, {what}')


def _slot(family):
    """The number of a family's lock, which it may share with others."""
    return int.from_bytes(hashlib.sha256(family.encode()).digest()[:2]) % _LOCKS
