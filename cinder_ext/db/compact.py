"""Rows for answers, where the driver reads in Python: one JSON document a row, not a value a column.

PyMySQL takes half of the time of a long list to read its columns one by one, and a quarter of
that of a single row to read their descriptions.  There a row is asked for as a JSON array, which
is read at once.  Elsewhere, and with mysqlclient, the columns are asked for as they are.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import datetime
import functools

import orjson
import sqlalchemy as sa


class Shape:
    """What is read of each row.

    :param columns: columns, or labels of what is no column

    A row has them as attributes, in this order, whatever the database.
    """

    def __init__(self, *columns):
        self._columns = columns
        self._row = collections.namedtuple('Row', [column.key for column in columns])
        self._read = [(number, _READERS[type(column.type)]) for number, column
                      in enumerate(columns) if type(column.type) in _READERS]

    def selected(self, compact):
        """What to select.

        :param compact: as of is_compact
        :raises ValueError: a column holds documents, of which JSON in JSON would be made
        """
        if not compact:
            return self._columns
        if any(isinstance(column.type, sa.JSON) for column in self._columns):
            raise ValueError('documents cannot be read as a part of one')
        return (sa.func.json_array(*map(_bare, self._columns), type_=sa.Text),)

    def rows(self, result, compact):
        """A list of rows.

        :param result: of a statement that selected just that
        """
        if not compact:
            return list(result)
        documents = orjson.loads(f"[{','.join(result.scalars())}]")
        for number, read in self._read:
            for document in documents:
                if document[number] is not None:
                    document[number] = read(document[number])
        return list(map(self._row._make, documents))


def is_compact(context):
    """Whether a row is to be asked for as one document; the context has a transaction."""
    dialect = context.session.get_bind().dialect
    return dialect.driver == 'pymysql'


@functools.cache
def of_table(table, names):
    """The Shape of some columns of a table.

    :param names: tuple of the columns' names
    """
    return Shape(*(table.c[name] for name in names))


def _bare(column):
    return column.element if isinstance(column, sa.Label) else column


_READERS = {sa.DateTime: datetime.datetime.fromisoformat, sa.Boolean: bool}
"""What JSON has no word for: types of columns and how their values are read."""
