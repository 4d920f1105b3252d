"""Reverting a volume where the backend cannot: its snapshot's content is written back over it."""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.generic import attach, copy, digests


def write_back(driver, volume, snapshot, connector, temporary_name_id, control):
    """Give a volume the content of a snapshot of it, by reading one and writing the other.

    Idempotent: it is begun anew, and ends with the same bytes.  While it runs, and after an
    error, the volume holds a part of the one and a part of the other.

    :param volume: values.Volume, in use by nobody
    :param snapshot: values.Snapshot of the same size
    :param connector: properties of this host, as attach.connector_properties collects them
    :param temporary_name_id: name of the temporary volume through which a snapshot is read that
        cannot be attached; the same at every repetition, so that nothing is left behind
    :param control: ``check(length)`` is called before each unit, see copy.RangeCopier
    :raises NoSpace, BackendDown, ResourceMissing, NotCapable: as the driver and the copier say
    """
    with (_readable(driver, snapshot, connector, temporary_name_id) as source,
          _attached(volume, driver.connect_volume, driver.disconnect_volume, connector) as target):
        copier = copy.RangeCopier(source, target, digests.DigestMap.unknown(volume.size_bytes),
                                  size_bytes=volume.size_bytes, control=control)
        copier.copy([values.Range(0, volume.size_bytes)])


@contextlib.contextmanager
def _readable(driver, snapshot, connector, temporary_name_id):
    if capabilities.has(driver, capabilities.SnapshotConnect):
        with _attached(snapshot, driver.connect_snapshot, driver.disconnect_snapshot,
                       connector) as path:
            yield path
        return
    copy_of_it = values.Volume(temporary_name_id, snapshot.size_bytes)
    try:
        driver.create_volume_from_snapshot(copy_of_it, snapshot)
        with _attached(copy_of_it, driver.connect_volume, driver.disconnect_volume,
                       connector) as path:
            yield path
    finally:
        driver.delete_volume(copy_of_it)


@contextlib.contextmanager
def _attached(resource, connect, disconnect, connector):
    found = connect(resource, connector)
    try:
        with attach.attached(found) as path:
            yield path
    finally:
        disconnect(resource, connector)
