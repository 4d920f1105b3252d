"""From rows to the drivers' values."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import values

GIB = values.GIB


def volume_value(volume, size_gib=None):
    """A volume as its backend knows it.

    :param volume: models.Volume
    :param size_gib: replaces the row's size
    """
    return values.Volume(name_id=volume.name_id or volume.id,
                         size_bytes=(size_gib or volume.size) * GIB,
                         location=volume.provider_location)


def snapshot_value(snapshot, volume):
    """A snapshot as its backend knows it.

    :param snapshot: models.Snapshot
    :param volume: models.Volume, the snapshot's
    """
    return values.Snapshot(name_id=snapshot.name_id or snapshot.id,
                           volume_name_id=volume.name_id or volume.id,
                           size_bytes=snapshot.size * GIB, location=snapshot.provider_location,
                           volume_location=volume.provider_location)
