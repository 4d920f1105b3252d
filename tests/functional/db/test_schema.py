"""The schema that alembic makes is the one that the models describe."""
# SPDX-License-Identifier: Apache-2.0

from alembic import autogenerate, migration

from cinder_ext.db import models, schema, session


def test_the_revisions_make_exactly_what_the_models_describe(database):
    with session.get_engine().connect() as connection:
        found = migration.MigrationContext.configure(
            connection, opts={'compare_type': True, 'compare_server_default': True})
        assert autogenerate.compare_metadata(found, models.Base.metadata) == []


def test_the_comparison_sees_a_missing_column(database):
    with session.get_engine().begin() as connection:
        connection.exec_driver_sql('ALTER TABLE volumes DROP COLUMN launched_at')
        found = migration.MigrationContext.configure(connection)
        differences = autogenerate.compare_metadata(found, models.Base.metadata)
    assert [each[0] for each in differences] == ['add_column']


def test_an_empty_database_has_no_revision_and_is_not_current(empty_database):
    assert schema.current() == []
    assert not schema.is_current()
    assert schema.tables() == []


def test_sync_of_an_empty_database_makes_every_table(empty_database):
    schema.sync()
    assert schema.is_current()
    assert set(schema.tables()) == {*models.Base.metadata.tables, 'alembic_version'}


def test_sync_twice_changes_nothing(database):
    before = schema.current(), schema.tables()
    schema.sync()
    assert (schema.current(), schema.tables()) == before


def test_expand_alone_brings_the_additive_branch(empty_database):
    schema.sync('expand@head')
    assert schema.current() == ['0001_expand']
