"""What is known of the schema without alembic is what alembic says."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.db import revisions, schema


def test_wanted_revisions_are_the_heads():
    assert list(revisions.WANTED) == schema.heads()


def test_empty_database_is_not_current(empty_database):
    assert not revisions.are_current()


def test_database_is_current_after_a_sync(empty_database):
    schema.sync()
    assert revisions.are_current()
