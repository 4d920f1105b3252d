"""What migrations have claimed of their destinations, before the first byte is written.

A claim is stored with the plan, behind a row per pool that only one such transaction holds at a
time: of two migrations that fit alone and not together one is refused.  A claim ends with its
migration, since only those that still write are counted: there is nothing to give back.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import dataclasses
import functools

import sqlalchemy as sa

from cinder_ext.db import models, quotas, session, volume_migrations
from cinder_ext.states import migration as states

_Record = models.VolumeMigration
_Link = models.MigrationLink

WRITING = (states.PREFLIGHT, states.COPYING, states.VERIFYING, states.SWAPPING, states.PAUSED,
           states.COMMITTING)
"""What is in one of these may still take room at its destination."""

PHYSICAL, VIRTUAL = 'physical', 'virtual'

_GIB = 1024 ** 3


@dataclasses.dataclass(frozen=True)
class Claim:
    """Bytes of one pool: on its medium, and of its virtual size."""

    physical: int = 0
    virtual: int = 0

    def __add__(self, other):
        return Claim(self.physical + other.physical, self.virtual + other.virtual)


NOTHING = Claim()


@dataclasses.dataclass(frozen=True)
class Room:
    """What a pool had left when it was asked; None where it has no limit."""

    physical: int | None = None
    virtual: int | None = None

    def lacks(self, claim, others):
        """Which of PHYSICAL and VIRTUAL do not suffice for a claim beside others.

        :param others: Claim
        """
        needed = claim + others
        found = ((PHYSICAL, needed.physical, self.physical),
                 (VIRTUAL, needed.virtual, self.virtual))
        return [name for name, wanted, left in found if left is not None and wanted > left]


@session.reader
def outstanding(context, host, but=None):
    """What the migrations to a pool have claimed and not yet taken: migration id -> Claim.

    :param host: ``host@backend#pool``
    :param but: id of a migration that does not count

    Read before the pool is asked what it has left, so that nothing is missed in between.
    """
    found = [record for record in _claimed(context, host) if record.id != but]
    taken = _taken(context, found)
    return {record.id: _rest(record, taken[record.id]) for record in found}


@session.writer
def save_plan(context, record, planned, values, claim, room, seen):
    """Store a plan and its claim, and begin to copy, if the pool has the room.

    :param record: models.VolumeMigration in its preflight
    :param planned, values: as volume_migrations.save_plan
    :param claim: Claim
    :param room: Room, as the pool said after ``seen`` was read
    :param seen: outstanding() of the pool
    :returns: what does not suffice, a list of PHYSICAL and VIRTUAL; then nothing was stored
    """
    host = record.destination_host
    _lock(context, host)
    # Who was not seen then may have written since: the whole claim counts.
    now = {each.id: Claim(each.claimed_bytes, each.claimed_virtual_bytes)
           for each in _claimed(context, host) if each.id != record.id}
    lacking = room.lacks(claim, sum({**now, **seen}.values(), NOTHING))
    if not lacking:
        volume_migrations.save_plan(context, record.id, planned, {
            **values, 'claimed_bytes': claim.physical, 'claimed_virtual_bytes': claim.virtual})
    return lacking


def _lock(context, host):
    """Keep other claims on a pool waiting until the commit."""
    if context.session.get_bind().dialect.name != 'sqlite':
        # Writers of SQLite come one after another anyway.
        quotas.put(context, models.PoolLock, {'host': host})


@dataclasses.dataclass(frozen=True)
class Load:
    """What migrations will put into a pool beside what it reports.

    :ivar claim: Claim of those that have a plan
    :ivar expected: (how many, bytes) of the volumes that have been sent there and have none yet
    """

    claim: Claim = NOTHING
    expected: tuple = (0, 0)


@session.reader
def loads(context):
    """Load of each pool that migrations are on their way to: ``host@backend#pool`` -> Load."""
    claimed = _claimed(context)
    taken = _taken(context, claimed) if claimed else {}
    found = collections.defaultdict(Load)
    for record in claimed:
        load = found[record.destination_host]
        found[record.destination_host] = dataclasses.replace(
            load, claim=load.claim + _rest(record, taken[record.id]))
    for host, size in _expected(context):
        count, expected_bytes = found[host].expected
        found[host] = dataclasses.replace(
            found[host], expected=(count + 1, expected_bytes + size * _GIB))
    return dict(found)


def _expected(context):
    return context.session.execute(_expected_query()).all()


@functools.cache
def _expected_query():
    """Made once: each new volume is placed by what it finds."""
    return (sa.select(_Record.destination_host, models.Volume.size)
            .join(models.Volume, models.Volume.id == _Record.volume_id)
            .where(_Record.phase.in_((states.PREFLIGHT, states.PAUSED)),
                   _Record.claimed_bytes.is_(None), _Record.destination_host.is_not(None)))


def _claimed(context, host=None):
    # Some collations do not tell cases apart.
    return [row for row in context.session.execute(_claimed_query(host is not None), {'host': host})
            if host is None or row.destination_host == host]


@functools.cache
def _claimed_query(of_host):
    query = sa.select(_Record.id, _Record.destination_host, _Record.claimed_bytes,
                      _Record.claimed_virtual_bytes, _Record.bytes_written, _Record.promises).where(
        _Record.phase.in_(WRITING), _Record.claimed_bytes.is_not(None))
    if of_host:
        query = query.where(_Record.destination_host == sa.bindparam('host'))
    return query


def _taken(context, records):
    """What each record's destination has been given already: migration id -> Claim.

    Never more than it is: what a snapshot that is a copy takes is not counted.
    """
    made = collections.defaultdict(lambda: (0, 0))
    links = context.session.execute(
        sa.select(_Link.migration_id, _Link.size_bytes, _Link.sealed_at, _Link.copied_at,
                  _Link.position)
        .where(_Link.migration_id.in_([record.id for record in records])))
    for link in links:
        volume_bytes, sealed_bytes = made[link.migration_id]
        if link.copied_at is not None or link.position:
            volume_bytes = max(volume_bytes, link.size_bytes)
        if link.sealed_at is not None:
            sealed_bytes += link.size_bytes
        made[link.migration_id] = volume_bytes, sealed_bytes
    found = {}
    for record in records:
        volume_bytes, sealed_bytes = made[record.id]
        is_thin = (record.promises or {}).get('thin', False)
        found[record.id] = Claim(record.bytes_written if is_thin else volume_bytes + sealed_bytes,
                                 volume_bytes)
    return found


def _rest(record, taken):
    return Claim(max(0, record.claimed_bytes - taken.physical),
                 max(0, record.claimed_virtual_bytes - taken.virtual))
