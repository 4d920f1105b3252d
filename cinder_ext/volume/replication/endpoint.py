"""The standing work of one backend's replication, and the RPC endpoint that has it looked at."""
# SPDX-License-Identifier: Apache-2.0

import threading

import oslo_messaging
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import (
    groups,
    lease,
    replication_changes,
    replication_shipping,
    replications,
    transition,
)
from cinder_ext.rpc import hosts
from cinder_ext.states import replication as states
from cinder_ext.volume.replication import (
    breach,
    holds,
    lifecycle,
    operations,
    pacer,
    ship,
    trials,
    units,
)

LOG = log.getLogger(__name__)

FOLLOWED = {('volume', 'created'), ('volume', 'managed'), ('migration', 'committed'),
            ('migration', 'retype-in-place'), ('volume', 'accept')}
"""Changes after which a volume may have to be replicated, or to be it no more."""
NOTICED = {('volume', 'deleted'), ('volume', 'reverted'), ('volume', 'unmanaged'),
           ('replication', 'insert'), ('replication', 'disable'), ('replication', 'resume')}
"""Changes after which there may be something to be done at once."""


class ReplicationEndpoint:
    """RPC endpoint; methods as rpc/replication.py describes them.

    What is recorded is done, whether somebody says so or not: at each look, which comes every few
    seconds by itself.

    :param tools: volume.replication.tools.Tools
    :param manifests: see ship.Shipper

    Version history::

        1.0 - look
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, tools, manifests=lambda *about: {}):
        self._tools = tools
        tools.manifests = manifests
        self._holds = holds.Holds(tools.ownership, lease.REPLICATION)
        self._shipper = ship.Shipper(tools, self._holds, manifests)
        self._lifecycle = lifecycle.Lifecycle(tools, self._holds)
        self._operations = operations.Operations(tools)
        section = tools.host.partition('@')[2]
        self._points = pacer.Pacer(
            self._plan, lambda: tools.conf.replication.concurrent, tools.stopping,
            f'replication-{section}', tools.now)
        self._verbs = pacer.Pacer(
            self._open_operations, lambda: tools.conf.replication.concurrent_operations,
            tools.stopping, f'operations-{section}', tools.now)
        self._lock = threading.Lock()
        self._followed = set()
        self._is_to_follow_all = True
        self._unwatch = None

    def start(self):
        """Begin to look."""
        self._unwatch = transition.watch(self._notice)
        self._points.start()
        self._verbs.start()

    def look(self, ctxt):
        """There is something new in the records: a type of a volume, too."""
        self.resume()

    def resume(self):
        """Look, also whether the volumes are replicated as their types ask; called periodically."""
        self._follow()
        self._verbs.poke()
        trials.expire(request_context.admin_context(), self._tools.host)

    def stop(self):
        """Begin nothing more.

        :returns: whether what was begun has ended in time; what has not dies with the process
        """
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        self._tools.stopping.set()
        return all([self._points.stop(), self._verbs.stop()])

    def _notice(self, context, kind, entity_id, event, *more):
        """A change was committed by this process."""
        if not self._tools.replicates:
            return
        if (kind, event) in FOLLOWED:
            self._follow({entity_id} if kind == 'volume' else None)
        elif (kind, event) in NOTICED:
            self._points.poke()

    def _follow(self, volume_ids=None):
        """Look whether volumes are replicated as their types ask; by default all of them."""
        with self._lock:
            self._followed.update(volume_ids or ())
            self._is_to_follow_all = self._is_to_follow_all or volume_ids is None
        self._points.poke()

    def _taken(self):
        """Which volumes are to be looked at: a set, None for all; they are not any more."""
        with self._lock:
            found = None if self._is_to_follow_all else self._followed
            self._followed, self._is_to_follow_all = set(), False
            return found

    def _open_operations(self):
        return self._operations.tasks(request_context.admin_context())

    # What there is to be done with the points

    def _plan(self):
        """All that is shipped or ended now: a list of pacer.Task."""
        context = request_context.admin_context()
        self._lifecycle.follow(context, self._taken())
        rows = replications.of_home(context, self._tools.host, replication_shipping.WORKED_ON)
        members = replication_shipping.members_of_home(context, self._tools.host) if rows else {}
        living = {row.id for row in rows}
        self._shipper.forget(living)
        self._holds.forget(living)
        return [task for row in rows for task in self._tasks_of(context, row,
                                                                members.get(row.id, []))]

    def _tasks_of(self, context, row, members):
        if row.state != states.DISABLING and self._is_over(context, row, members):
            row = self._disabled(context, row)
        if row.state == states.DISABLING:
            return self._lifecycle.tasks(row)
        if row.state not in states.SHIPPING or not row.is_shipping:
            return []
        measuring = breach.tasks(row, self._tools.now)
        if row.scope != 'volume':
            return [*measuring, *self._tasks_of_many(context, row, members)]
        return [*measuring, *self._shipper.tasks(row, members)]

    def _is_over(self, context, row, members):
        """Whether what was protected is there no more, or is somewhere else now."""
        if row.scope == 'volume':
            return not any(each.deleted_at is None and self._is_here(each) for each in members)
        if row.scope != 'group' or members:
            return False
        try:
            groups.get(context, row.protected_id)
        except exceptions.GroupNotFound:
            return True
        return False

    def _disabled(self, context, row):
        """A replication that is to end, as it is now."""
        try:
            return replication_changes.begin_disable(context, row.id)
        except (exceptions.Conflict, exceptions.ReplicationNotFound) as refusal:
            LOG.info('replication %s does not end yet: %s', row.id, refusal.message)
            return row

    def _is_here(self, member):
        return hosts.backend_of(member.host or '') == self._tools.host

    def _tasks_of_many(self, context, row, members):
        """The members of a group, pool or backend come and go."""
        gone = ()
        present = [each.volume_id for each in members]
        if present != replications.wanted_members(context, row):
            wanted, gone = replications.sync_members(context, row.id)
            if len(wanted) + len(gone) > len(present):
                # Those that came are shipped from the next look on.
                self._points.poke()
            members = [each for each in members if each.volume_id not in gone]
        if not members and not gone and self._is_due(row):
            replication_shipping.nothing_to_ship(context, row.id)
        leaving = self._lifecycle.tasks(row, gone)
        if leaving and row.scope == 'group':
            return leaving
        return [*leaving, *self._shipper.tasks(row, members)]

    def _is_due(self, row):
        now = self._tools.now()
        return units.due_at(units.seconds(row.last_consistent_at), row.interval_seconds, None,
                            now) <= now
