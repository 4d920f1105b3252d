"""Which revisions of the schema this code wants and the database has, without alembic.

Importing alembic takes a quarter of a second, and a service that starts on a
database that is up to date does not need it.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext.db import session

WANTED = ('0006_expand',)
"""The heads of ``migrations/versions``, sorted; a test compares them."""

_TABLE = sa.table('alembic_version', sa.column('version_num'))


def are_current():
    """Whether the database has what this code wants."""
    engine = session.get_engine()
    if not sa.inspect(engine).has_table(_TABLE.name):
        return False
    with engine.connect() as connection:
        found = connection.execute(sa.select(_TABLE.c.version_num)).scalars().all()
    return tuple(sorted(found)) == WANTED
