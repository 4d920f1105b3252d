"""The volume type of a project's volumes for which none is named."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception

from cinder_ext import exceptions
from cinder_ext.db import models, session, type_models, volume_types

_Default = type_models.DefaultVolumeType


def put(context, project_id, type_id):
    """Choose the default of a project.  Idempotent; safe when two do so at once.

    :returns: type_models.DefaultVolumeType
    :raises VolumeTypeNotFound: there is no such type
    """
    try:
        return _put(context, project_id, type_id)
    except oslo_db_exception.DBDuplicateEntry:
        return _put(context, project_id, type_id)


@session.writer
def _put(context, project_id, type_id):
    volume_types.hold(context, type_id)
    row = context.session.merge(_Default(project_id=project_id, volume_type_id=type_id))
    context.session.flush()
    return row


@session.reader
def get(context, project_id):
    """The default of one project.

    :raises DefaultTypeNotFound: it has none of its own
    """
    found = context.session.get(_Default, project_id)
    if found is None:
        raise exceptions.DefaultTypeNotFound(project_id=project_id)
    return found


@session.reader
def list_all(context):
    """The defaults of all projects that have one, by project."""
    return list(context.session.execute(sa.select(_Default).order_by(_Default.project_id)).scalars())


@session.writer
def delete(context, project_id):
    """Let a project have the service's default again.  Idempotent."""
    context.session.execute(sa.delete(_Default).where(_Default.project_id == project_id))


@session.reader
def effective(context, project_id, configured):
    """The type of a project's volume for which none is named; None for no type.

    :param configured: name of the service's default type, or None
    :returns: models.VolumeType
    :raises VolumeTypeNotFound: the type that is configured does not exist
    """
    table = models.VolumeType
    found = context.session.execute(
        sa.select(table).join(_Default, _Default.volume_type_id == table.id)
        .where(_Default.project_id == project_id, table.deleted_at.is_(None))).scalar_one_or_none()
    if found is None and configured:
        found = volume_types.get_by_name_or_id(context, configured)
    return found
