"""Who works on what is recorded: a lease without clocks, and the fence that holds a worker to it.

The record names its ``owner``; ``attempt`` is the fencing number and grows
whenever somebody takes the work up; ``beat`` grows with each sign of the
owner.  Nobody compares times of two machines: a candidate waits until it has
seen one pair of attempt and beat for long enough, and takes the lease if it
is still that pair.

A worker's context carries its Fence.  Every transaction that writes and was
begun with such a context begins with the fence: it is counted as a sign of
the owner, and refused when another attempt has begun (db/session.py).  So
what a worker stores is fenced wherever it is stored.
"""
# SPDX-License-Identifier: Apache-2.0

import typing

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import models, replication_models, session
from cinder_ext.states import migration as states

_Record = models.VolumeMigration
_Link = models.MigrationLink

MIGRATION = 'migration'
REPLICATION = 'replication'
OPERATION = 'replication_operation'

_MODELS = {
    MIGRATION: models.VolumeMigration,
    REPLICATION: replication_models.Replication,
    OPERATION: replication_models.ReplicationOperation,
}
"""Kinds of records that have an owner: tables with ``owner``, ``attempt`` and ``beat``."""


# Made once: they go with every transaction of a worker and every call that it makes to a destination.
_STANDS = sa.select(models.VolumeMigration.__table__.c['attempt', 'phase']).where(
    models.VolumeMigration.__table__.c.id == sa.bindparam('of_id'))
_SIGNS = {
    kind: model.__table__.update().where(
        model.__table__.c.id == sa.bindparam('of_id'),
        model.__table__.c.attempt == sa.bindparam('of_attempt')).values(
        beat=model.__table__.c.beat + 1, updated_at=model.__table__.c.updated_at)
    for kind, model in _MODELS.items()}


class Standing(typing.NamedTuple):
    """How the lease of a record stands."""

    id: str
    owner: str | None
    attempt: int
    beat: int
    kind: str = MIGRATION


class Fence:
    """The right of one attempt to write.

    :ivar record_id: of the record that it owns
    :ivar attempt: its number
    :ivar kind: of the record: MIGRATION, REPLICATION or OPERATION
    """

    def __init__(self, record_id, attempt, kind=MIGRATION):
        self.record_id = record_id
        self.attempt = attempt
        self.kind = kind
        self._is_lost = False

    def __repr__(self):
        return f'attempt {self.attempt} of {self.kind} {self.record_id}'

    @property
    def is_lost(self):
        """Whether it was seen that another attempt has begun."""
        return self._is_lost

    def lose(self):
        """Another attempt has begun: nothing is written any more, without asking."""
        self._is_lost = True

    def hold(self, context):
        """Begin a transaction: its record is locked, so that nobody takes over before its end.

        :raises RecordLost: another attempt has begun
        """
        if self._is_lost or not _renew(context, self):
            self.lose()
            raise _lost(self.record_id, self.attempt, None)


def fenced(context, fence):
    """A copy of a context whose writing transactions are held to a fence."""
    made = type(context).from_dict(context.to_dict(), overwrite=False)
    made.fence = fence
    return made


def _lost(migration_id, attempt, phase):
    return exceptions.RecordLost(id=migration_id, phase=phase or 'unknown',
                                 expected=f'attempt {attempt}')


def _renew(context, fence):
    return context.session.execute(_SIGNS[fence.kind], {
        'of_id': fence.record_id, 'of_attempt': fence.attempt}).rowcount == 1


@session.reader
def standings(context, record_ids, kind=MIGRATION):
    """How the leases of some records stand: a list of Standing, in the order of the ids."""
    record = _MODELS[kind]
    rows = context.session.execute(
        sa.select(record.id, record.owner, record.attempt, record.beat)
        .where(record.id.in_(record_ids)))
    found = {row.id: Standing(*row, kind) for row in rows}
    return [found[each] for each in record_ids if each in found]


@session.reader
def owners(context):
    """The owners that records of any kind name."""
    return {owner for record in _MODELS.values() for owner in context.session.execute(
        sa.select(record.owner).where(record.owner.is_not(None)).distinct()).scalars()}


@session.reader
def check(context, migration_id, attempt):
    """What a worker asks of another service is done for it only while it has the lease.

    :raises RecordLost: another attempt has begun
    """
    row = context.session.execute(_STANDS, {'of_id': migration_id}).first()
    if row is None or row.attempt != attempt:
        raise _lost(migration_id, attempt, row and row.phase)


@session.writer
def take(context, standing, owner, is_doubtful):
    """Take a lease that stands as it was seen.

    :param is_doubtful: nobody knows that the owner before is dead: what it began to write
        may still arrive at the destination
    :returns: Fence; None when it does not stand so any more
    """
    record = _MODELS[standing.kind]
    values = {'owner': owner, 'attempt': standing.attempt + 1, 'beat': 0,
              'updated_at': record.updated_at}
    if is_doubtful:
        values['doubtful_attempt'] = standing.attempt + 1
    taken = context.session.execute(
        sa.update(record)
        .where(record.id == standing.id, record.attempt == standing.attempt,
               record.beat == standing.beat)
        .values(values).execution_options(synchronize_session=False)).rowcount
    return Fence(standing.id, standing.attempt + 1, standing.kind) if taken else None


@session.writer
def renew(context, fences):
    """Show that the owner lives.

    :returns: those of the fences that hold no more
    """
    return [fence for fence in fences if not _renew(context, fence)]


@session.writer
def release(context, fence):
    """Give a lease back: whoever wants it takes it at once.  Idempotent."""
    record = _MODELS[fence.kind]
    context.session.execute(
        sa.update(record)
        .where(record.id == fence.record_id, record.attempt == fence.attempt)
        .values(owner=None, updated_at=record.updated_at)
        .execution_options(synchronize_session=False))


@session.writer
def settle(context, migration_id, attempt):
    """The doubts up to an attempt are settled: nobody writes to the destination but its owner."""
    context.session.execute(
        sa.update(_Record).where(_Record.id == migration_id)
        .values(superseded_attempt=attempt).execution_options(synchronize_session=False))


@session.writer
def supersede(context, migration_id, attempt, names, leftovers):
    """The destination's volume and snapshots have other names from now on.

    :param attempt: the doubts up to this one are settled with it
    :param names: a list of (number of the link, name_id, location); the head's is the volume's
    :param leftovers: what the record lists from now on
    :raises RecordLost: it is not being copied any more
    """
    head = names[-1]
    held = context.session.execute(
        sa.update(_Record)
        .where(_Record.id == migration_id, _Record.phase == states.COPYING)
        .values(destination_name_id=head[1], destination_location=head[2],
                superseded_attempt=attempt, leftovers=leftovers)
        .execution_options(synchronize_session=False)).rowcount
    if not held:
        phase = context.session.execute(
            sa.select(_Record.phase).where(_Record.id == migration_id)).scalar()
        raise exceptions.RecordLost(id=migration_id, phase=phase, expected=states.COPYING)
    for number, name_id, location in names:
        context.session.execute(
            sa.update(_Link).where(_Link.migration_id == migration_id, _Link.number == number)
            .values(destination_name_id=name_id, destination_location=location))
