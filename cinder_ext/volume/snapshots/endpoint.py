"""Snapshots are taken and removed."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import snapshots, transition, volumes
from cinder_ext.states import messages as words
from cinder_ext.states import snapshot as states
from cinder_ext.volume import backend as backends
from cinder_ext.volume import values

LOG = log.getLogger(__name__)

_CREATE = (words.SNAPSHOT_CREATE, words.SNAPSHOT_CREATE_ERROR)
_DELETE = (words.SNAPSHOT_DELETE, words.SNAPSHOT_DELETE_ERROR)
_BUSY = (words.SNAPSHOT_DELETE, words.SNAPSHOT_IS_BUSY)


class SnapshotEndpoint:
    """RPC endpoint; methods as rpc/volume.py describes them, manners as LifecycleEndpoint.

    Version history::

        1.0 - create_snapshot, delete_snapshot
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, backend):
        """:param backend: volume.backend.Backend"""
        self._backend = backend
        self._driver = backend.driver
        self._steps = {states.CREATING: self._create, states.DELETING: self._delete}

    def create_snapshot(self, ctxt, snapshot_id):
        self._backend.do(snapshot_id, self._work, ctxt, snapshot_id, states.CREATING)

    def delete_snapshot(self, ctxt, snapshot_id):
        self._backend.do(snapshot_id, self._work, ctxt, snapshot_id, states.DELETING)

    def resume(self):
        """Take up what was recorded and is not being done; called at start and periodically."""
        context = request_context.admin_context()
        for snapshot_id, status in snapshots.unfinished(context, self._backend.host):
            self._backend.resume(snapshot_id, self._work, request_context.admin_context(),
                                 snapshot_id, status)

    def _work(self, context, snapshot_id, status):
        """Take the step of a status, if the snapshot is still in it."""
        try:
            snapshot = snapshots.get(context, snapshot_id)
            volume = volumes.get(context, snapshot.volume_id)
        except exceptions.NotFound as fault:
            LOG.info('snapshot %s: nothing to do: %s', snapshot_id, fault.message)
            return
        if snapshot.status != status:
            LOG.info('snapshot %s is %s, no longer %s: nothing to do', snapshot_id,
                     snapshot.status, status)
            return
        try:
            self._steps[status](context, snapshot, values.snapshot_value(snapshot, volume))
        except exceptions.BackendDown as fault:
            LOG.warning('snapshot %s stays %s until its backend answers: %s', snapshot_id,
                        status, fault.message)
        self._backend.capacity_changed()

    def _create(self, context, snapshot, value):
        try:
            location = self._driver.create_snapshot(value)
        except exceptions.BackendDown:
            raise
        except (exceptions.DriverError, OSError) as fault:
            backends.failed(context, states.MACHINE, snapshot, 'create-failed', fault, _CREATE)
            return
        transition.try_move(context, states.MACHINE, snapshot.id, 'created', {
            'provider_location': location, 'progress': '100%'})

    def _delete(self, context, snapshot, value):
        try:
            self._driver.delete_snapshot(value)
        except exceptions.BackendDown:
            raise
        except exceptions.ResourceBusy as fault:
            backends.failed(context, states.MACHINE, snapshot, 'delete-refused', fault, _BUSY)
        except (exceptions.DriverError, OSError) as fault:
            backends.failed(context, states.MACHINE, snapshot, 'delete-failed', fault, _DELETE)
        else:
            snapshots.mark_deleted(context, snapshot.id)
            LOG.info('snapshot %s is deleted', snapshot.id)
