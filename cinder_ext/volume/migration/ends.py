"""The two ends of a migration: the source's driver here, the destination's by RPC.

Either end makes a link a local path for as long as a block runs.  A snapshot
that cannot be attached directly is read through a temporary volume, one at a
time, removed afterwards.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.generic import attach
from cinder_ext.volume.migration import plan


class Source:
    """The end that holds the volume.

    :param driver: the source backend's, started
    :param connector: properties of this host, as os-brick collects them
    :param temporary: ``temporary(end, volume)``: a context in which the record names the volume,
        and which removes it
    """

    def __init__(self, driver, connector, migration_id, temporary):
        self.driver = driver
        self._connector = connector
        self._migration_id = migration_id
        self._temporary = temporary

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
            copy = values.Volume(plan.temporary_name(self._migration_id, link, 'source'),
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


class Destination:
    """The end that the volume goes to.

    :param api: rpc.destination.DestinationAPI
    :param host: ``host@backend#pool``
    :param temporary: as with Source
    """

    def __init__(self, api, context, host, connector, migration_id, temporary):  # noqa: PLR0917
        self._api = api
        self._context = context
        self.host = host
        self._connector = connector
        self._migration_id = migration_id
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

    def seal(self, snapshot):
        return self._api.create_snapshot(self._context, self.host, snapshot)

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

    @contextlib.contextmanager
    def sealed(self, link):
        """A local path with what a link became at the destination; only to be read."""
        direct = capabilities.SnapshotConnect.word in self.examined['capabilities']
        if link.is_head or direct:
            with self.opened(link.destination) as path:
                yield path
            return
        copy = values.Volume(plan.temporary_name(self._migration_id, link, 'destination'),
                             link.size_bytes)
        with self._temporary(self, copy):
            self._api.create_from_snapshot(self._context, self.host, copy, link.destination)
            with self.opened(copy) as path:
                yield path
