"""A volume goes back to its latest snapshot."""
# SPDX-License-Identifier: Apache-2.0

import threading
import uuid

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import reverts
from cinder_ext.drivers import capabilities
from cinder_ext.drivers.generic import attach, revert
from cinder_ext.volume import values

LOG = log.getLogger(__name__)


class _Stopping(Exception):
    """The service ends: what was begun is begun anew by the next one."""


class _Control:
    """Ends a copy when the service stops."""

    def __init__(self):
        self.stopping = threading.Event()

    def check(self, length):
        if self.stopping.is_set():
            raise _Stopping('the service is stopping')


class RevertEndpoint:
    """RPC endpoint; methods as rpc/volume.py describes them, manners as LifecycleEndpoint.

    Version history::

        1.0 - revert_volume
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, backend):
        """:param backend: volume.backend.Backend"""
        self._backend = backend
        self._driver = backend.driver
        self._control = _Control()

    def revert_volume(self, ctxt, volume_id):
        self._backend.do(volume_id, self._work, ctxt, volume_id)

    def resume(self):
        """Take up what was recorded and is not being done; called at start and periodically."""
        context = request_context.admin_context()
        for volume_id in reverts.unfinished(context, self._backend.host):
            self._backend.resume(volume_id, self._work, request_context.admin_context(), volume_id)

    def stop(self):
        """Let copies end; the next service begins them anew."""
        self._control.stopping.set()

    def _work(self, context, volume_id):
        found = reverts.origin(context, volume_id)
        if found is None:
            LOG.info('volume %s is not being reverted: nothing to do', volume_id)
            return
        volume, snapshot = found
        try:
            self._revert(values.volume_value(volume), values.snapshot_value(snapshot, volume))
        except (exceptions.BackendDown, _Stopping) as fault:
            LOG.warning('volume %s stays reverting and is tried again: %s', volume_id, fault)
        except (exceptions.DriverError, OSError) as fault:
            LOG.error('volume %s cannot be reverted to snapshot %s: %s', volume_id, snapshot.id,
                      getattr(fault, 'message', None) or fault)
            reverts.failed(context, volume, snapshot)
        else:
            reverts.done(context, volume, snapshot)
            LOG.info('volume %s is reverted to snapshot %s', volume_id, snapshot.id)

    def _revert(self, volume, snapshot):
        if capabilities.has(self._driver, capabilities.Revert):
            self._driver.revert_to_snapshot(volume, snapshot)
            return
        temporary = str(uuid.uuid5(uuid.UUID(snapshot.name_id), 'revert'))
        connector = attach.connector_properties(host=self._backend.host.partition('@')[0])
        revert.write_back(self._driver, volume, snapshot, connector, temporary, self._control)
