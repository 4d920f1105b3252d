"""One operation of replication at work: its record, its members by replication, their drivers."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import functools
import uuid
from concurrent import futures

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import lease, operation_members, replication_operations
from cinder_ext.drivers import values as drivers
from cinder_ext.volume import engine, values
from cinder_ext.volume.replication import scopes

LOG = log.getLogger(__name__)

_NAMESPACE = uuid.UUID('0c6a1f0a-3b1e-5b4a-8f57-7d5f3ce10d10')

AT_ONCE = 8
"""Calls of a driver that an operation has under way: they wait for the medium, not the processor."""

@dataclasses.dataclass(frozen=True)
class Mate:
    """A member that takes part.

    :ivar row: replication_models.ReplicationOperationMember
    :ivar volume: models.Volume
    :ivar snapshots: models.Snapshot, oldest first
    """

    row: object
    volume: object
    snapshots: tuple

    @property
    def id(self):
        return self.row.id

    @property
    def member(self):
        """As a driver knows it."""
        return drivers.Member(values.volume_value(self.volume), tuple(
            values.snapshot_value(each, self.volume) for each in self.snapshots))


@dataclasses.dataclass(frozen=True)
class Unit:
    """A replication with those of its members that take part.

    :ivar replication: its row, as it is now
    :ivar source, destination: the sides that the operation moves it from and to; None: home
    """

    replication: object
    mates: tuple
    source: str | None
    destination: str | None

    @property
    def members(self):
        return [mate.member for mate in self.mates]

    def of(self, mates):
        """The same with some of its members."""
        return dataclasses.replace(self, mates=tuple(mates))


class Work:
    """Built anew whenever a process takes an operation up; nothing in it outlives the process.

    :param context: carries the fence of the operation's lease
    :ivar tools: volume.replication.tools.Tools
    """

    def __init__(self, tools, context, operation_id):
        self.tools = tools
        self.context = context
        self.id = operation_id
        asked = self.operation()
        self.verb, self.force, self.dry_run = asked.verb, asked.force, asked.dry_run
        self.is_best_effort = asked.consistency == 'best-effort'
        self._key = f':{asked.doubtful_attempt}' if asked.doubtful_attempt else ''

    def operation(self):
        """The record as it is now."""
        return replication_operations.get(self.context, self.id)

    @property
    def flow_key(self):
        """Another one after each doubtful takeover: what a predecessor that is not dead goes on to
        store of its flow must not be taken for what was done.
        """
        return self.id + self._key

    @property
    def facts(self):
        return self.operation().facts or {}

    @property
    def is_home(self):
        """Whether it brings the volumes home."""
        return self.verb == 'failback'

    @property
    def is_promoting(self):
        """Whether it goes forward only."""
        return bool(self.facts.get('is_promoting'))

    @functools.cached_property
    def scope(self):
        return scopes.of(self.operation())

    def is_strict(self, unit):
        """Whether all of a unit's members are moved, or none."""
        return self.goes_together(unit) and len(unit.mates) > 1

    def goes_together(self, unit):
        """Whether what keeps one member of a unit out keeps the others out."""
        return (scopes.ROWS[unit.replication.scope].is_together and not self.force
                and not self.is_best_effort)

    def driver(self, unit):
        """The driver of a unit's home, which may be dead: it is not started then."""
        return self.tools.driver_of(self.context, unit.replication.home)

    def units(self, *steps):
        """The replications with the members that are not at their ends.

        :param steps: only members whose ``step`` is one of these
        """
        rows = [row for row in replication_operations.members(self.context, self.id, 'pending')
                if row.replication_id and (not steps or row.step in steps)]
        ids = [row.volume_id for row in rows]
        found = operation_members.volumes(self.context, ids)
        snapshots = operation_members.snapshots(self.context, ids)
        replications = operation_members.replications(
            self.context, {row.replication_id for row in rows})
        by_unit = {}
        for row in rows:
            if row.volume_id in found:
                by_unit.setdefault(row.replication_id, []).append(Mate(
                    row, found[row.volume_id], tuple(snapshots[row.volume_id])))
        asked = self.operation()
        return [Unit(replications[each], tuple(mates), *sides(asked, replications[each]))
                for each, mates in by_unit.items()]

    def each(self, function, items):
        """Call ``function(item)`` for each item, several at a time.

        :returns: (a list of (item, what was returned), a list of (item, what went wrong)); what
            goes wrong is a fault of the array, anything else is raised
        :raises Parked: the service is stopping, or another process has taken the operation up
        """
        items = list(items)
        if len(items) < 2:
            outcomes = [self._guarded(function, item) for item in items]
        else:
            with futures.ThreadPoolExecutor(AT_ONCE, 'replication-operation') as pool:
                outcomes = list(pool.map(functools.partial(self._guarded, function), items))
        return ([(item, found) for item, found, fault in outcomes if fault is None],
                [(item, fault) for item, _, fault in outcomes if fault is not None])

    def each_mate(self, function, units):
        """Call ``function(unit, mate)`` for each member of units, several at a time.

        :returns: as each; the items are (unit, mate)
        """
        pairs = [(unit, mate) for unit in units for mate in unit.mates]
        return self.each(lambda pair: function(*pair), pairs)

    def _guarded(self, function, item):
        self.obey()
        try:
            return item, function(item), None
        except (exceptions.DriverError, exceptions.NotFound, exceptions.MemberRefused) as fault:
            return item, None, fault
        except OSError as fault:
            return item, None, exceptions.DriverError(reason=str(fault))

    def obey(self):
        """Look whether to go on.

        :raises Parked: the service is stopping, or another process has taken the operation up
        """
        fence = getattr(self.context, 'fence', None)
        if self.tools.stopping.is_set() or (fence is not None and fence.is_lost):
            raise engine.Parked

    def manifests(self, unit, point_id):
        """What is shipped beside a point: name_id -> bytes."""
        target = next((each for each in self.driver(unit).replication_targets()
                       if each.backend_id == unit.destination), None)
        return self.tools.manifests(self.tools.conf, self.context, unit.replication,
                                    [mate.volume for mate in unit.mates], point_id, target)

    def point_id(self, *of):
        """The id of a point that this operation takes: the same when it is taken again."""
        return uuid_of(self.id, *of)


def uuid_of(*words):
    """A UUID that follows from words."""
    return str(uuid.uuid5(_NAMESPACE, ':'.join(words)))


def sides(operation, replication):
    """From where to where an operation moves a replication: (source, destination); None: home."""
    other = replication.target if replication.source_side is None else None
    if operation.verb == 'failover':
        return replication.source_side, operation.target or replication.target
    if operation.verb == 'failback':
        return replication.target, None
    if operation.verb == 'resync':
        discard = None if operation.discard == 'home' else operation.discard
        return (replication.target if discard is None else None), discard
    return replication.source_side, other


@contextlib.contextmanager
def held(tools, context, operation_id):
    """Own an operation while the block runs; yields a context that carries the fence, or None.

    One that carries the fence already is taken as it is.
    """
    fence = getattr(context, 'fence', None)
    if fence is not None and (fence.kind, fence.record_id) == (lease.OPERATION, operation_id):
        yield context
        return
    with tools.ownership.held(context, operation_id, kind=lease.OPERATION) as fence:
        yield None if fence is None else lease.fenced(context, fence)
