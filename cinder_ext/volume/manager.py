"""One backend's volume service: starts the driver, resumes work, registers what serves requests.

No business method is here: each journey has its endpoint.
"""
# SPDX-License-Identifier: Apache-2.0

import threading

import oslo_messaging
from oslo_log import log

from cinder_ext import compute, exceptions, periodic
from cinder_ext import context as request_context
from cinder_ext.conf import backend as backend_conf
from cinder_ext.db import backend_failovers, services
from cinder_ext.drivers import capabilities, loader
from cinder_ext.rpc import control, transport
from cinder_ext.rpc.scheduler import SchedulerAPI
from cinder_ext.volume import backend as backends
from cinder_ext.volume import engine, ownership, reports
from cinder_ext.volume.attachments import connection_info, reconciler
from cinder_ext.volume.attachments.endpoint import AttachmentEndpoint
from cinder_ext.volume.groups.endpoint import GroupEndpoint
from cinder_ext.volume.groups.snapshots import GroupSnapshotEndpoint
from cinder_ext.volume.lifecycle.endpoint import LifecycleEndpoint
from cinder_ext.volume.manage.endpoint import ManageEndpoint
from cinder_ext.volume.migration.destination import DestinationEndpoint
from cinder_ext.volume.migration.endpoint import MigrationEndpoint
from cinder_ext.volume.migration.preview import PreviewEndpoint
from cinder_ext.volume.replication.server import ReplicationServer
from cinder_ext.volume.revert.endpoint import RevertEndpoint
from cinder_ext.volume.snapshots.assisted import Assistant
from cinder_ext.volume.snapshots.endpoint import SnapshotEndpoint

LOG = log.getLogger(__name__)

BINARY = 'cinder-volume'
"""The binary of a volume service's row, as clients of the Block Storage API know it."""

RETRY_SECONDS = 10
"""Pause between attempts to start the driver of a backend that is down."""


class ReportEndpoint:
    """RPC endpoint: what a backend says of itself, to the schedulers and to operators."""

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, reporter, driver):
        self._reporter = reporter
        self._driver = driver

    def report(self, ctxt):
        self._reporter.soon()

    def get_capabilities(self, ctxt):
        return reports.capabilities_of(self._driver)


class VolumeService:
    """The service of one backend.

    ``start()`` returns at once; the driver is started by a thread, again and again while its
    backend is down.  Until then the service is alive, reports the fault, and messages wait.

    :param conf: options; database and transport must be open before ``start()``
    :param section: the backend's section of the configuration
    :param flow_engine: volume.engine.Engine; runs the flows of all backends of the process
    :param owner: volume.ownership.Ownership of the process
    """

    def __init__(self, conf, section, flow_engine, owner):
        backend_conf.register(conf, section)
        self._conf = conf
        self._section = section
        self._engine = flow_engine
        self._owner = owner
        self.host = f'{conf.host}@{section}'
        self._replication = ReplicationServer(conf, self.host, flow_engine, owner)
        self._lock = threading.Lock()
        self._server = None
        self._backend = None
        self._endpoints = []
        self._reporter = None
        self._reconciler = None
        self._is_refused = False
        self._is_stopping = False
        self._heart = periodic.Periodic(conf.report_interval, self._beat, f'heart-{section}')
        self._sweeper = periodic.Periodic(conf.sweep_interval, self._sweep, f'sweep-{section}')

    def announce(self):
        """Be known as alive.  Before anything is reported: a report of a service that nobody
        has heard of is not believed.
        """
        self._beat()

    def start(self):
        """Start the driver in the background, and report."""
        self.announce()
        self._reporter = reports.Reporter(self._conf, self.host, self._conf[self._section],
                                          SchedulerAPI(self._conf))
        self._heart.start()
        self._replication.start()
        self._sweeper.start()

    def park(self):
        """Begin nothing more that was recorded, and let migrations pause where they stand."""
        with self._lock:
            self._is_stopping = True
        self._sweeper.stop()
        self._replication.park()
        if self._reconciler is not None:
            self._reconciler.stop()
        for endpoint in self._endpoints:
            if hasattr(endpoint, 'stop'):
                endpoint.stop()

    def stop(self):
        """Take no more messages; returns when what was begun is done."""
        if self._reporter is None:
            return
        self.park()
        self._replication.stop()
        if self._server is not None:
            self._server.stop()
            self._server.wait()
            self._backend.stop()
        self._reporter.stop()
        self._heart.stop()

    def reload(self):
        """Take over changed intervals; drivers read their own options when they need them."""
        self._heart.interval_seconds = self._conf.report_interval
        self._sweeper.interval_seconds = self._pause_seconds()
        self._reporter.set_interval(self._conf.capacity_report_interval)
        if self._reconciler is not None:
            self._reconciler.reload()

    def _beat(self):
        services.heartbeat(request_context.admin_context(), BINARY, self.host,
                           transport.VOLUME_TOPIC, self._conf.availability_zone)

    def _sweep(self):
        """Start the driver if it is not; take up recorded work that nobody does."""
        if self._server is None and not self._is_refused:
            try:
                self._open()
            finally:
                # Not before: a report of "not started yet" would look like a fault.
                self._reporter.start()
        self._replication.resume()
        self._sweeper.interval_seconds = self._pause_seconds()
        for endpoint in self._endpoints:
            if hasattr(endpoint, 'resume'):
                endpoint.resume()

    def _open(self):
        """Start the driver and take messages; on a fault, report it."""
        try:
            driver = loader.load(self._conf, self._section, services.active_backend(
                request_context.admin_context(), self.host))
            # Before it is started: a failover needs it when it cannot be.
            self._replication.hand_over(driver)
            driver.start()
        except exceptions.Misconfigured as fault:
            self._is_refused = True
            LOG.error('backend %s is not started: %s %s', self.host, fault.message, fault.remedy)
            self._reporter.set_fault(fault.message)
        except exceptions.DriverError as fault:
            LOG.error('backend %s cannot be started, it is tried again: %s', self.host,
                      fault.message)
            self._reporter.set_fault(fault.message)
        else:
            self._serve(driver)

    def _pause_seconds(self):
        """Until the next sweep; shorter while the backend is not there."""
        if self._server is None and not self._is_refused:
            return min(RETRY_SECONDS, self._conf.sweep_interval)
        return self._conf.sweep_interval

    def _serve(self, driver):
        """Register the endpoints of a started driver."""
        backend_failovers.announce(request_context.admin_context(), self.host,
                                   bool(reports.targets_of(driver)))
        backend = backends.Backend(self.host, driver, self._reporter.soon)
        assistant = self._assistant_of(backend)
        of_snapshots = SnapshotEndpoint(backend, assistant)
        of_volumes = LifecycleEndpoint(backend, of_snapshots.delete_snapshot,
                                       SchedulerAPI(self._conf).create_volume,
                                       self._conf.scheduler_max_attempts)
        endpoints = [
            ReportEndpoint(self._reporter, driver),
            control.ControlEndpoint(self._sweeper.poke),
            of_volumes,
            of_snapshots,
            GroupEndpoint(backend, of_volumes),
            GroupSnapshotEndpoint(backend, of_snapshots, assistant),
            AttachmentEndpoint(backend, assistant),
            ManageEndpoint(backend),
            RevertEndpoint(backend),
            MigrationEndpoint(self._conf, self.host, driver, self._engine, self._owner),
            PreviewEndpoint(self._conf, driver),
            DestinationEndpoint(driver),
        ]
        target = oslo_messaging.Target(topic=transport.VOLUME_TOPIC, server=self.host)
        server = transport.get_server(target, endpoints)
        with self._lock:
            if self._is_stopping:
                return
            server.start()
            self._backend, self._server, self._endpoints = backend, server, endpoints
            self._reconciler = reconciler.Reporter(self._conf, self.host, driver)
            self._reconciler.start()
        self._reporter.set_driver(driver)
        LOG.info('backend %s is up', self.host)


    def _assistant_of(self, backend):
        """For snapshots with the compute service's part; None: the driver knows of no such thing."""
        if not capabilities.has(backend.driver, capabilities.AssistedSnapshots):
            return None
        return Assistant(backend, compute.Compute(self._conf),
                         lambda: self._conf.nova.assisted_snapshot_deadline, connection_info.of)


class VolumeServices:
    """The services of all backends of one process; they share one engine.

    :param conf: options; database and transport must be open before ``start()``
    :param sections: sections of the backends; by default all that are enabled
    :param watchers: told of every step of every flow, see volume.engine.Engine
    """

    def __init__(self, conf, sections=None, watchers=()):
        self._conf = conf
        self._engine = engine.Engine(conf, watchers)
        self._owner = ownership.Ownership(conf)
        self._services = [VolumeService(conf, section, self._engine, self._owner)
                          for section in sections or conf.enabled_backends]

    def start(self):
        """Announce all before one reports: the schedulers wait for the reports of all."""
        for service in self._services:
            service.announce()
        self._owner.start()
        for service in self._services:
            service.start()

    def stop(self):
        """Park the migrations of all backends first: one's destination is another's service."""
        for service in self._services:
            service.park()
        for service in self._services:
            service.stop()
        self._owner.stop()
        self._engine.close()

    def reload(self):
        for service in self._services:
            service.reload()
