"""From a volume and its snapshots to the links of a chain: pure, no I/O.

A link is one snapshot, or the head: the live content, always last.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import uuid

from cinder_ext.drivers import values


@dataclasses.dataclass(frozen=True)
class Link:
    """One link as it is at the source, with the names it gets at the destination.

    :ivar snapshot_id: None for the head
    :ivar volume_name_id: backend name of the volume at the source
    :ivar destination_volume_name_id: backend name of the volume at the destination
    """

    number: int
    snapshot_id: str | None
    size_bytes: int
    source_name_id: str
    volume_name_id: str
    destination_name_id: str
    destination_volume_name_id: str
    source_location: str | None = None
    destination_location: str | None = None
    destination_volume_location: str | None = None

    @property
    def is_head(self):
        return self.snapshot_id is None

    @property
    def title(self):
        """What messages call it."""
        return 'the volume' if self.is_head else f'snapshot {self.snapshot_id}'

    @property
    def source(self):
        """values.Snapshot or values.Volume at the source."""
        if self.is_head:
            return values.Volume(self.source_name_id, self.size_bytes, self.source_location)
        return values.Snapshot(self.source_name_id, self.volume_name_id, self.size_bytes,
                               self.source_location)

    @property
    def destination(self):
        """values.Snapshot or values.Volume at the destination."""
        if self.is_head:
            return self.destination_volume
        return values.Snapshot(self.destination_name_id, self.destination_volume_name_id,
                               self.size_bytes, self.destination_location)

    @property
    def destination_volume(self):
        """The destination's volume while it has this link's size and content."""
        return values.Volume(self.destination_volume_name_id, self.size_bytes,
                             self.destination_volume_location)


def chain(volume, snapshots, record):
    """The links of a volume, oldest first.

    :param volume, snapshots: database rows
    :param record: the migration's row; names the destination's volume
    :returns: a list of Link

    Destination names are made from the migration's id, so that a preflight that is repeated
    plans the same names.
    """
    ordered = sorted(snapshots, key=lambda row: (row.created_at, row.id))
    links = [Link(number, row.id, row.size * values.GIB, row.name_id or row.id,
                  record.source_name_id, _name(record.id, row.id), record.destination_name_id,
                  row.provider_location)
             for number, row in enumerate(ordered)]
    return [*links, Link(len(links), None, volume.size * values.GIB, record.source_name_id,
                         record.source_name_id, record.destination_name_id,
                         record.destination_name_id, record.source_location)]


def restore(record, rows):
    """The links of a stored plan, oldest first."""
    return [Link(row.number, row.snapshot_id, row.size_bytes, row.source_name_id,
                 record.source_name_id, row.destination_name_id, record.destination_name_id,
                 row.source_location, row.destination_location, record.destination_location)
            for row in rows]


def newest_first(links):
    """The order of removal: snapshots newest to oldest, then the volume."""
    return [*(link for link in reversed(links) if not link.is_head),
            *(link for link in links if link.is_head)]


def columns(link):
    """What is stored of a planned link."""
    return {'snapshot_id': link.snapshot_id, 'size_bytes': link.size_bytes,
            'source_name_id': link.source_name_id, 'source_location': link.source_location,
            'destination_name_id': link.destination_name_id}


def temporary_name(fence, link, side):
    """Backend name of the volume that a snapshot is materialized in; another in each attempt."""
    return _name(fence.record_id, f'{side}:{link.number}:{fence.attempt}')


def renamed(link, fence, how):
    """A link with the names at the destination that an attempt gives it, and no location.

    :param how: a word; other names for each
    """
    def name(what):
        return _name(fence.record_id, f'{how}:{what}:{fence.attempt}')

    return dataclasses.replace(
        link, destination_name_id=name(link.snapshot_id or 'volume'),
        destination_volume_name_id=name('volume'), destination_location=None,
        destination_volume_location=None)


def bytes_below(ranges, position):
    """How many bytes of some ranges lie below a position."""
    return sum(max(0, min(part.end, position) - part.offset) for part in ranges)


def _name(migration_id, what):
    return str(uuid.uuid5(uuid.UUID(migration_id), what))


def pool_of(host):
    """The pool in ``host@backend#pool``."""
    return host.partition('#')[2]
