"""Volumes are made, made larger and removed."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log
from oslo_utils import timeutils

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import placement, snapshots, transition, volumes
from cinder_ext.rpc import hosts
from cinder_ext.states import messages as words
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as states
from cinder_ext.volume import backend as backends
from cinder_ext.volume import values

LOG = log.getLogger(__name__)

_CREATE = (words.CREATE_VOLUME_FROM_BACKEND, words.DRIVER_FAILED_CREATE)
_DELETE = (words.DELETE_VOLUME, words.DRIVER_FAILED_DELETE)
_EXTEND = (words.EXTEND_VOLUME, words.DRIVER_FAILED_EXTEND)


class LifecycleEndpoint:
    """RPC endpoint; methods as rpc/volume.py describes them.

    Each reads the row, does nothing unless the row still asks for it, calls the driver, and
    says in the row what came of it.  A backend that is down is no failure: the row keeps
    asking, and the sweep tries again.  Only what can be made elsewhere does not wait.

    Version history::

        1.0 - create_volume, delete_volume, extend_volume
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, backend, remove_snapshot, schedule, most_attempts):
        """:param backend: volume.backend.Backend
        :param remove_snapshot: called with (context, snapshot_id): remove one that is ``deleting``
        :param schedule: called with (context, volume_id): have a backend chosen for it
        :param most_attempts: backends that a creation is tried on
        """
        self._backend = backend
        self._remove_snapshot = remove_snapshot
        self._schedule = schedule
        self._most_attempts = most_attempts
        self._driver = backend.driver
        self._steps = {states.CREATING: self._create, states.DELETING: self._delete,
                       states.EXTENDING: self._extend}

    def create_volume(self, ctxt, volume_id):
        self._backend.do(volume_id, self._work, ctxt, volume_id, states.CREATING)

    def delete_volume(self, ctxt, volume_id):
        self._backend.do(volume_id, self._work, ctxt, volume_id, states.DELETING)

    def extend_volume(self, ctxt, volume_id, new_size_gib):
        """``new_size_gib`` is also in the row's request, and that one counts."""
        self._backend.do(volume_id, self._work, ctxt, volume_id, states.EXTENDING)

    def resume(self):
        """Take up what was recorded and is not being done; called at start and periodically."""
        context = request_context.admin_context()
        for volume_id, status in volumes.unfinished(context, self._backend.host):
            self._backend.resume(volume_id, self._work, request_context.admin_context(),
                                 volume_id, status)

    def _work(self, context, volume_id, status):
        """Take the step of a status, if the volume is still in it."""
        try:
            volume = volumes.get(context, volume_id)
        except exceptions.VolumeNotFound:
            LOG.info('volume %s is gone: nothing to do', volume_id)
            return
        if volume.status != status:
            LOG.info('volume %s is %s, no longer %s: nothing to do', volume_id, volume.status,
                     status)
            return
        if hosts.backend_of(volume.host or '') != self._backend.host:
            LOG.info('volume %s is at %s: nothing to do', volume_id, volume.host)
            return
        try:
            self._steps[status](context, volume)
        except exceptions.BackendDown as fault:
            LOG.warning('volume %s stays %s until its backend answers: %s', volume_id, status,
                        fault.message)
        self._backend.capacity_changed()

    def _create(self, context, volume):
        try:
            location = self._make(context, volume)
        except exceptions.BackendDown as fault:
            if _is_bound(volume):
                raise
            self._pass_on(context, volume, fault)
            return
        except (exceptions.DriverError, OSError) as fault:
            if _is_bound(volume):
                backends.failed(context, states.MACHINE, volume, 'create-failed', fault, _CREATE)
            else:
                self._pass_on(context, volume, fault)
            return
        except exceptions.NotFound as fault:
            backends.failed(context, states.MACHINE, volume, 'create-failed', fault, _CREATE)
            return
        transition.try_move(context, states.MACHINE, volume.id, 'created', {
            'provider_location': location, 'launched_at': timeutils.utcnow()})

    def _pass_on(self, context, volume, fault):
        """Leave a volume that cannot be made here to another backend, unless it is the last try.

        What a create may have left is removed first: nobody asks this backend afterwards.
        """
        reason = getattr(fault, 'message', None) or fault
        try:
            self._driver.delete_volume(values.volume_value(volume))
        except (exceptions.DriverError, OSError) as left:
            LOG.error('volume %s: what its creation may have left at %s is not removed: %s',
                      volume.id, volume.host, getattr(left, 'message', None) or left)
        goes_on = placement.place_again(context, volume, reason, self._most_attempts)
        if goes_on is None:
            LOG.info('volume %s is no longer being created at %s', volume.id, volume.host)
            return
        LOG.error('volume %s cannot be created at %s: %s; %s', volume.id, volume.host, reason,
                  'another backend is looked for' if goes_on else 'that was the last attempt')
        if goes_on:
            self._schedule(context, volume.id)

    def _make(self, context, volume):
        """Make it at the backend, from nothing or from its source; returns its location."""
        wanted = values.volume_value(volume)
        if volume.snapshot_id is not None:
            snapshot = snapshots.get(context, volume.snapshot_id)
            parent = volumes.get(context, snapshot.volume_id)
            return self._driver.create_volume_from_snapshot(
                wanted, values.snapshot_value(snapshot, parent))
        if volume.source_volid is not None:
            source = volumes.get(context, volume.source_volid)
            return self._driver.clone_volume(wanted, values.volume_value(source))
        return self._driver.create_volume(wanted)

    def _delete(self, context, volume):
        if not self._is_free_of_snapshots(context, volume):
            return
        try:
            self._driver.delete_volume(values.volume_value(volume))
        except exceptions.BackendDown:
            raise
        except exceptions.ResourceBusy as fault:
            backends.failed(context, states.MACHINE, volume, 'delete-refused', fault, _DELETE)
        except (exceptions.DriverError, OSError) as fault:
            backends.failed(context, states.MACHINE, volume, 'delete-failed', fault, _DELETE)
        else:
            volumes.mark_deleted(context, volume.id)
            LOG.info('volume %s is deleted', volume.id)

    def _is_free_of_snapshots(self, context, volume):
        """Remove what a cascade left to remove: the messages for the snapshots may be lost.

        :returns: False when some remain; the volume then stays ``deleting`` for the next sweep,
            or is in error if they are not going to be removed
        """
        for snapshot in reversed(snapshots.of_volume(context, volume.id)):
            if snapshot.status == snapshot_states.DELETING:
                self._remove_snapshot(context, snapshot.id)
        left = {each.id: each.status for each in snapshots.of_volume(context, volume.id)}
        if left and set(left.values()) != {snapshot_states.DELETING}:
            fault = exceptions.ResourceBusy(reason=f'it has snapshots: {left}')
            backends.failed(context, states.MACHINE, volume, 'delete-failed', fault, _DELETE)
        return not left

    def _extend(self, context, volume):
        size_gib = (volume.request or {}).get('new_size')
        try:
            if not isinstance(size_gib, int) or size_gib < volume.size:
                raise exceptions.DriverError(reason='the requested size is not recorded')
            self._driver.extend_volume(values.volume_value(volume), size_gib * values.GIB)
        except exceptions.BackendDown:
            raise
        except (exceptions.DriverError, OSError) as fault:
            backends.failed(context, states.MACHINE, volume, 'extend-failed', fault, _EXTEND)
            return
        event = 'extended-attached' if volume.attach_status == 'attached' else 'extended'
        transition.try_move(context, states.MACHINE, volume.id, event, {'size': size_gib})


def _is_bound(volume):
    """Whether it can be made only where its source or its group is."""
    return any((volume.snapshot_id, volume.source_volid, volume.group_id))
