"""What goes into a driver and what comes out: frozen, sizes in bytes."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

GIB = 1024 ** 3
MIB = 1024 ** 2
BLOCK_BYTES = MIB
"""The block of digests and of the copier: 1 MiB."""


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume as a backend knows it.

    ``name_id`` is the UUID that the backend's name is built from; after a
    migration it is not the volume's id.
    """

    name_id: str
    size_bytes: int
    location: str | None = None


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A snapshot as a backend knows it; ``size_bytes`` is its volume's size when it was taken.

    ``volume_location`` is its volume's location, where that is known.
    """

    name_id: str
    volume_name_id: str
    size_bytes: int
    location: str | None = None
    volume_location: str | None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """Something on a backend that an operator may want to be managed.

    :ivar reference: how it is named in a request
    :ivar size_bytes: as it is; a volume made of it is rounded up
    :ivar name_id: the UUID in its name, when it is named like a volume or snapshot of ours
    :ivar reason_not_safe: why it cannot be managed, or None
    """

    reference: dict
    size_bytes: int
    name_id: str | None = None
    reason_not_safe: str | None = None


@dataclasses.dataclass(frozen=True)
class Export:
    """A volume or snapshot that a backend makes reachable now.

    :ivar kind: ``volume`` or ``snapshot``
    :ivar name_id: what its name is built from
    :ivar host: for whom; None when that is not decided per host
    """

    kind: str
    name_id: str
    host: str | None = None


@dataclasses.dataclass(frozen=True)
class Range:
    """``length`` bytes from ``offset``; both in bytes."""

    offset: int
    length: int

    @property
    def end(self):
        return self.offset + self.length


@dataclasses.dataclass(frozen=True)
class ConnectionInfo:
    """How a consumer reaches a volume: os-brick's ``driver_volume_type`` and ``data``."""

    driver_volume_type: str
    data: dict

    def as_dict(self):
        return {'driver_volume_type': self.driver_volume_type, 'data': dict(self.data)}


@dataclasses.dataclass(frozen=True)
class Assistance:
    """What one step of an assisted snapshot asks for and wants to be kept.

    :ivar request: what the compute service is to be told: the body of ``create_info`` or
        ``delete_info`` without the ids of volume and snapshot, which the caller adds.  None:
        nothing is to be asked, the work is done.
    :ivar location: the snapshot's location, as create_snapshot returns it
    :ivar noted: what is to be kept with the snapshot for its administrators, text to text, and is
        handed to the next step; it replaces what was noted before
    """

    request: dict | None = None
    location: str | None = None
    noted: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ReplicationTarget:
    """Another array that a backend can replicate to: one entry of ``replication_device``.

    :ivar backend_id: its name, unique within the backend
    :ivar modes: a tuple of ``sync`` and ``async``
    :ivar cross_os: it belongs to another cloud, which takes what was failed over to it by import
    :ivar peer: the name of that cloud, which the key of their manifests is found by
    :ivar availability_zone: shown to operators; steers nothing
    """

    backend_id: str
    modes: tuple = ('async',)
    cross_os: bool = False
    peer: str | None = None
    availability_zone: str | None = None


@dataclasses.dataclass(frozen=True)
class Member:
    """A replicated volume with the snapshots that go with it, oldest first."""

    volume: Volume
    snapshots: tuple = ()


@dataclasses.dataclass(frozen=True)
class Point:
    """A state of one or more volumes, all of the same moment, that a side can be promoted to.

    :ivar id: a UUID; the same for all volumes that it was taken of together
    :ivar taken_at: seconds since the epoch, UTC, by the clock of the source's host, before the
        state was frozen: every write acknowledged before it is in the point
    :ivar bytes_shipped: what this point added to the destination; 0 when it is not known
    """

    id: str
    taken_at: float
    bytes_shipped: int = 0


@dataclasses.dataclass(frozen=True)
class Side:
    """What an array itself knows of a replicated volume.

    :ivar role: ``primary`` (it is attached and written to here), ``secondary`` (it receives) or
        ``fenced`` (neither); None when the array knows no replication of the volume
    :ivar epoch: grows with every promotion, never shrinks; the side with the larger one is right
    :ivar points: values.Point that are whole here, oldest first
    :ivar exists: whether the array has the volume at all
    """

    role: str | None = None
    epoch: int = 0
    points: tuple = ()
    exists: bool = False


@dataclasses.dataclass(frozen=True)
class Promoted:
    """What became of a volume on the side that was promoted.

    :ivar point: values.Point that it stands at
    :ivar location: of the volume, as create_volume returns it
    :ivar snapshots: name_id -> location of those of its snapshots that are there
    """

    point: Point
    location: str | None = None
    snapshots: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Promises:
    """What a migration may count on at a backend; what is not promised is done the slow way.

    :ivar fresh_reads_zeros: a new volume reads zeros everywhere
    :ivar extended_reads_zeros: what an extend adds reads zeros
    :ivar snapshots_share_blocks: a snapshot shares blocks with its volume, so that what was
        verified in one was verified in the other; else snapshots are copies, verified whole
    :ivar thin: zeros that are never written take no space
    """

    fresh_reads_zeros: bool = False
    extended_reads_zeros: bool = False
    snapshots_share_blocks: bool = False
    thin: bool = False

    def as_dict(self):
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class PoolReport:
    """Capacity of one pool, in bytes, and what its backend can do.

    ``total_bytes`` and ``free_bytes`` may be ``infinite`` or ``unknown`` (drivers.capacity).
    ``allocated_bytes`` is what the files take on the medium;
    ``provisioned_bytes`` the sum of the virtual sizes.
    """

    name: str
    total_bytes: int | str
    free_bytes: int | str
    allocated_bytes: int
    provisioned_bytes: int
    capabilities: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class BackendSettings:
    """What the loader hands to a driver.

    :ivar name: the backend's section in the configuration (``alpha``)
    :ivar backend_name: its ``volume_backend_name``
    :ivar options: the section's values, attribute access (an oslo.config group)
    :ivar active_backend_id: the replication target that new volumes are made on, since the whole
        backend was failed over to it; None: the backend itself
    """

    name: str
    backend_name: str
    options: object
    active_backend_id: str | None = None
