"""User messages: what went wrong after a request had been accepted."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import models, session

_Message = models.Message


class _Life:
    """How long messages of this process are kept; chosen by keep_for()."""

    seconds = 30 * 86400


def keep_for(seconds):
    """Let messages that are recorded from now on expire after so many seconds."""
    _Life.seconds = seconds


@session.writer
def create(context, project_id, request_id, resource_type, resource_uuid, action_id, detail_id,
           user_message=None, level='ERROR'):
    """Record a message for the owner of a resource.

    :param resource_type: ``VOLUME``, ``VOLUME_SNAPSHOT`` ...
    :param action_id, detail_id: numbers of ``cinder_ext.states.messages``
    :param user_message: a text that is shown after the detail's
    :returns: models.Message
    """
    message = _Message(
        project_id=project_id, request_id=request_id, resource_type=resource_type,
        resource_uuid=resource_uuid, action_id=action_id, detail_id=detail_id,
        event_id=f'VOLUME_{resource_type}_{action_id}_{detail_id}', message_level=level,
        user_message=user_message,
        expires_at=timeutils.utcnow() + datetime.timedelta(seconds=_Life.seconds))
    context.session.add(message)
    context.session.flush()
    return message


@session.reader
def get(context, message_id, project_id=None):
    """One message.

    :param project_id: only if it belongs to this project
    :raises MessageNotFound: there is none
    """
    query = sa.select(_Message).where(_Message.id == message_id)
    if project_id is not None:
        query = query.where(_Message.project_id == project_id)
    found = context.session.execute(query).scalar_one_or_none()
    if found is None:
        raise exceptions.MessageNotFound(id=message_id)
    return found


@session.reader
def list_all(context, project_id=None, resource_uuid=None):
    """Messages, newest first."""
    query = sa.select(_Message)
    if project_id is not None:
        query = query.where(_Message.project_id == project_id)
    if resource_uuid is not None:
        query = query.where(_Message.resource_uuid == resource_uuid)
    return list(context.session.execute(
        query.order_by(_Message.created_at.desc(), _Message.id.desc())).scalars())


@session.writer
def delete(context, message_id):
    """Remove a message.  Idempotent."""
    context.session.execute(sa.delete(_Message).where(_Message.id == message_id))


@session.writer
def purge_expired(context, now=None):
    """Remove what has expired.

    :returns: how many were removed
    """
    now = now or timeutils.utcnow()
    return context.session.execute(
        sa.delete(_Message).where(_Message.expires_at < now)).rowcount
