"""Replications begin and end: with their volumes, with the types of those, and when asked to."""
# SPDX-License-Identifier: Apache-2.0

import threading

from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import (
    group_types,
    groups,
    lease,
    replication_changes,
    replication_shipping,
    replications,
    services,
    volume_types,
)
from cinder_ext.states import replication as states
from cinder_ext.states import replication_policy
from cinder_ext.states import volume as volume_states
from cinder_ext.volume.replication import pacer, ship

LOG = log.getLogger(__name__)

_SETTLED = (states.ENABLING, states.ENABLED, states.PAUSED)
"""States in which a volume is used where its type was given to it."""
_BUSY_SECONDS = 2
"""Pause before what is in use is tried again."""


class Lifecycle:
    """Begins and ends what one backend replicates.

    :param tools: volume.replication.tools.Tools
    :param holds: holds.Holds of replications, shared with the shipper
    """

    def __init__(self, tools, holds):
        self._tools = tools
        self._holds = holds
        self._lock = threading.Lock()
        self._refused = {}

    # Ending

    def tasks(self, row, gone=()):
        """What is to be ended of a replication: a list of pacer.Task.

        :param row: replication_models.Replication
        :param gone: ids of volumes that are its members no more
        """
        now = self._tools.now()
        if row.state == states.DISABLING:
            return [pacer.Task((row.id, 'end'), row.id, now, lambda: self.end(row.id),
                               is_alone=True)]
        if not gone:
            return []
        if row.scope == 'group':
            return [pacer.Task((row.id, 'leave'), row.id, now,
                               lambda: self.drop(row.id, tuple(gone)), is_alone=True)]
        # The key of the volume's own points: so it is not dropped while one is on its way.
        return [pacer.Task((row.id, volume_id), row.id, now,
                           lambda volume_id=volume_id: self.drop(row.id, (volume_id,)))
                for volume_id in gone]

    def end(self, replication_id):
        """End a replication that is ``disabling``.

        :returns: when it is to be tried again, seconds since the epoch; None: it has ended
        """
        return self._held(replication_id, self._end)

    def drop(self, replication_id, volume_ids):
        """End it for some volumes, which are not protected with the others any more."""
        return self._held(replication_id, self._drop, volume_ids)

    def _held(self, replication_id, work, *arguments):
        context = request_context.admin_context()
        with self._holds.held(context, replication_id) as fence:
            if fence is None:
                return self._tools.now() + pacer.LOOK_SECONDS
            context = lease.fenced(context, fence)
            try:
                return work(context, replications.get(context, replication_id), *arguments)
            except exceptions.ReplicationNotFound:
                return None
            except exceptions.ResourceBusy as fault:
                LOG.info('replication %s ends later: %s', replication_id, fault.message)
                return self._tools.now() + _BUSY_SECONDS

    def _end(self, context, row):
        if row.state != states.DISABLING:
            return
        volume_ids = [each.volume_id for each in replications.members(context, row.id)]
        left = self._unpair(context, row, volume_ids)
        if left:
            replications.update(context, row.id, {'error': '; '.join(left)})
        replication_changes.disabled(context, row.id)
        LOG.info('replication %s of %s %s to %s has ended', row.id, row.scope, row.protected_id,
                 row.target)

    def _drop(self, context, row, volume_ids):
        if row.state not in states.SHIPPING:
            # A failover is under way, or it waits for an administrator.
            return
        self._unpair(context, row, volume_ids)
        for volume_id in volume_ids:
            replications.drop_member(context, row.id, volume_id)
            LOG.info('replication %s: volume %s is replicated with it no more', row.id, volume_id)

    def _unpair(self, context, row, volume_ids):
        """End it at the arrays, for each volume by itself: one that fails keeps no other one.

        :returns: a list of sentences: what may be left there, and why
        :raises ResourceBusy: to be tried again
        """
        left = []
        for volume in replication_shipping.removed(context, row.id, volume_ids):
            for side, reason in self._unpaired(context, row, volume).items():
                left.append(f'a replica of volume {volume.id} is left at {side}: {reason}')
                LOG.warning('replication %s: %s', row.id, left[-1])
        return left

    def _unpaired(self, context, row, volume):
        """Side -> why something of a volume may be left there."""
        member = ship.member(volume, ())
        try:
            driver = self._tools.driver_of(context, row.home)
            silent = driver.unpair([member], row.source_side, row.destination_side)
            if volume.deleted_at is not None and volume.status == volume_states.DELETING:
                # One that was fenced when it was deleted has its content again.  Not one that was
                # let go: its content is somebody's.
                driver.delete_volume(member.volume)
        except exceptions.ResourceBusy:
            raise
        except (exceptions.DriverError, OSError) as fault:
            reason = getattr(fault, 'message', None) or str(fault)
            return {row.destination_side or 'home': reason}
        return {side or 'home': 'it does not answer' for side in silent}

    # Beginning, and following the types

    def follow(self, context, volume_ids=None):
        """Let volumes of the backend be replicated by itself as its type asks, from now on.

        Volumes that were made or retyped begin, those whose new type does not ask for it end,
        unless somebody has asked for it besides.

        :param volume_ids: a set; None for all volumes
        """
        if not self._tools.replicates or volume_ids == set():
            return
        asked = {}
        for row in replication_shipping.own_volumes(context, self._tools.host, volume_ids):
            key = row.volume_type_id, row.group_id
            if key not in asked:
                asked[key] = self._asked(context, *key)
            self._guarded(row.id, self._settle, context, row, asked[key])

    def _settle(self, context, row, policy):
        """Begin, end or change what a volume has of its own.

        :param row: of db.replication_shipping.own_volumes
        """
        if row.replication_id is None:
            if policy is not None:
                self._begin(context, row.id, policy)
        elif row.state not in _SETTLED or (policy is None and row.policy.get('by_request')):
            return
        elif policy is None or policy.target not in (None, row.target):
            # To another target it begins when this one has ended.
            replication_changes.leave(context, row.id)
        elif policy.as_document() != row.policy:
            self._change(context, row, policy)

    def _change(self, context, row, policy):
        driver = self._tools.driver_of(context, self._tools.host)
        replications.update(context, row.replication_id, {
            'policy': policy.as_document(), 'rpo_seconds': policy.rpo_seconds,
            'retention': policy.retention,
            'interval_seconds': driver.replication_interval(row.target, policy.interval_seconds)})
        LOG.info('replication %s of volume %s has another policy', row.replication_id, row.id)

    def _asked(self, context, type_id, group_id):
        """The policy of a volume that is to be replicated by itself; None of another one."""
        types = volume_types.extra_specs(context, type_id)
        group = None
        try:
            if group_id is not None:
                specs = group_types.specs(context, groups.get(context, group_id).group_type_id)
                group = replication_policy.parse(specs, 'the group type')
            found = replication_policy.merge(
                group, replication_policy.parse(types, 'the volume type'))
        except (exceptions.InvalidInput, exceptions.NotFound) as fault:
            LOG.debug('volume type %s: %s', type_id, fault.message)
            return None
        return found if found.is_enabled and found.scope == 'volume' else None

    def _guarded(self, volume_id, change, *arguments):
        """Make a change that may be refused now, and say why it was; it is tried again."""
        try:
            change(*arguments)
        except (exceptions.Conflict, exceptions.BadRequest, exceptions.NotFound,
                exceptions.DriverError) as refusal:
            if self._refused.get(volume_id) != refusal.message:
                self._refused[volume_id] = refusal.message
                LOG.warning('volume %s is not replicated as its type asks: %s', volume_id,
                            refusal.message)
        else:
            self._refused.pop(volume_id, None)

    def _begin(self, context, volume_id, policy):
        active = services.active_backend(context, self._tools.host)
        if active is not None:
            raise exceptions.InvalidState(
                kind='volume', reason=f'{self._tools.host} is failed over to {active}; its volumes '
                                      'are replicated again once it has been failed back.')
        driver = self._tools.driver_of(context, self._tools.host)
        target = choose_target(driver, policy, self._tools.host)
        interval = driver.replication_interval(target.backend_id, policy.interval_seconds)
        row = replications.create(context, policy, volume_id, target.backend_id, {
            'cross_os': target.cross_os, 'interval_seconds': interval})
        LOG.info('replication %s of volume %s to %s begins', row.id, volume_id, target.backend_id)


def choose_target(driver, policy, backend):
    """The target that a policy names, or the first one that can do what it asks for.

    Another cloud's comes last: its failover is an export and an import, which must be meant.

    :returns: values.ReplicationTarget
    :raises NotCapable: there is none
    """
    for target in sorted(driver.replication_targets(), key=lambda each: each.cross_os):
        if policy.target in (None, target.backend_id) and policy.mode in target.modes:
            return target
    raise exceptions.NotCapable(
        backend=backend, capability=f'replicate {policy.mode} to {policy.target or "any target"}')
