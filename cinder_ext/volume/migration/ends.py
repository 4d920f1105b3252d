"""The two ends of a migration: the source's driver here, the destination's by RPC.

Either end makes a link a local path for as long as a block runs.  A snapshot
that cannot be attached directly is read through a temporary volume, one at a
time, removed afterwards.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from cinder_ext.drivers import capabilities, transfer, values
from cinder_ext.drivers.generic import attach, blockio, faults
from cinder_ext.volume.migration import plan

_MOST_KEPT_RANGES = 4096
"""What changed in more places is asked again: of a long chain all are kept."""


class Source:
    """The end that holds the volume.

    :param driver: the source backend's, started
    :param connector: properties of this host, as os-brick collects them
    :param fence: db.lease.Fence: temporary volumes are named after it
    :param temporary: ``temporary(end, volume)``: a context in which the record names the volume,
        and which removes it
    """

    def __init__(self, driver, connector, fence, temporary):
        self.driver = driver
        self._connector = connector
        self._fence = fence
        self._temporary = temporary
        self._changed = {}

    def changed(self, method, older, resource):
        """What changed from one link to the next, as transfer.changed; asked once of a snapshot.

        The head is asked again: a server may have written to it since.
        """
        known = method, older, resource
        if known in self._changed:
            return self._changed[known]
        found = transfer.changed(self.driver, method, older, resource)
        if isinstance(resource, values.Snapshot) and len(found or ()) <= _MOST_KEPT_RANGES:
            self._changed[known] = found
        return found

    @contextlib.contextmanager
    def opened(self, link):
        """A local path with the content of a link; only to be read."""
        with self._readable(link) as (resource, connect, disconnect):
            found = connect(resource, self._connector)
            try:
                with attach.attached(found) as path:
                    yield path
            finally:
                disconnect(resource, self._connector)

    @contextlib.contextmanager
    def _readable(self, link):
        driver = self.driver
        if link.is_head:
            yield link.source, driver.connect_volume, driver.disconnect_volume
        elif capabilities.has(driver, capabilities.SnapshotConnect):
            yield link.source, driver.connect_snapshot, driver.disconnect_snapshot
        else:
            copy = values.Volume(plan.temporary_name(self._fence, link, 'source'),
                                 link.size_bytes)
            with self._temporary(self, copy):
                driver.create_volume_from_snapshot(copy, link.source)
                yield copy, driver.connect_volume, driver.disconnect_volume

    def is_direct(self, link):
        """Whether a link can be read without a temporary volume."""
        return link.is_head or capabilities.has(self.driver, capabilities.SnapshotConnect)

    def remove(self, resource):
        """Delete a volume or a snapshot."""
        if isinstance(resource, values.Snapshot):
            self.driver.delete_snapshot(resource)
        else:
            self.driver.delete_volume(resource)


class Target:
    """The destination's volume as it is written link by link.

    Where its connection outlives what comes between two links, they share one.

    :param destination: Destination
    """

    def __init__(self, destination):
        self._destination = destination
        self._kept = self._volume = self._path = None

    @contextlib.contextmanager
    def opened(self, volume):
        """A local path of the volume, to be written; of one after the other, not of two at once."""
        if not self._destination.keeps_connections:
            with self._destination.opened(volume) as path:
                yield path
            return
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            yield self._at(volume)
            undo.pop_all()

    def _at(self, volume):
        if self._kept is None or volume != self._volume:
            self.close()
            with contextlib.ExitStack() as opened:
                self._path = opened.enter_context(self._destination.opened(volume))
                self._kept, self._volume = opened.pop_all(), volume
        return self._path

    def flush(self, volume):
        """Put on the medium what was written to it."""
        with self.opened(volume) as path, faults.mapped(f'flushing {path}'):
            blockio.flush(path)

    def close(self):
        """Take back what is kept: before it is extended or removed, and at the end.  Idempotent."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()


class Destination:
    """The end that the volume goes to.

    :param api: rpc.destination.DestinationAPI
    :param host: ``host@backend#pool``
    :param fence, temporary: as with Source
    """

    def __init__(self, api, context, host, connector, fence, temporary):  # noqa: PLR0917
        self._api = api
        self._context = context
        self.host = host
        self._connector = connector
        self._fence = fence
        self._temporary = temporary
        self._examined = None

    @property
    def examined(self):
        """What the destination promises and offers; asked once."""
        if self._examined is None:
            self._examined = self._api.examine(self._context, self.host)
        return self._examined

    @property
    def promises(self):
        return values.Promises(**self.examined['promises'])

    def create(self, volume):
        return self._api.create(self._context, self.host, volume)

    def extend(self, volume, size_bytes):
        self._api.extend(self._context, self.host, volume, size_bytes)

    def seal(self, snapshot, is_flushed=True):
        """Freeze the volume; returns the snapshot's location.

        :param is_flushed: whether it is on the medium then; else only where ``defers_flush``
        """
        call = self._api.create_snapshot if is_flushed else self._api.create_snapshot_unflushed
        return call(self._context, self.host, snapshot)

    def flush(self, snapshots):
        """Put on the medium what was frozen without."""
        self._api.flush_snapshots(self._context, self.host, snapshots)

    @property
    def defers_flush(self):
        """Whether snapshots may be put on the medium together, while the volume stays connected."""
        return (self.keeps_connections
                and capabilities.DeferredFlush.word in self.examined['capabilities'])

    def supersede(self, pairs):
        """As capabilities.Supersede; only where the destination serves it."""
        return self._api.supersede(self._context, self.host, pairs)

    def remove(self, resource):
        """Delete a volume or a snapshot."""
        if isinstance(resource, values.Snapshot):
            self._api.delete_snapshot(self._context, self.host, resource)
        else:
            self._api.delete(self._context, self.host, resource)

    def disconnect(self, resource, connector):
        """Take a volume or snapshot back from the host of a connector."""
        self._api.disconnect(self._context, self.host, resource, connector)

    @contextlib.contextmanager
    def opened(self, resource):
        """A local path of a volume (to be written) or a snapshot (only to be read)."""
        found = self._api.connect(self._context, self.host, resource, self._connector)
        try:
            with attach.attached(found) as path:
                yield path
        finally:
            self._api.disconnect(self._context, self.host, resource, self._connector)

    @property
    def keeps_connections(self):
        """Whether the volume stays connected when it is frozen; no service of before says so."""
        return self.examined.get('connections_outlive_snapshots', False)

    @property
    def is_direct(self):
        """Whether any link can be read without a temporary volume."""
        return capabilities.SnapshotConnect.word in self.examined['capabilities']

    @contextlib.contextmanager
    def sealed(self, link):
        """A local path with what a link became at the destination; only to be read."""
        if link.is_head or self.is_direct:
            with self.opened(link.destination) as path:
                yield path
            return
        copy = values.Volume(plan.temporary_name(self._fence, link, 'destination'),
                             link.size_bytes)
        with self._temporary(self, copy):
            self._api.create_from_snapshot(self._context, self.host, copy, link.destination)
            with self.opened(copy) as path:
                yield path
