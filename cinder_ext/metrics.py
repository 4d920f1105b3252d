"""Figures for Prometheus, and the port on which it reads them.

Every module counts into the objects below; they cost next to nothing when
nobody reads them.  With several processes of one service (workers of a WSGI
server) the environment variable ``PROMETHEUS_MULTIPROC_DIR`` names an empty
directory through which they are summed; the first process to get the port
serves all, and another one takes over when it ends.

Source: the Prometheus exposition format, and prometheus_client's multiprocess
mode.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import threading

import prometheus_client
from oslo_log import log as logging
from prometheus_client import multiprocess

LOG = logging.getLogger(__name__)

RETRY_SECONDS = 10
"""Pause between attempts to get a port that another process holds."""

_SECONDS = (.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30)

REQUESTS = prometheus_client.Counter(
    'cinder_ext_api_requests', 'Answered requests.', ['method', 'route', 'code'])
REQUEST_SECONDS = prometheus_client.Histogram(
    'cinder_ext_api_request_seconds', 'From a request to its answer.', ['method', 'route'],
    buckets=_SECONDS)
RPC_SECONDS = prometheus_client.Histogram(
    'cinder_ext_rpc_seconds', 'Work on one message that was taken.', ['topic', 'method'],
    buckets=_SECONDS)
CHANGES = prometheus_client.Counter(
    'cinder_ext_changes', 'Committed changes of a status.', ['kind', 'event'])
FLOWS = prometheus_client.Counter(
    'cinder_ext_flows', 'Flows that came to a state.', ['flow', 'state'])
FLOWS_RUNNING = prometheus_client.Gauge(
    'cinder_ext_flows_running', 'Flows at work now.', ['flow'], multiprocess_mode='livesum')
BYTES = prometheus_client.Counter(
    'cinder_ext_migration_bytes', 'What copies did, in bytes: read, written, skipped.',
    ['backend', 'what'])
CAPACITY = prometheus_client.Gauge(
    'cinder_ext_pool_bytes', 'A pool: total, free, allocated, provisioned.', ['pool', 'what'],
    multiprocess_mode='mostrecent')
BACKEND_UP = prometheus_client.Gauge(
    'cinder_ext_backend_up', 'Whether a backend answers.', ['backend'],
    multiprocess_mode='mostrecent')
ATTACHMENT_FINDINGS = prometheus_client.Gauge(
    'cinder_ext_attachment_findings', 'Attachments, exports and statuses that nobody stands behind.',
    ['backend', 'kind'], multiprocess_mode='mostrecent')


class MetricsService:
    """Serves the figures of this process on ``[metrics] port``; does nothing without one.

    :param conf: options
    """

    def __init__(self, conf):
        self._conf = conf
        self._server = None
        self._is_stopping = threading.Event()
        self._waiter = None

    @property
    def port(self):
        """The port that it listens on, or None."""
        return self._server.server_port if self._server is not None else None

    def start(self):
        """Listen, now or when the process that has the port ends; never keeps a service from
        starting.
        """
        if self._conf.metrics.port is None or self._listen():
            return
        self._waiter = threading.Thread(target=self._wait, name='metrics', daemon=True)
        self._waiter.start()

    def stop(self):
        """Listen no more.  Idempotent."""
        self._is_stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reload(self):
        """Nothing is kept that could change."""

    def _listen(self):
        """Whether it listens now."""
        options = self._conf.metrics
        try:
            self._server, _ = prometheus_client.start_http_server(
                options.port, options.listen, registry=_registry())
        except OSError as fault:
            LOG.warning('metrics: %s port %s: %s', options.listen, options.port, fault)
            return False
        LOG.info('metrics are on http://%s:%s/metrics', options.listen, self.port)
        return True

    def _wait(self):
        while not self._is_stopping.wait(RETRY_SECONDS):
            if self._listen():
                return


def _registry():
    if 'PROMETHEUS_MULTIPROC_DIR' not in os.environ:
        return prometheus_client.REGISTRY
    registry = prometheus_client.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return registry
