"""Which projects may use a volume type that is not public."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception

from cinder_ext import exceptions
from cinder_ext.db import session, transition, type_models, volume_types

_Project = type_models.VolumeTypeProject


@session.reader
def projects(context, type_id):
    """Ids of the projects, in the order of being added."""
    return list(context.session.execute(
        sa.select(_Project.project_id).where(_Project.volume_type_id == type_id)
        .order_by(_Project.created_at, _Project.project_id)).scalars())


@session.writer
def add(context, type_id, project_id):
    """Let a project use a type.

    :raises AlreadyExists: it may already
    :raises InvalidState: the type is public
    :raises VolumeTypeNotFound: there is no such type
    """
    _hold_private(context, type_id)
    context.session.add(_Project(volume_type_id=type_id, project_id=project_id))
    try:
        context.session.flush()
    except oslo_db_exception.DBDuplicateEntry as fault:
        raise exceptions.AlreadyExists(
            kind='Volume type access', name=f'of project {project_id} to {type_id}') from fault
    _note(context, type_id, project_id, 'access.add')


def _note(context, type_id, project_id, event):
    transition.note(context, 'volume_type_project', type_id, event,
                    facts={'volume_type_id': type_id, 'project_id': project_id})


@session.writer
def remove(context, type_id, project_id):
    """Let a project use a type no longer; what it has made stays.

    :raises InvalidState: the type is public
    :raises TypeAccessNotFound: the project could not use it
    :raises VolumeTypeNotFound: there is no such type
    """
    _hold_private(context, type_id)
    gone = context.session.execute(sa.delete(_Project).where(
        _Project.volume_type_id == type_id, _Project.project_id == project_id)).rowcount
    if not gone:
        raise exceptions.TypeAccessNotFound(type_id=type_id, project_id=project_id)
    _note(context, type_id, project_id, 'access.remove')


def _hold_private(context, type_id):
    volume_types.hold(context, type_id)
    if volume_types.get(context, type_id).is_public:
        raise exceptions.InvalidState(
            kind='volume type', reason=f'{type_id} is public: everybody may use it.')
