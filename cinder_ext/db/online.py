"""Data migrations that run while the services do: ``db online_data_migrations``.

Each is a function ``(context, most)`` that migrates at most so many objects
and returns (how many there were to migrate, how many it migrated).  It is
harmless to repeat.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception
from oslo_log import log

LOG = log.getLogger(__name__)

MIGRATIONS = ()
"""None yet: no released version has had its data elsewhere."""

BATCH = 50
DONE, MORE, FAILED = 0, 1, 2
"""Exit codes, as operators know them."""


def run(context, migrations, most=None):
    """Run data migrations to their end, or until so many objects are migrated.

    :param most: None: all there are
    :returns: (results, code): (name, how many were needed, how many were done) of each that ran;
        DONE, MORE when ``most`` was reached, FAILED when one of them failed
    """
    results, left, code = [], most, DONE
    for migration in migrations:
        needed, done, has_failed = _run_one(context, migration, left)
        results.append((migration.__name__, needed, done))
        code = FAILED if has_failed else code
        if left is not None:
            left -= done
            if left <= 0:
                return results, MORE
    return results, code


def _run_one(context, migration, most):
    """(how many were needed, how many were done, whether it failed)"""
    needed = done = 0
    while most is None or done < most:
        batch = BATCH if most is None else min(BATCH, most - done)
        try:
            found, migrated = migration(context, batch)
        except (oslo_db_exception.DBError, sa.exc.SQLAlchemyError):
            LOG.exception('data migration %s failed', migration.__name__)
            return needed, done, True
        needed, done = needed + found, done + migrated
        if not migrated:
            break
    return needed, done, False
