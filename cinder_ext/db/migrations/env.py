"""How alembic runs the schema revisions: on the connection that it is handed.

MariaDB and MySQL are told with every table to tell texts apart that differ in
case, accents or trailing spaces.  Keys of metadata do, and the other
databases do; the default collations do not.
"""
# SPDX-License-Identifier: Apache-2.0

from alembic import context
from sqlalchemy import event

from cinder_ext.db import (
    group_models,
    models,
    project_models,
    replication_models,
    type_models,
)

MODELS = (models, type_models, group_models, project_models, replication_models)
"""Imported so that the metadata knows every table."""

CHARACTERS = 'CHARSET=utf8mb4'
"""What a table of any revision says at its end."""


def _compare_exactly(connection):
    collation = 'utf8mb4_nopad_bin' if connection.dialect.is_mariadb else 'utf8mb4_0900_bin'

    @event.listens_for(connection, 'before_cursor_execute', retval=True)
    def _collate(_conn, _cursor, statement, parameters, _context, _many):
        if statement.lstrip().startswith('CREATE TABLE'):
            statement = statement.replace(CHARACTERS, f'{CHARACTERS} COLLATE={collation}')
        return statement, parameters


def _run():
    connection = context.config.attributes['connection']
    if connection.dialect.name == 'mysql':
        _compare_exactly(connection)
    context.configure(connection=connection, target_metadata=models.Base.metadata,
                      render_as_batch=connection.dialect.name == 'sqlite')
    with context.begin_transaction():
        context.run_migrations()


_run()
