"""What a placement is decided from: frozen values, sizes in bytes."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext.drivers import capacity
from cinder_ext.rpc import hosts


@dataclasses.dataclass(frozen=True)
class Pool:
    """One pool as the scheduler knows it now.

    :ivar host: ``host@backend#pool``
    :ivar total_bytes, free_bytes: numbers, or the words of drivers.capacity
    :ivar allocated_bytes: the sizes of the volumes that are recorded there
    :ivar volume_count: how many volumes are recorded there
    :ivar is_alive: its service's heartbeat is fresh
    :ivar fault: why its backend cannot be reached, or None
    :ivar reserved_percentage: share of the total that is never given out
    :ivar filter_function, goodness_function: formulas for scheduler.evaluator, or None
    :ivar replication_status: of its service, or None
    :ivar wholes: replication.Whole of the pool and its backend
    """

    host: str
    total_bytes: int | str
    free_bytes: int | str
    allocated_bytes: int = 0
    provisioned_bytes: int = 0
    capabilities: dict = dataclasses.field(default_factory=dict)
    max_over_subscription_ratio: float = 1.0
    reserved_percentage: int = 0
    availability_zone: str | None = None
    is_alive: bool = True
    is_enabled: bool = True
    fault: str | None = None
    reported_at: str | None = None
    volume_count: int = 0
    filter_function: str | None = None
    goodness_function: str | None = None
    replication_status: str | None = None
    wholes: tuple = ()

    @property
    def backend(self):
        return hosts.backend_of(self.host)

    @property
    def is_bounded(self):
        """Whether it can be told what is left."""
        return capacity.is_known(self.total_bytes, self.free_bytes)

    @property
    def reserved_bytes(self):
        return self.total_bytes * self.reserved_percentage // 100

    @property
    def is_thin(self):
        return bool(self.capabilities.get('thin_provisioning_support'))


@dataclasses.dataclass(frozen=True)
class Hints:
    """What the caller asked for besides, already looked up.

    :ivar together: hosts of the volumes of ``same_host``; None without the hint
    :ivar apart: hosts of the volumes of ``different_host``
    :ivar query: the document of ``query``
    :ivar beside: host of the server of ``local_to_instance``
    :ivar faults: hint -> why it cannot be read; then no pool passes its filter
    """

    together: frozenset | None = None
    apart: frozenset = frozenset()
    query: list | None = None
    beside: str | None = None
    faults: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Request:
    """What is looked for.

    :ivar size_bytes: what a user sees; counts as provisioned
    :ivar physical_bytes: what will be written at least; None when not known
    :ivar extra_specs: of the volume type
    :ivar named: only this ``host@backend#pool`` or any pool of this ``host@backend``
    :ivar excluded: not this ``host@backend#pool``
    :ivar tried: nor these, where it failed before
    :ivar volume: the volume's properties, for formulas
    :ivar qos: the type's quality of service, for formulas
    :ivar replication: replication.Wanted, or None
    """

    size_bytes: int
    physical_bytes: int | None = None
    extra_specs: dict = dataclasses.field(default_factory=dict)
    availability_zone: str | None = None
    named: str | None = None
    excluded: str | None = None
    tried: frozenset = frozenset()
    hints: Hints = dataclasses.field(default_factory=Hints)
    volume: dict = dataclasses.field(default_factory=dict)
    qos: dict = dataclasses.field(default_factory=dict)
    replication: object = None

    @property
    def wants_thick(self):
        return self.extra_specs.get('provisioning:type') == 'thick'
