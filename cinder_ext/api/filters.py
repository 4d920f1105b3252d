"""Filters of lists: from the query to conditions that db/listing.py understands.

A resource declares a table ``name on the wire -> Filter``.  Names that are
not in it were ignored below 3.31 and are refused from there on, as upstream.
From 3.34 on ``name~=part`` matches a part of a text.  What projects may use is
further narrowed by ``filter_names.py``, for lists that it knows.
"""
# SPDX-License-Identifier: Apache-2.0

import ast
import dataclasses

from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.api import filter_names, microversion, pagination, validation
from cinder_ext.db import listing

UNKNOWN = microversion.ByVersion({'3.0': 'ignored', '3.31': 'refused'})
LIKE = microversion.ByVersion({'3.0': False, '3.34': True})

_OPERATORS = ('gt', 'gte', 'eq', 'neq', 'lt', 'lte')


@dataclasses.dataclass(frozen=True)
class Filter:
    """One filter.

    ``column``  of the table; ``read`` turns the text into its value, or into several conditions
    ``like``    a text: a part may be matched
    ``admin``   only administrators may filter by it; for others it is unknown
    ``since``   unknown below this version
    ``word``    name in filter_names.py, where it is not the name on the wire
    ``is_open`` for everybody, whatever filter_names.py says
    ``before``  (version, read): how the value is read below that version
    ``tables``, ``via``  as listing.Condition has them
    """

    column: str
    read: object = None
    like: bool = False
    admin: bool = False
    since: str = microversion.MIN
    word: str | None = None
    is_open: bool = False
    before: tuple | None = None
    tables: tuple = ()
    via: tuple | None = None


def text(column, **more):
    """A text that must be equal; the word ``none`` is not special."""
    return Filter(column, _equal, like=True, **more)


def nullable(column, **more):
    """A text; ``none`` and ``null`` mean that there is none."""
    return Filter(column, _equal_or_null, **more)


def flag(column, **more):
    """A boolean."""
    return Filter(column, _flag, **more)


def number(column, **more):
    """A whole number."""
    return Filter(column, _number, **more)


def time(column, **more):
    """Comparisons: ``gt:2026-01-01T00:00:00,lte:2026-02-01``; without operator: equal."""
    return Filter(column, _times, **more)


def pairs(column='metadata', **more):
    """Metadata: a dictionary in Python's or JSON's notation, all of which must be there."""
    return Filter(column, _pairs, **more)


def lax_flag(column, until, **more):
    """A boolean that below the version ``until`` was true for every word but ``false``."""
    return Filter(column, _flag, before=(until, _lax_flag), **more)


def conditions(call, table, resource=None, unknown=UNKNOWN):
    """The conditions of a query.

    :param table: name -> Filter
    :param resource: word of filter_names.py; None: ``Filter.admin`` alone says who may
    :param unknown: table of what happens to filters that are not served
    :returns: a list of listing.Condition
    :raises InvalidInput: a filter that is not served, or a value that cannot be
    """
    found, refused = [], []
    for name, value in call.query.items():
        if name in pagination.PARAMETERS:
            continue
        part = name.endswith('~') and call.at(LIKE)
        declared = table.get(name[:-1] if part else name)
        if not _served(call, declared, name, resource) or (part and not declared.like):
            refused.append(name)
        else:
            found.extend(_conditions(call, declared, name, value, part))
    if refused and call.at(unknown) == 'refused':
        raise exceptions.InvalidInput(
            reason=f"filters {', '.join(refused)[:255]} are not supported here.")
    return found


def _served(call, declared, name, resource):
    if declared is None or not microversion.reached(call.version, declared.since):
        return False
    if call.context.is_admin:
        return True
    if resource is None or declared.is_open:
        return not declared.admin
    if declared.word is not None:
        name = declared.word + '~' * name.endswith('~')
    return filter_names.allows(call.conf, resource, name)


def _conditions(call, declared, name, value, part):
    read = declared.read
    if part:
        read = _part
    elif declared.before and not microversion.reached(call.version, declared.before[0]):
        read = declared.before[1]
    return [dataclasses.replace(each, tables=declared.tables, via=declared.via)
            for each in read(name, declared.column, value)]


def _part(_name, column, value):
    return [listing.Condition(column, 'like', value)]


def _lax_flag(_name, column, value):
    return [listing.Condition(column, 'eq', value.strip().lower() != 'false')]


def _equal(_name, column, value):
    return [listing.Condition(column, 'eq', value)]


def _equal_or_null(_name, column, value):
    missing = value.lower() in ('none', 'null')
    return [listing.Condition(column, 'eq', None if missing else value)]


def _flag(name, column, value):
    return [listing.Condition(column, 'eq', pagination.truth(name, value))]


def _number(name, column, value):
    if not (value.isascii() and value.isdecimal() and int(value[:20]) <= validation.MAX_INT):
        raise exceptions.InvalidInput(reason=f'{name} must be an integer: {value[:255]!r}')
    return [listing.Condition(column, 'eq', int(value))]


def _times(name, column, value):
    return [_time(name, column, part) for part in value.split(',')]


def _time(name, column, part):
    operator, _, moment = part.strip().partition(':')
    if operator not in _OPERATORS:
        operator, moment = 'eq', part.strip()
    try:
        at = timeutils.normalize_time(timeutils.parse_isotime(moment))
    except (ValueError, OverflowError):
        raise exceptions.InvalidInput(reason=f'{name} is no comparison with a time: {part[:255]!r}')
    return listing.Condition(column, operator, at)


def _pairs(name, column, value):
    try:
        found = ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        found = None
    if not isinstance(found, dict) or not all(
            isinstance(word, str) for pair in found.items() for word in pair):
        raise exceptions.InvalidInput(reason=f'{name} is no dictionary of texts: {value[:255]!r}')
    return [listing.Condition(column, 'has', pair) for pair in found.items()]
