"""Lists: one page of a table, as plain rows, by keyset.

A page follows a marker by comparing the sort keys of the marker's row, so that
the hundredth page costs what the first one does and rows that come and go do
not shift it.  Where a sort key may be null, null counts as the least value on
every database.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import operator

import sqlalchemy as sa

from cinder_ext.db import compact, session

_COMPARE = {'eq': operator.eq, 'neq': operator.ne, 'gt': operator.gt, 'gte': operator.ge,
            'lt': operator.lt, 'lte': operator.le}


@dataclasses.dataclass(frozen=True)
class Condition:
    """``column`` of the table, compared with ``value``.

    ``comparison``: eq, neq, gt, gte, lt, lte; ``in`` for a list; ``like`` for a part of a text,
    whatever its case; ``has`` for a (key, value) of the metadata, ``has like`` for a part of the
    value; ``clause`` for a ready expression of SQLAlchemy, made by this package
    ``tables``  for ``has``: (model, name of its reference) of each table to look into, where they
    are not the list's own
    ``via``  (name of a reference, model): the column is the other table's
    """

    column: str
    comparison: str
    value: object
    tables: tuple = ()
    via: tuple | None = None


@dataclasses.dataclass(frozen=True)
class Page:
    """Which part of a list: ``keys`` are (column, asc or desc) and end with the unique one."""

    keys: tuple = (('created_at', 'desc'), ('id', 'desc'))
    marker: str | None = None
    limit: int | None = None
    offset: int = 0


@session.reader
def rows(context, model, page, conditions=(), project_id=None, missing=None, metadata=None,
         columns=None):
    """One page of the rows that are not deleted.

    :param project_id: only this project's; None: everybody's
    :param missing: exception class for a marker that is not in the list, raised with its id
    :param metadata: (model, name of its reference) for conditions on metadata, or a dictionary
        of them by the conditions' columns
    :param columns: names of those that are wanted, ``id`` among them, a tuple; by default all
    :returns: a list of Core rows, or with ``columns`` of compact.Shape's
    """
    where = _where(model, conditions, project_id, metadata)
    if page.marker is not None:
        where.append(_after(_marker(context, model, page, where, missing), model, page.keys))
    table, as_document = model.__table__, columns is not None and compact.is_compact(context)
    shape = compact.of_table(table, columns or tuple(table.c.keys()))
    query = (sa.select(*shape.selected(as_document)).where(*where)
             .order_by(*_order(model, page.keys)).limit(page.limit).offset(page.offset or None))
    return shape.rows(context.session.execute(query), as_document)


@session.reader
def count(context, model, conditions=(), project_id=None, metadata=None):
    """How many rows a list has, on all its pages."""
    where = _where(model, conditions, project_id, metadata)
    return context.session.execute(
        sa.select(sa.func.count()).select_from(model).where(*where)).scalar_one()


@session.reader
def metadata_of(context, model, reference, ids):
    """Metadata of many: id -> dictionary; one statement.

    :param model: table of the metadata; ``reference`` is its column with the owner's id
    """
    found, owner = {}, getattr(model, reference)
    for row_id, key, value in context.session.execute(
            sa.select(owner, model.key, model.value).where(owner.in_(ids))):
        found.setdefault(row_id, {})[key] = value
    return found


@session.reader
def names_of(context, model, ids):
    """Names of some rows, of deleted ones too: id -> name; one statement."""
    wanted = set(ids) - {None}
    if not wanted:
        return {}
    return dict(context.session.execute(
        sa.select(model.id, model.name).where(model.id.in_(wanted))).all())


def _alive(model):
    return [model.deleted_at.is_(None)] if hasattr(model, 'deleted_at') else []


def _where(model, conditions, project_id, metadata):
    where = _alive(model)
    if project_id is not None:
        where.append(model.project_id == project_id)
    where.extend(_clause(model, condition, metadata) for condition in conditions)
    return where


def _clause(model, condition, metadata):
    if condition.comparison == 'clause':
        return condition.value
    if condition.comparison in ('has', 'has like'):
        return sa.or_(*(_pair(model, condition, *table) for table in condition.tables or (metadata,)))
    if condition.via is not None:
        reference, other = condition.via
        inner = _clause(other, dataclasses.replace(condition, via=None), None)
        return getattr(model, reference).in_(sa.select(other.id).where(inner))
    return _compared(getattr(model, condition.column), condition)


def _pair(model, condition, table, reference):
    key, value = condition.value
    wanted = (table.value == value if condition.comparison == 'has'
              else table.value.icontains(value, autoescape=True))
    return sa.exists().where(getattr(table, reference) == model.id, table.key == key, wanted)


def _compared(column, condition):
    if condition.comparison == 'in':
        return column.in_(condition.value)
    if condition.comparison == 'like':
        return column.icontains(condition.value, autoescape=True)
    return _COMPARE[condition.comparison](column, condition.value)


def _marker(context, model, page, where, missing):
    columns = [getattr(model, name) for name, _direction in page.keys]
    found = context.session.execute(
        sa.select(*columns).where(model.id == page.marker, *where)).first()
    if found is None:
        raise missing(id=page.marker)
    return found


def _order(model, keys):
    for name, direction in keys:
        column = getattr(model, name)
        for term in ([column.is_not(None)] if column.nullable else []) + [column]:
            yield term.asc() if direction == 'asc' else term.desc()


def _after(values, model, keys):
    """Rows behind ``values``: greater in one key and equal in all before it."""
    branches, equal = [], []
    for (name, direction), value in zip(keys, values, strict=True):
        column = getattr(model, name)
        branches.append(sa.and_(*equal, _beyond(column, value, direction)))
        equal.append(column.is_(None) if value is None else column == value)
    return sa.or_(*branches)


def _beyond(column, value, direction):
    if direction == 'asc':
        return column.is_not(None) if value is None else column > value
    if value is None:
        return sa.false()
    return sa.or_(column < value, column.is_(None)) if column.nullable else column < value
