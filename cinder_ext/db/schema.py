"""The schema: which revision the database has, and bringing it up to date.

Revisions form two branches: *expand* (additive, while the services run) and
*contract* (removals, when no old service is left).
"""
# SPDX-License-Identifier: Apache-2.0

import pathlib

import sqlalchemy as sa
from alembic import command, config, migration, script

from cinder_ext.db import session

_INI = pathlib.Path(__file__).with_name('alembic.ini')


def _config(connection=None):
    cfg = config.Config(str(_INI))
    cfg.set_main_option('script_location', str(_INI.parent / 'migrations'))
    cfg.attributes['connection'] = connection
    return cfg


def heads():
    """Revisions that this code wants, sorted."""
    return sorted(script.ScriptDirectory.from_config(_config()).get_heads())


def current():
    """Revisions that the database has, sorted; empty for a new one."""
    with session.get_engine().connect() as connection:
        return sorted(migration.MigrationContext.configure(connection).get_current_heads())


def is_current():
    return current() == heads()


def sync(to='heads'):
    """Bring the database to a revision: ``heads``, ``expand@head`` or ``contract@head``.

    Idempotent.
    """
    engine = session.get_engine()
    with engine.connect() as connection:
        command.upgrade(_config(connection), to)
        if connection.in_transaction():
            connection.commit()


def tables():
    """Names of the tables in the database, sorted."""
    return sorted(sa.inspect(session.get_engine()).get_table_names())
