"""Snapshots of whole groups are taken and removed."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import group_snapshots, group_types
from cinder_ext.drivers import capabilities
from cinder_ext.states import group_snapshot as states
from cinder_ext.states import messages as words
from cinder_ext.states import snapshot as member_states
from cinder_ext.volume import values

LOG = log.getLogger(__name__)


class GroupSnapshotEndpoint:
    """RPC endpoint; methods as rpc/volume.py describes them, manners as LifecycleEndpoint.

    Where the group type asks for consistency the driver takes all members at one moment, and
    they become available in one transaction.  Else each is taken when its turn comes; in the end of
    the last one the group snapshot has its end.

    Version history::

        1.0 - create_group_snapshot, delete_group_snapshot
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, backend, of_snapshots, assistant=None):
        """:param backend: volume.backend.Backend
        :param of_snapshots: has ``create_snapshot`` and ``delete_snapshot``, as SnapshotEndpoint
        :param assistant: volume.snapshots.assisted.Assistant, or None
        """
        self._backend = backend
        self._driver = backend.driver
        self._of_snapshots = of_snapshots
        self._assistant = assistant
        self._steps = {states.CREATING: self._create, states.DELETING: self._delete}
        if assistant is not None:
            assistant.watch(self._member_ended)

    def create_group_snapshot(self, ctxt, group_snapshot_id):
        self._backend.do(group_snapshot_id, self._work, ctxt, group_snapshot_id, states.CREATING)

    def delete_group_snapshot(self, ctxt, group_snapshot_id):
        self._backend.do(group_snapshot_id, self._work, ctxt, group_snapshot_id, states.DELETING)

    def resume(self):
        """Take up what was recorded and is not being done; called at start and periodically."""
        context = request_context.admin_context()
        for whole_id, status in group_snapshots.unfinished(context, self._backend.host):
            self._backend.resume(whole_id, self._work, request_context.admin_context(), whole_id,
                                 status)

    def _member_ended(self, snapshot):
        if snapshot.group_snapshot_id is not None:
            self._backend.later(snapshot.group_snapshot_id, self._go_on,
                                snapshot.group_snapshot_id)

    def _go_on(self, group_snapshot_id):
        context = request_context.admin_context()
        try:
            status = group_snapshots.get(context, group_snapshot_id).status
        except exceptions.GroupSnapshotNotFound:
            return
        if status in self._steps:
            self._work(context, group_snapshot_id, status)

    def _work(self, context, group_snapshot_id, status):
        """Take the step of a status, if the group snapshot is still in it."""
        try:
            whole = group_snapshots.get(context, group_snapshot_id)
        except exceptions.GroupSnapshotNotFound:
            LOG.info('group snapshot %s is gone: nothing to do', group_snapshot_id)
            return
        if whole.status != status:
            LOG.info('group snapshot %s is %s, no longer %s: nothing to do', group_snapshot_id,
                     whole.status, status)
            return
        try:
            self._steps[status](context, whole)
        except exceptions.BackendDown as fault:
            LOG.warning('group snapshot %s stays %s until its backend answers: %s',
                        group_snapshot_id, status, fault.message)
        self._backend.capacity_changed()

    def _create(self, context, whole):
        members = group_snapshots.members(context, whole.id)
        waiting = [pair for pair in members if pair[0].status == member_states.CREATING]
        if waiting and group_types.is_consistent(context, whole.group_type_id):
            self._create_together(context, whole, members, waiting)
            return
        for snapshot, _volume in waiting:
            self._of_snapshots.create_snapshot(context, snapshot.id)
        left = {snapshot.status for snapshot, _volume in group_snapshots.members(context, whole.id)}
        if member_states.CREATING in left:
            LOG.info('group snapshot %s: some members are still to be taken', whole.id)
        elif member_states.ERROR in left:
            self._failed(context, whole, words.GROUP_SNAPSHOT_NOT_MADE, 'a member is in error')
        else:
            group_snapshots.created(context, whole.id)

    def _create_together(self, context, whole, members, waiting):
        try:
            if not capabilities.has(self._driver, capabilities.GroupSnapshots):
                raise exceptions.NotCapable(backend=self._backend.host,
                                            capability='freeze volumes at one moment')
            self._refuse_used(context, members)
            if len(members) != len(waiting):
                raise exceptions.DriverError(
                    reason='some members are of an earlier moment: a status was set by hand')
            locations = self._driver.create_group_snapshot(
                [values.snapshot_value(snapshot, volume) for snapshot, volume in members])
        except exceptions.BackendDown:
            raise
        except exceptions.ResourceBusy as fault:
            self._failed(context, whole, words.GROUP_NOT_STILL, fault.message)
        except (exceptions.DriverError, OSError) as fault:
            self._failed(context, whole, words.GROUP_SNAPSHOT_NOT_MADE, fault)
        else:
            group_snapshots.created(context, whole.id, {
                snapshot.id: location
                for (snapshot, _volume), location in zip(members, locations, strict=True)})

    def _refuse_used(self, context, members):
        """No compute service takes part in the snapshots of several volumes at one moment.

        :raises ResourceBusy: the driver needs its part, and a volume is used
        """
        if self._assistant is None:
            return
        for _snapshot, volume in members:
            if self._assistant.is_needed(context, volume.id):
                raise exceptions.ResourceBusy(
                    reason=f'volume {volume.id} is attached, and its snapshot needs the compute '
                           'service')

    @staticmethod
    def _failed(context, whole, detail_id, reason):
        if group_snapshots.create_failed(context, whole, detail_id):
            LOG.error('group snapshot %s was not taken: %s', whole.id, reason)

    def _delete(self, context, whole):
        for snapshot, _volume in group_snapshots.members(context, whole.id):
            if snapshot.status == member_states.DELETING:
                self._of_snapshots.delete_snapshot(context, snapshot.id)
        left = {snapshot.status for snapshot, _volume in group_snapshots.members(context, whole.id)}
        if not left:
            group_snapshots.mark_deleted(context, whole.id)
            LOG.info('group snapshot %s is deleted', whole.id)
        elif member_states.DELETING not in left:
            group_snapshots.delete_failed(context, whole)
            LOG.error('group snapshot %s could not be deleted', whole.id)
