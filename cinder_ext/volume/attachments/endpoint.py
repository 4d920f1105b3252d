"""Volumes are connected to hosts and disconnected from them.

A host's connection has users: the attachments with a connector of that host, and whoever asked by
os-initialize_connection.  It goes with its last user.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import attachments, connections, messages, volume_properties, volumes
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
        with contextlib.suppress(exceptions.AttachmentNotFound):
            attachment = attachments.get(ctxt, attachment_id)
            with self._backend.running.turn(attachment.volume_id):
                self._begin_again(ctxt, attachment_id)
                self._disconnect(ctxt, attachment_id)

    def _begin_again(self, context, attachment_id):
        """A sweep that had its turn before the request, in vain, has ended the attempt."""
        if attachments.get(context, attachment_id).attach_status == states.ERROR_DETACHING:
            attachments.begin_detach(context, attachment_id)

    def initialize_connection(self, ctxt, volume_id, connector):
        with self._backend.running.turn(volume_id):
            self._make_ready(ctxt, volume_id)
            volume = volumes.get(ctxt, volume_id)
            found = self._connect_noted(ctxt, volume, connector)
            noted = volume_properties.admin(ctxt, volume_id)
        return connection_info.as_asked(ctxt, volume, found, noted, connector)

    def _connect_noted(self, context, volume, connector):
        """Connect; that is noted before, and not any more when it comes to nothing."""
        host = connector.get('host')
        was_noted = host in connections.noted(context, volume.id)
        connections.note(context, volume.id, host)
        try:
            return self._driver.connect_volume(values.volume_value(volume), connector)
        except exceptions.DriverError:
            if not was_noted:
                connections.forget(context, volume.id, host)
            raise

    def terminate_connection(self, ctxt, volume_id, connector):
        """Without a host all are meant, and nothing is done where an attachment has one."""
        with self._backend.running.turn(volume_id):
            volume = volumes.get(ctxt, volume_id)
            host = connector.get('host')
            users = connections.users(ctxt, volume_id, host)
            if users:
                LOG.info('volume %s stays connected to %s: attachment %s uses it', volume_id,
                         host or 'its hosts', users[0].id)
            else:
                self._driver.disconnect_volume(values.volume_value(volume), connector)
            if host or not users:
                connections.forget(ctxt, volume_id, host)

    def resume(self):
        """Remove the attachments that were to be removed; called at start and periodically."""
        context = request_context.admin_context()
        found = attachments.unfinished(context, self._backend.host)
        for volume_id in dict.fromkeys(row.volume_id for row in found):
            self._backend.resume(volume_id, self._disconnect_all, request_context.admin_context(),
                                 [row.id for row in found if row.volume_id == volume_id])

    def _disconnect_all(self, context, attachment_ids):
        for attachment_id in attachment_ids:
            # What could not be done is logged and noted.
            with contextlib.suppress(exceptions.DriverError):
                self._disconnect(context, attachment_id)

    def _make_ready(self, context, volume_id):
        if self._assistant is not None:
            self._assistant.before_connect(context, volume_id)

    def _connect(self, context, attachment):
        """Connect for the connector in the row; returns the connection info.

        :raises AttachmentNotFound: it was removed meanwhile, or is going to be
        """
        if attachment.attach_status not in (states.ATTACHING, states.ATTACHED):
            raise exceptions.AttachmentNotFound(id=attachment.id)
        volume = volumes.get(context, attachment.volume_id)
        try:
            self._make_ready(context, attachment.volume_id)
            volume = volumes.get(context, attachment.volume_id)
            found = self._driver.connect_volume(values.volume_value(volume), attachment.connector)
        except exceptions.DriverError as fault:
            self._connect_failed(context, attachment, volume, fault)
            raise
        info = connection_info.of(context, volume, attachment, found)
        try:
            attachments.store_connection(context, attachment.id, info, attachment.connector)
        except exceptions.AttachmentNotFound:
            self._take_back(context, attachment, volume)
            raise
        self._finish_moves(context, attachment)
        return info

    def _connect_failed(self, context, attachment, volume, fault):
        LOG.error('attachment %s: the backend cannot connect volume %s: %s', attachment.id,
                  volume.id, fault.message)
        if attachment.connection_info is None and not isinstance(fault, exceptions.BackendDown):
            self._take_back(context, attachment, volume)
        with contextlib.suppress(exceptions.AttachmentNotFound):
            attachments.connect_failed(context, attachment.id, attachment.connector)
        messages.create(context, volume.project_id, context.request_id, 'VOLUME', volume.id,
                        words.ATTACH_VOLUME, words.UNKNOWN_ERROR)

    def _take_back(self, context, attachment, volume):
        """Undo what a connecting that came to nothing has done at the backend, if it can."""
        try:
            self._disconnect_host(context, attachment, volume)
        except exceptions.DriverError as fault:
            LOG.warning('attachment %s: the backend does not take back the connection of volume '
                        '%s: %s', attachment.id, volume.id, fault.message)

    def _finish_moves(self, context, attachment):
        """Disconnect the hosts that an attachment has left with its new connector."""
        self._disconnect_all(context, [
            each.id for each in attachments.of_volume(context, attachment.volume_id)
            if each.attach_status == states.DETACHING
            and each.instance_id == attachment.instance_id])

    def _disconnect(self, context, attachment_id):
        """Disconnect, unless another one needs that host's connection; then remove it.

        A backend that is down is asked again by the next sweep; any other fault ends the attempt.
        """
        try:
            attachment = attachments.get(context, attachment_id)
        except exceptions.AttachmentNotFound:
            return
        if attachment.attach_status != states.DETACHING:
            LOG.info('attachment %s is %s, not detaching: nothing to do', attachment_id,
                     attachment.attach_status)
            return
        if attachment.connector:
            volume = volumes.get(context, attachment.volume_id)
            try:
                self._disconnect_host(context, attachment, volume)
            except exceptions.BackendDown as fault:
                LOG.warning('attachment %s stays detaching: %s', attachment_id, fault.message)
                raise
            except exceptions.DriverError as fault:
                LOG.error('attachment %s: the backend cannot disconnect volume %s: %s',
                          attachment_id, volume.id, fault.message)
                attachments.detach_failed(context, attachment_id)
                raise
        attachments.detached(context, attachment_id)
        LOG.info('attachment %s of volume %s is removed', attachment_id, attachment.volume_id)

    def _disconnect_host(self, context, attachment, volume):
        """Take the connection of an attachment's host back, if nobody else uses it."""
        host = attachment.attached_host
        if connections.is_shared(context, attachment):
            LOG.info('volume %s stays connected to %s: it has another user than attachment %s',
                     volume.id, host, attachment.id)
            return
        self._driver.disconnect_volume(values.volume_value(volume), attachment.connector)
