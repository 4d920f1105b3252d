"""The destination's side of a migration: the driver's calls, offered to the source's service.

Every call is safe to repeat, as the driver's are.
"""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging

from cinder_ext.db import lease
from cinder_ext.drivers import capabilities, transfer
from cinder_ext.objects import backend_resource
from cinder_ext.rpc import destination as destination_rpc


def examine(driver):
    """What a backend promises and offers as a destination, as plain data."""
    return {
        'promises': driver.promises().as_dict(),
        'capabilities': capabilities.of(driver),
        'calls': capabilities.calls_of(driver),
        'offers': transfer.destination_offers(driver),
        'copy_bytes_per_second': driver.copy_bytes_per_second,
        'connections_outlive_snapshots': driver.connections_outlive_snapshots,
        'pools': [{'name': pool.name, 'total_bytes': pool.total_bytes,
                   'free_bytes': pool.free_bytes, 'provisioned_bytes': pool.provisioned_bytes,
                   'capabilities': pool.capabilities} for pool in driver.report()],
    }


class DestinationEndpoint:
    """RPC endpoint; methods as rpc/destination.py describes them."""

    target = oslo_messaging.Target(namespace=destination_rpc.NAMESPACE,
                                   version=destination_rpc.VERSION)

    def __init__(self, driver):
        self._driver = driver

    def examine(self, context):
        return examine(self._driver)

    def create(self, context, volume, fence=None):
        _check(context, fence)
        return self._driver.create_volume(volume.to_value())

    def extend(self, context, volume, size_bytes, fence=None):
        _check(context, fence)
        self._driver.extend_volume(volume.to_value(), size_bytes)

    def delete(self, context, volume, fence=None):
        _check(context, fence)
        self._driver.delete_volume(volume.to_value())

    def create_snapshot(self, context, snapshot, fence=None):
        _check(context, fence)
        return self._driver.create_snapshot(snapshot.to_value())

    def create_snapshot_unflushed(self, context, snapshot, fence=None):
        _check(context, fence)
        return self._driver.create_snapshot_unflushed(snapshot.to_value())

    def flush_snapshots(self, context, snapshots, fence=None):
        _check(context, fence)
        self._driver.flush_snapshots([snapshot.to_value() for snapshot in snapshots])

    def delete_snapshot(self, context, snapshot, fence=None):
        _check(context, fence)
        self._driver.delete_snapshot(snapshot.to_value())

    def create_from_snapshot(self, context, volume, snapshot, fence=None):
        _check(context, fence)
        return self._driver.create_volume_from_snapshot(volume.to_value(), snapshot.to_value())

    def connect(self, context, resource, connector, fence=None):
        _check(context, fence)
        value = resource.to_value()
        if isinstance(resource, backend_resource.BackendSnapshot):
            found = self._driver.connect_snapshot(value, connector)
        else:
            found = self._driver.connect_volume(value, connector)
        return backend_resource.BackendConnection.from_value(found)

    def disconnect(self, context, resource, connector, fence=None):
        _check(context, fence)
        if isinstance(resource, backend_resource.BackendSnapshot):
            self._driver.disconnect_snapshot(resource.to_value(), connector)
        else:
            self._driver.disconnect_volume(resource.to_value(), connector)

    def supersede(self, context, old, new, fence=None):
        _check(context, fence)
        return self._driver.supersede([(before.to_value(), after.to_value())
                                       for before, after in zip(old, new, strict=True)])


def _check(context, fence):
    """Refuse what a worker asked before it was succeeded, or without knowing it.

    :param fence: [migration id, attempt] or None
    :raises RecordLost: another attempt has begun
    """
    if fence is not None:
        lease.check(context, *fence)
