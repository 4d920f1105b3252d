"""Rows and machines: what may follow what, as data.

A machine names one status column and holds the rows that may change it.  It
does no I/O: ``db/transition.py`` turns a row into a compare-and-swap.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """On ``event``, any of ``sources`` becomes ``target``."""

    event: str
    sources: tuple
    target: str


class Machine:
    """The life of one status column.

    :param kind: the thing that has the column: ``volume``, ``snapshot`` ...
    :param column: the column's name
    :param initial: states that a new row may start in
    :param rows: iterable of Row; an event has one row
    :raises ValueError: an event has two rows
    """

    def __init__(self, kind, column, initial, rows):
        self.kind = kind
        self.column = column
        self.initial = tuple(initial)
        self._rows = {}
        for row in rows:
            if row.event in self._rows:
                raise ValueError(f'{kind}: two rows for {row.event}')
            self._rows[row.event] = row

    def __iter__(self):
        return iter(self._rows.values())

    def row(self, event):
        """The row of an event; KeyError when there is none (a programming error)."""
        return self._rows[event]

    @property
    def states(self):
        """Every state that occurs, sorted; None, that a column is empty, is not among them."""
        found = set(self.initial)
        for row in self:
            found.update(row.sources)
            found.add(row.target)
        return sorted(found - {None})
