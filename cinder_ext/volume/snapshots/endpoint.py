"""Snapshots are taken and removed."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import assisted_snapshots, snapshots, transition, volumes
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

    With an assistant one piece of work of a volume is done at a time, and its consumers are
    connected in between; else the snapshots of a volume do not wait for one another.

    Version history::

        1.0 - create_snapshot, delete_snapshot
        1.2 - complete_snapshot
    """

    target = oslo_messaging.Target(version='1.2')

    def __init__(self, backend, assistant=None):
        """
        :param backend: volume.backend.Backend
        :param assistant: volume.snapshots.assisted.Assistant, or None
        """
        self._backend = backend
        self._driver = backend.driver
        self._assistant = assistant
        self._steps = {states.CREATING: self._create, states.DELETING: self._delete}
        if assistant is not None:
            assistant.watch(lambda snapshot: self._ended(snapshot.volume_id))

    def create_snapshot(self, ctxt, snapshot_id):
        self._backend.do(self._turn_of(ctxt, snapshot_id), self._work, ctxt, snapshot_id,
                         states.CREATING)

    def delete_snapshot(self, ctxt, snapshot_id):
        self._backend.do(self._turn_of(ctxt, snapshot_id), self._work, ctxt, snapshot_id,
                         states.DELETING)

    def complete_snapshot(self, ctxt, snapshot_id):
        if self._assistant is not None:
            self._backend.do(self._turn_of(ctxt, snapshot_id), self._assistant.go_on, ctxt,
                             snapshot_id)

    def _turn_of(self, context, snapshot_id):
        """What a worker must have alone."""
        if self._assistant is None:
            return snapshot_id
        return assisted_snapshots.volume_of(context, snapshot_id) or snapshot_id

    def resume(self):
        """Take up what was recorded and is not being done; called at start and periodically."""
        context = request_context.admin_context()
        if self._assistant is not None:
            for snapshot_id, volume_id in assisted_snapshots.unfinished(
                    context, self._backend.host):
                self._backend.resume(volume_id, self._assistant.go_on,
                                     request_context.admin_context(), snapshot_id)
        for snapshot_id, status in snapshots.unfinished(context, self._backend.host):
            self._backend.resume(self._turn_of(context, snapshot_id), self._work,
                                 request_context.admin_context(), snapshot_id, status)

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
        if self._assistant is not None and self._assistant.takes(context, snapshot, volume):
            return
        try:
            self._steps[status](context, snapshot, values.snapshot_value(snapshot, volume))
        except exceptions.BackendDown as fault:
            LOG.warning('snapshot %s stays %s until its backend answers: %s', snapshot_id,
                        status, fault.message)
        else:
            self._ended(volume.id)

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

    def _ended(self, volume_id):
        """Something was made or removed: what has waited for it may begin."""
        self._backend.capacity_changed()
        if self._assistant is not None:
            self._backend.later(volume_id, self._take_next, volume_id)

    def _take_next(self, volume_id):
        """Begin what has waited longest for its turn on a volume."""
        context = request_context.admin_context()
        for snapshot_id, status in assisted_snapshots.waiting(context, volume_id)[:1]:
            self._work(context, snapshot_id, status)
