"""Groups are made, with the volumes that come from their source, and removed with theirs."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import groups
from cinder_ext.states import group as states
from cinder_ext.states import volume as volume_states

LOG = log.getLogger(__name__)


class GroupEndpoint:
    """RPC endpoint; methods as rpc/volume.py describes them, manners as LifecycleEndpoint.

    The volumes are made and removed one by one, as any others are; the group follows from what
    became of them.  A volume that waits for its backend keeps the group waiting.

    Version history::

        1.0 - create_group, delete_group
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, backend, of_volumes):
        """:param backend: volume.backend.Backend
        :param of_volumes: has ``create_volume`` and ``delete_volume``, as LifecycleEndpoint
        """
        self._backend = backend
        self._of_volumes = of_volumes
        self._steps = {states.CREATING: self._create, states.DELETING: self._delete}

    def create_group(self, ctxt, group_id):
        self._backend.do(group_id, self._work, ctxt, group_id, states.CREATING)

    def delete_group(self, ctxt, group_id):
        self._backend.do(group_id, self._work, ctxt, group_id, states.DELETING)

    def resume(self):
        """Take up what was recorded and is not being done; called at start and periodically."""
        context = request_context.admin_context()
        for group_id, status in groups.unfinished(context, self._backend.host):
            self._backend.resume(group_id, self._work, request_context.admin_context(), group_id,
                                 status)

    def _work(self, context, group_id, status):
        """Take the step of a status, if the group is still in it."""
        try:
            group = groups.get(context, group_id)
        except exceptions.GroupNotFound:
            LOG.info('group %s is gone: nothing to do', group_id)
            return
        if group.status != status:
            LOG.info('group %s is %s, no longer %s: nothing to do', group_id, group.status, status)
            return
        self._steps[status](context, group)

    def _create(self, context, group):
        if group.request:
            for volume_id, status in groups.members(context, group.id):
                if status == volume_states.CREATING:
                    self._of_volumes.create_volume(context, volume_id)
            left = {status for _id, status in groups.members(context, group.id)}
            if volume_states.ERROR in left:
                groups.create_failed(context, group)
                LOG.error('group %s could not be made from its source', group.id)
                return
            if volume_states.CREATING in left:
                return
        groups.created(context, group.id)

    def _delete(self, context, group):
        if not group.request:
            # An administrator has set the status: nothing is to be removed.
            groups.delete_failed(context, group)
            return
        for volume_id, status in groups.members(context, group.id):
            if status == volume_states.DELETING:
                self._of_volumes.delete_volume(context, volume_id)
        left = {status for _id, status in groups.members(context, group.id)}
        if not left:
            groups.mark_deleted(context, group.id)
            LOG.info('group %s is deleted', group.id)
        elif volume_states.DELETING not in left:
            groups.delete_failed(context, group)
            LOG.error('group %s could not be deleted with its volumes', group.id)
