"""The schema that alembic makes is the one that the models describe."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import sqlalchemy as sa
from alembic import autogenerate, migration
from sqlalchemy.dialects import mysql

from cinder_ext.db import models, schema, session


def _defaults_differ(_context, inspected, _declared, in_database, _default, in_model):
    if isinstance(inspected.type, mysql.TINYINT):
        # MySQL has numbers for truths.
        in_model = {'false': '0', 'true': '1'}.get(in_model, in_model)
        return in_database != in_model
    return None


def test_the_revisions_make_exactly_what_the_models_describe(database):
    with session.get_engine().connect() as connection:
        found = migration.MigrationContext.configure(
            connection, opts={'compare_type': True, 'compare_server_default': _defaults_differ})
        assert autogenerate.compare_metadata(found, models.Base.metadata) == []


def test_the_comparison_sees_a_missing_column(own_database):
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


def test_sync_twice_changes_nothing(own_database):
    before = schema.current(), schema.tables()
    schema.sync()
    assert (schema.current(), schema.tables()) == before


def test_expand_alone_brings_the_additive_branch(empty_database):
    schema.sync('expand@head')
    assert schema.current() == ['0006_expand']


def test_unique_names_are_filled_in_although_a_race_made_two_of_one(empty_database):
    schema.sync('0001_expand')
    with session.get_engine().begin() as connection:
        for number, name in enumerate(('fast', 'FAST', 'fast', 'slow', 'gone')):
            connection.execute(sa.text(
                'INSERT INTO volume_types (id, name, is_public, created_at, deleted_at) '
                'VALUES (:id, :name, :public, :at, :gone)'), {
                    'id': str(number), 'name': name, 'public': True,
                    'at': datetime.datetime(2026, 1, 1 + number),
                    'gone': datetime.datetime(2026, 2, 1) if name == 'gone' else None})
    schema.sync()
    with session.get_engine().connect() as connection:
        found = connection.execute(
            sa.text('SELECT live_name FROM volume_types ORDER BY id')).scalars().all()
    assert found == ['fast', None, None, 'slow', None]
