"""Removes what was deleted long ago, with all that hangs on it."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext.db import (
    group_models,
    messages,
    models,
    project_models,
    replication_models,
    session,
    type_models,
)
from cinder_ext.states import replication

BATCH = 500
"""Rows of one table in one transaction."""

_METADATA = models.Base.metadata
_MODULES = (group_models, project_models, replication_models, type_models)
"""Their tables are in the metadata once they are imported."""
_OPERATIONS = replication_models.ReplicationOperation.__table__
"""They are not deleted, but end."""


def purge(context, days):
    """Remove rows that were deleted, or operations that ended, at least so many days ago, and
    messages that have expired.

    A row that others refer to stays until they are gone.  Idempotent; may be interrupted.

    :returns: table -> number of its rows that were removed, without what hung on them
    """
    cutoff = timeutils.utcnow() - datetime.timedelta(days=days)
    removed = {}
    # Children first: a parent that they refer to is free afterwards.
    for table in reversed(_METADATA.sorted_tables):
        if 'deleted_at' in table.c or table is _OPERATIONS:
            while count := _purge_some(context, table, cutoff):
                removed[table.name] = removed.get(table.name, 0) + count
    expired = messages.purge_expired(context)
    return {**removed, 'messages': expired} if expired else removed


@session.writer
def _purge_some(context, table, cutoff):
    """Remove a batch; returns how many rows of the table it had."""
    kept = [sa.exists().where(column == table.c.id)
            for child, column in _references(table) if 'deleted_at' in child.c]
    ids = list(context.session.execute(
        sa.select(table.c.id).where(_is_past(table, cutoff), *[sa.not_(each) for each in kept])
        .limit(BATCH)).scalars())
    if ids:
        _remove(context, table, ids)
    return len(ids)


def _is_past(table, cutoff):
    if table is _OPERATIONS:
        return sa.and_(table.c.finished_at <= cutoff, table.c.state.not_in(replication.OPEN))
    return table.c.deleted_at <= cutoff


def _remove(context, table, ids, is_erasing=False):
    """Remove rows by id, after what hangs on them.

    :param is_erasing: what hangs on them goes too where it has a deletion of its own
    """
    for child, column in _references(table):
        if 'deleted_at' in child.c and not is_erasing:
            continue
        if 'id' in child.c:
            hanging = list(context.session.execute(
                sa.select(child.c.id).where(column.in_(ids))).scalars())
            if hanging:
                _remove(context, child, hanging, is_erasing)
        else:
            context.session.execute(sa.delete(child).where(column.in_(ids)))
    context.session.execute(sa.delete(table).where(table.c.id.in_(ids)))


@session.writer
def erase(context, table, row_id):
    """Remove a deleted row at once, with all that refers to it: its id is wanted again.

    A row that is not deleted stays.  Idempotent.
    """
    is_deleted = context.session.execute(
        sa.select(table.c.id).where(table.c.id == row_id, table.c.deleted_at.is_not(None))).first()
    if is_deleted is not None:
        _remove(context, table, [row_id], is_erasing=True)


def _references(table):
    """(table, column) of every foreign key to a table's id."""
    return [(child, key.parent) for child in _METADATA.sorted_tables
            for key in child.foreign_keys if key.column is table.c.id]
