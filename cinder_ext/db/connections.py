"""Who uses a volume's connection to a host.

Attachments say it by their connector.  Who connects by os-initialize_connection has no row of
its own there: the host is noted in the volume's admin metadata until os-terminate_connection.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext.db import attachments, models, session, shadow_volumes, volume_properties
from cinder_ext.states import attachment as states

PREFIX = 'cinder_ext:connected:'
_LONGEST = 255

_Admin = models.VolumeAdminMetadata

_USING = (states.ATTACHING, states.ATTACHED, states.DETACHING, states.ERROR_DETACHING)
"""An attachment in one of these may have a connection, whatever its backend has said."""


@session.writer
def note(context, volume_id, host):
    """A host is going to be connected although no attachment stands for it.  Idempotent."""
    if host:
        volume_properties.set_admin(context, volume_id, {_key(host): 'True'})


@session.writer
def forget(context, volume_id, host=None):
    """A host is not connected any more; None: none that was noted is.  Idempotent."""
    condition = (_Admin.key == _key(host) if host
                 else _Admin.key.startswith(PREFIX, autoescape=True))
    context.session.execute(sa.delete(_Admin).where(_Admin.volume_id == volume_id, condition))


@session.reader
def noted(context, volume_id):
    """The hosts that are connected and have no attachment to show for it, sorted."""
    return sorted(key.removeprefix(PREFIX) for key in volume_properties.admin(context, volume_id)
                  if key.startswith(PREFIX))


@session.reader
def users(context, volume_id, host=None):
    """The attachments that use a host's connection, oldest first; None: any host's."""
    return [each for each in attachments.of_volume(context, volume_id)
            if each.connector and each.attach_status in _USING
            and host in (None, each.attached_host)]


@session.reader
def is_shared(context, attachment):
    """Whether a host's connection has another user than this attachment."""
    host = attachment.attached_host
    others = [each for each in users(context, attachment.volume_id)
              if each.id != attachment.id and each.attached_host == host]
    is_noted = host is not None and _key(host) in volume_properties.admin(
        context, attachment.volume_id)
    return bool(others) or is_noted or shadow_volumes.is_written(context, attachment)


def _key(host):
    return f'{PREFIX}{host}'[:_LONGEST]
