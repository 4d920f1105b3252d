"""Volumes are connected to hosts and disconnected from them."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import attachments, messages, volume_properties, volumes
from cinder_ext.states import attachment as states
from cinder_ext.states import messages as words
from cinder_ext.volume import values
from cinder_ext.volume.attachments import connection_info

LOG = log.getLogger(__name__)


class AttachmentEndpoint:
    """RPC endpoint; methods as rpc/volume.py describes them.

    Work is in turn per volume: connecting and disconnecting the same host must not cross.

    Version history::

        1.0 - connect_attachment, disconnect_attachment, initialize_connection,
              terminate_connection
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, backend, assistant=None):
        """
        :param backend: volume.backend.Backend
        :param assistant: volume.snapshots.assisted.Assistant, or None
        """
        self._backend = backend
        self._assistant = assistant
        self._driver = backend.driver

    def connect_attachment(self, ctxt, attachment_id):
        attachment = attachments.get(ctxt, attachment_id)
        with self._backend.running.turn(attachment.volume_id):
            return self._connect(ctxt, attachments.get(ctxt, attachment_id))

    def disconnect_attachment(self, ctxt, attachment_id):
        attachment = attachments.get(ctxt, attachment_id)
        with self._backend.running.turn(attachment.volume_id):
            self._disconnect(ctxt, attachment_id)

    def initialize_connection(self, ctxt, volume_id, connector):
        with self._backend.running.turn(volume_id):
            self._make_ready(ctxt, volume_id)
            volume = volumes.get(ctxt, volume_id)
            found = self._driver.connect_volume(values.volume_value(volume), connector)
            noted = volume_properties.admin(ctxt, volume_id)
        return connection_info.as_asked(ctxt, volume, found, noted, connector)

    def terminate_connection(self, ctxt, volume_id, connector):
        with self._backend.running.turn(volume_id):
            volume = volumes.get(ctxt, volume_id)
            host = connector.get('host')
            if host and any(each.attached_host == host and each.connection_info
                            for each in attachments.of_volume(ctxt, volume_id)):
                LOG.info('volume %s stays connected to %s: an attachment uses it', volume_id, host)
                return
            self._driver.disconnect_volume(values.volume_value(volume), connector)

    def resume(self):
        """Remove the attachments that were to be removed; called at start and periodically."""
        context = request_context.admin_context()
        for attachment_id in attachments.unfinished(context, self._backend.host):
            volume_id = attachments.get(context, attachment_id).volume_id
            self._backend.resume(volume_id, self._disconnect, request_context.admin_context(),
                                 attachment_id)

    def _make_ready(self, context, volume_id):
        if self._assistant is not None:
            self._assistant.before_connect(context, volume_id)

    def _connect(self, context, attachment):
        """Connect for the connector in the row; returns the connection info."""
        volume = volumes.get(context, attachment.volume_id)
        value = values.volume_value(volume)
        try:
            self._make_ready(context, attachment.volume_id)
            found = self._driver.connect_volume(value, attachment.connector)
        except exceptions.DriverError as fault:
            LOG.error('attachment %s: the backend cannot connect volume %s: %s', attachment.id,
                      volume.id, fault.message)
            attachments.connect_failed(context, attachment.id)
            messages.create(context, volume.project_id, context.request_id, 'VOLUME', volume.id,
                            words.ATTACH_VOLUME, words.UNKNOWN_ERROR)
            raise
        info = connection_info.of(context, volume, attachment, found)
        try:
            attachments.store_connection(context, attachment.id, info)
        except exceptions.AttachmentNotFound:
            self._driver.disconnect_volume(value, attachment.connector)
            raise
        return info

    def _disconnect(self, context, attachment_id):
        """Disconnect, unless another attachment needs that host's connection; then remove it."""
        try:
            attachment = attachments.get(context, attachment_id)
        except exceptions.AttachmentNotFound:
            return
        if attachment.attach_status != states.DETACHING:
            LOG.info('attachment %s is %s, not detaching: nothing to do', attachment_id,
                     attachment.attach_status)
            return
        if attachment.connector and not self._is_shared(context, attachment):
            volume = volumes.get(context, attachment.volume_id)
            try:
                self._driver.disconnect_volume(values.volume_value(volume), attachment.connector)
            except exceptions.DriverError as fault:
                LOG.error('attachment %s: the backend cannot disconnect volume %s: %s',
                          attachment_id, volume.id, fault.message)
                attachments.detach_failed(context, attachment_id)
                raise
        attachments.detached(context, attachment_id)
        LOG.info('attachment %s of volume %s is removed', attachment_id, attachment.volume_id)

    def _is_shared(self, context, attachment):
        return any(other.attached_host == attachment.attached_host and other.connection_info
                   for other in attachments.of_volume(context, attachment.volume_id)
                   if other.id != attachment.id)

