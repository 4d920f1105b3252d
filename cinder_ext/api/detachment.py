"""Whether a consumer's attachment may be taken away: not while a server uses it (CVE-2023-2088).

A user who removed an attachment behind the compute service's back would leave a device on the
host that may show another project's volume next.  So only a service may, or anybody once the
compute service says that it does not use the attachment.
"""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.api import auth
from cinder_ext.db import attached_migrations, attachments

LOG = log.getLogger(__name__)


def is_service(call):
    """Whether the request came with a service token whose user has a service role."""
    return auth.is_service(call.conf, call.context)


def refuse_if_used(call, attachment):
    """Refuse to take away an attachment that a server uses.

    :param attachment: models.Attachment, or None for none
    :raises ConflictNovaUsingAttachment: the server has the volume by this attachment
    :raises ServiceUnavailable: the compute service cannot be asked
    """
    if attachment is None or not attachment.instance_id or not attachment.connection_info:
        return
    if is_service(call) or not call.compute.is_known:
        return
    if attached_migrations.has_swapped(call.context, attachment.volume_id):
        LOG.info('attachment %s of volume %s goes: server %s has swapped it', attachment.id,
                 attachment.volume_id, attachment.instance_id)
        return
    used = call.compute.attachment_of(call.context, attachment.instance_id, attachment.volume_id)
    if used == attachment.id:
        raise exceptions.ConflictNovaUsingAttachment(server_id=attachment.instance_id)
    LOG.warning('attachment %s of volume %s goes: server %s has the volume by attachment %s',
                attachment.id, attachment.volume_id, attachment.instance_id, used)


def refuse_if_any_used(call, volume_id):
    """Refuse to disconnect a volume without saying for whom, while servers use it.

    :raises ConflictNovaUsingAttachment: a server uses it, or one of several may
    :raises ServiceUnavailable: the compute service cannot be asked
    """
    if is_service(call):
        return
    found = attachments.of_volume(call.context, volume_id)
    if len(found) > 1:
        if call.compute.is_known:
            raise exceptions.ConflictNovaUsingAttachment(server_id='')
        return
    refuse_if_used(call, found[0] if found else None)
