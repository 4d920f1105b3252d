"""The scheduler: its RPC, its sweeps, its heartbeat."""
# SPDX-License-Identifier: Apache-2.0

import time

import oslo_messaging
from oslo_log import log

from cinder_ext import compute, periodic
from cinder_ext import context as request_context
from cinder_ext.db import (
    groups,
    managed,
    messages,
    services,
    volume_migrations,
    volume_types,
    volumes,
)
from cinder_ext.rpc import control, transport
from cinder_ext.rpc.replication import ReplicationAPI
from cinder_ext.rpc.volume import VolumeAPI
from cinder_ext.scheduler import backends, migrations, pick, pools, previews
from cinder_ext.scheduler.groups import GroupPlacer
from cinder_ext.scheduler.managed import ManagedPlacer
from cinder_ext.scheduler.volumes import VolumePlacer
from cinder_ext.states import migration as migration_states

LOG = log.getLogger(__name__)

BINARY = 'cinder-scheduler'
"""The binary of a scheduler's row, as clients of the Block Storage API know it."""

SETTLE_SECONDS = 15
"""A scheduler that is younger and lacks reports refuses nothing: it waits for them."""


class SchedulerEndpoint:
    """RPC endpoint; methods as rpc/scheduler.py describes them.

    Version history::

        1.0 - create_volume, create_group, manage_volume, place_migration, get_pools,
              update_backend
        1.1 - preview_migration
    """

    target = oslo_messaging.Target(version='1.1')

    def __init__(self, service):
        self._service = service

    def create_volume(self, ctxt, volume_id):
        self._service.volumes.place(ctxt, volume_id)

    def manage_volume(self, ctxt, volume_id):
        self._service.managed.place(ctxt, volume_id)

    def create_group(self, ctxt, group_id):
        self._service.groups.place(ctxt, group_id)

    def place_migration(self, ctxt, migration_id):
        self._service.migrations.place(ctxt, migration_id)

    def preview_migration(self, ctxt, request):
        return self._service.previews.preview(ctxt, request)

    def get_pools(self, ctxt, detail, filters):
        filters, specs = dict(filters), None
        if 'volume_type' in filters:
            found = volume_types.get_by_name_or_id(ctxt, filters.pop('volume_type'))
            specs = volume_types.extra_specs(ctxt, found.id)
        return pools.shown(self._service.backends.pools(ctxt.elevated()), detail, filters, specs)

    def update_backend(self, ctxt, report):
        self._service.take_report(report)


class SchedulerService:
    """One scheduler process's part.

    :param conf: options; database and transport must be open before ``start()``
    """

    def __init__(self, conf):
        self._conf = conf
        self._server = None
        self._volume_api = None
        self._born_at = None
        self.backends = backends.Backends(conf.service_down_time)
        self.volumes = None
        self.managed = None
        self.groups = None
        self.migrations = None
        self.previews = None
        self._heart = periodic.Periodic(conf.report_interval, self._beat, 'scheduler-heartbeat')
        self._sweeper = periodic.Periodic(conf.sweep_interval, self.sweep, 'scheduler-sweep')
        self._reaper = periodic.Periodic(conf.message_reap_interval, self.reap, 'message-reaper')

    def start(self):
        """Take requests, and ask every backend to report."""
        self._born_at = time.monotonic()
        self._volume_api = VolumeAPI(self._conf)
        rules = pick.rules(self._conf)
        self.volumes = VolumePlacer(self.backends, self._volume_api, self._is_settled, rules,
                                    compute.Compute(self._conf).place_of)
        self.managed = ManagedPlacer(self.backends, self._volume_api, self._is_settled)
        self.groups = GroupPlacer(self.backends, self._volume_api, self._is_settled, rules)
        self.migrations = migrations.MigrationPlacer(self.backends, self._volume_api,
                                                     self._is_settled, rules,
                                                     ReplicationAPI(self._conf).look)
        self.previews = previews.Previewer(self.backends, self._volume_api, self.migrations)
        target = oslo_messaging.Target(topic=transport.SCHEDULER_TOPIC, server=self._conf.host)
        self._server = transport.get_server(
            target, [SchedulerEndpoint(self), control.ControlEndpoint(self._sweeper.poke)])
        self._server.start()
        self._heart.start()
        self._volume_api.report(request_context.admin_context())
        self._sweeper.start()
        self._reaper.start()

    def stop(self):
        """Take no more requests; returns when those that were taken are done."""
        for job in (self._reaper, self._sweeper, self._heart):
            job.stop()
        if self._server is not None:
            self._server.stop()
            self._server.wait()

    def reload(self):
        """Take over changed intervals."""
        self._heart.interval_seconds = self._conf.report_interval
        self._sweeper.interval_seconds = self._conf.sweep_interval
        self._reaper.interval_seconds = self._conf.message_reap_interval

    def take_report(self, report):
        """Remember a backend's report; what waited for reports may be placed now."""
        self.backends.update(report)
        if self._is_young():
            self._sweeper.poke()

    def sweep(self):
        """Place what was recorded and is not placed: its cast was lost, or it waits for reports."""
        context = request_context.admin_context()
        for volume_id, _status in volumes.unfinished(context, None):
            self.volumes.place(context, volume_id)
        for volume_id in managed.waiting(context):
            self.managed.place(context, volume_id)
        for group_id in groups.unplaced(context):
            self.groups.place(context, group_id)
        for migration_id in volume_migrations.waiting(context, (migration_states.SCHEDULING,)):
            self.migrations.place(context, migration_id)

    def reap(self):
        """Remove user messages that have expired; harmless when several schedulers do so."""
        gone = messages.purge_expired(request_context.admin_context())
        if gone:
            LOG.info('%s user messages have expired and are removed', gone)

    def _is_young(self):
        return time.monotonic() < self._born_at + SETTLE_SECONDS

    def _is_settled(self, context):
        """Whether what no known backend can take may be refused."""
        return not self._is_young() or self.backends.is_complete(context)

    def _beat(self):
        services.heartbeat(request_context.admin_context(), BINARY, self._conf.host,
                           transport.SCHEDULER_TOPIC, self._conf.availability_zone)
