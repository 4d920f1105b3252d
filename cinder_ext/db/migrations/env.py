"""How alembic runs the schema revisions: on the connection that it is handed."""
# SPDX-License-Identifier: Apache-2.0

from alembic import context

from cinder_ext.db import group_models, models, project_models, type_models

MODELS = (models, type_models, group_models, project_models)
"""Imported so that the metadata knows every table."""


def _run():
    connection = context.config.attributes['connection']
    context.configure(connection=connection, target_metadata=models.Base.metadata,
                      render_as_batch=connection.dialect.name == 'sqlite')
    with context.begin_transaction():
        context.run_migrations()


_run()
