"""The scheduler hint ``query``: a condition on pools, written as nested lists.

``["and", [">=", "$free_capacity_gb", 100], ["=", "$capabilities.storage_protocol", "file"]]``

The first element is the operator: ``= < > <= >= in not or and``.  A text that begins with ``$``
is looked up, first among ``host``, the capacities and ``capabilities``.
"""
# SPDX-License-Identifier: Apache-2.0

import json
import operator

from cinder_ext.scheduler import figures

MOST_CHARACTERS = 4096
MOST_DEPTH = 16

_COMPARISONS = {'=': operator.eq, '<': operator.lt, '>': operator.gt, '<=': operator.le,
                '>=': operator.ge}


class QueryError(Exception):
    """It is no query; the text says why."""


def read(hint):
    """The document of a hint.

    :param hint: JSON text, or the list itself
    :raises QueryError: it is too long, too deep or no list, or has an operator that is unknown
    """
    try:
        text = hint if isinstance(hint, str) else json.dumps(hint)
        # Looked at before it is read.
        document = json.loads(text) if len(text) <= MOST_CHARACTERS else None
    except (ValueError, RecursionError) as fault:
        raise QueryError('it is no JSON') from fault
    if len(text) > MOST_CHARACTERS:
        raise QueryError(f'it is longer than {MOST_CHARACTERS} characters')
    _check(document, MOST_DEPTH)
    return document


def _check(part, depth):
    if depth == 0:
        raise QueryError(f'it is nested deeper than {MOST_DEPTH} levels')
    if not isinstance(part, list):
        raise QueryError('a condition is a list')
    if part and part[0] not in (*_COMPARISONS, 'in', 'not', 'or', 'and'):
        raise QueryError('an operator is unknown')
    for each in part[1:]:
        if isinstance(each, list):
            _check(each, depth - 1)
        elif isinstance(each, dict):
            raise QueryError('a value is an object')


def holds(query, pool):
    """Whether a pool is what a query, as ``read`` gave it, asks for."""
    found = _value(query, {'host': pool.host, **figures.capabilities(pool),
                           'capabilities': figures.capabilities(pool)})
    return any(found) if isinstance(found, list) else bool(found)


def _value(query, known):
    if not query:
        return True
    cooked = [_value(each, known) if isinstance(each, list) else _looked_up(each, known)
              for each in query[1:]]
    cooked = [each for each in cooked if each is not None]
    if query[0] == 'not':
        return [not each for each in cooked]
    if query[0] in ('or', 'and'):
        return any(cooked) if query[0] == 'or' else all(cooked)
    return _compared(query[0], cooked)


def _looked_up(value, known):
    if not isinstance(value, str) or not value.startswith('$'):
        return value or None if isinstance(value, str) else value
    for name in value[1:].split('.'):
        known = known.get(name) if isinstance(known, dict) else None
    return known


def _compared(word, values):
    """The first value with each other one; false without another."""
    if len(values) < 2:
        return False
    if word == 'in':
        return values[0] in values[1:]
    try:
        return all(_COMPARISONS[word](values[0], each) for each in values[1:])
    except TypeError:
        return False
