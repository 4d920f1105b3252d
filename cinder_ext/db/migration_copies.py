"""How far the copies of a migration's links are, and what the destination holds of them."""
# SPDX-License-Identifier: Apache-2.0

import functools
import typing

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import models, session, volume_migrations
from cinder_ext.states import migration as states

# What a checkpoint says is made once: building a statement takes as long as a small one itself.
_Records, _Links, _Deltas = (
    model.__table__ for model in (
        models.VolumeMigration, models.MigrationLink, models.MigrationDelta))
_DROP_DELTAS = _Deltas.delete().where(
    _Deltas.c.migration_id == sa.bindparam('of_id'), _Deltas.c.number == sa.bindparam('of_number'),
    _Deltas.c.segment == sa.bindparam('of_segment'))
_SET_LINK = _Links.update().where(
    _Links.c.migration_id == sa.bindparam('of_id'), _Links.c.number == sa.bindparam('of_number'))


@functools.lru_cache(maxsize=8)
def _adding(columns):
    """The statement that adds to figures of a record that is being copied."""
    return _Records.update().where(
        _Records.c.id == sa.bindparam('of_id'), _Records.c.attempt == sa.bindparam('of_attempt'),
        _Records.c.phase.in_((states.COPYING, states.PAUSED))).values(
        updated_at=sa.bindparam('updated_at'),
        **{column: _Records.c[column] + sa.bindparam(f'more_{column}') for column in columns})


class Checkpoint(typing.NamedTuple):
    """How far a link is; what it describes is on the destination's medium.

    :ivar number: of the link
    :ivar deltas: a list of (segment, bytes); each replaces what was stored for the segment
    :ivar link_values: columns of the link
    :ivar added: bytes to add to figures of the record, column -> bytes; the same columns for all
    """

    number: int
    deltas: list
    link_values: dict
    added: dict


@session.writer
def store(context, migration_id, checkpoints, attempt):
    """Store how far some links are.

    :param checkpoints: Checkpoint of each, at least one
    :param attempt: number of the caller's
    :raises RecordLost: another attempt has begun, or the migration is being undone

    The last one of a copy comes when it is paused already.
    """
    now = timeutils.utcnow()
    columns = tuple(checkpoints[0].added)
    held = context.session.execute(_adding(columns), {
        'of_id': migration_id, 'of_attempt': attempt, 'updated_at': now,
        **{f'more_{column}': sum(each.added[column] for each in checkpoints)
           for column in columns}}).rowcount
    if not held:
        found = volume_migrations.get(context, migration_id)
        raise exceptions.RecordLost(id=migration_id, phase=found.phase,
                                    expected=f'{states.COPYING} in attempt {attempt}')
    deltas = [(each.number, segment, delta) for each in checkpoints
              for segment, delta in each.deltas]
    if deltas:
        context.session.execute(_DROP_DELTAS, [
            {'of_id': migration_id, 'of_number': number, 'of_segment': segment}
            for number, segment, _ in deltas])
        context.session.execute(_Deltas.insert(), [
            {'migration_id': migration_id, 'number': number, 'segment': segment, 'delta': delta}
            for number, segment, delta in deltas])
    for each in checkpoints:
        context.session.execute(_SET_LINK, {
            'of_id': migration_id, 'of_number': each.number, **each.link_values,
            'updated_at': now})


@session.reader
def deltas(context, migration_id, number):
    """The stored deltas of one link: a list of (segment, bytes), ascending."""
    table = models.MigrationDelta
    return [tuple(row) for row in context.session.execute(
        sa.select(table.segment, table.delta)
        .where(table.migration_id == migration_id, table.number == number)
        .order_by(table.segment))]


@session.writer
def forget_copies(context, migration_id):
    """The destination was removed: what is known of its content goes with it."""
    context.session.execute(sa.delete(models.MigrationDelta)
                            .where(models.MigrationDelta.migration_id == migration_id))
    context.session.execute(
        sa.update(models.MigrationLink).where(models.MigrationLink.migration_id == migration_id)
        .values(position=0, bytes_done=0, bytes_written=0, digest=None, copied_at=None,
                sealed_at=None, verified_at=None))
