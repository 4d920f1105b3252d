"""Tells the schedulers what a backend has left and can do."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import threading
import time

from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions, metrics, periodic
from cinder_ext.db import placement
from cinder_ext.drivers import capabilities, capacity
from cinder_ext.objects import backend_report

LOG = log.getLogger(__name__)

LEAST_GAP_SECONDS = 0.5
"""Many changes within this make one report."""


STANDARD_PROPERTIES = {
    'thin_provisioning': ('Thin Provisioning', 'Sets thin provisioning.'),
    'compression': ('Compression', 'Enables compression.'),
    'qos': ('QoS', 'Enables QoS.'),
    'replication_enabled': ('Replication', 'Enables replication.'),
}
"""Extra specs that the Block Storage API knows everywhere: (title, description)."""


def capabilities_of(driver):
    """What a started driver says of itself, in the words of the Block Storage API.

    :raises DriverError: the backend does not answer
    """
    pools = driver.report()
    found = pools[0].capabilities if pools else {}
    words = ('vendor_name', 'volume_backend_name', 'driver_version', 'storage_protocol',
             'display_name', 'description', 'visibility')
    return {
        **{word: found.get(word) for word in words},
        'pool_name': None,
        'replication_targets': [each['backend_id'] for each in targets_of(driver)],
        'replication_target_details': targets_of(driver),
        'properties': {name: {'title': title, 'description': description, 'type': 'boolean'}
                       for name, (title, description) in STANDARD_PROPERTIES.items()},
    }


def targets_of(driver):
    """Where a driver replicates to: a list of dictionaries, without paths and credentials."""
    if not capabilities.has(driver, capabilities.Replication):
        return []
    return [{'backend_id': target.backend_id, 'modes': list(target.modes),
             'cross_os': target.cross_os, 'availability_zone': target.availability_zone}
            for target in driver.replication_targets()]


def pools_of(driver):
    """What a driver reports of its pools, and how their volumes can be replicated.

    :raises DriverError: the backend does not answer
    """
    words = _replication_words(targets_of(driver))
    return [dataclasses.replace(pool, capabilities={**pool.capabilities, **words})
            for pool in driver.report()]


def _replication_words(targets):
    """In the words of the Block Storage API; and what each target can do."""
    if not targets:
        return {'replication_enabled': False}
    return {
        'replication_enabled': True,
        'replication_type': sorted({mode for target in targets for mode in target['modes']}),
        'replication_count': len(targets),
        'replication_targets': [target['backend_id'] for target in targets],
        'replication_target_details': targets,
        'cross_os': any(target['cross_os'] for target in targets),
        'group_replication_enabled': True,
        'consistent_group_replication_enabled': True,
    }


class Reporter:
    """Reports one backend: at once, periodically, and soon after something changed.

    :param host: ``host@backend``
    :param options: the backend's section
    :param scheduler_api: rpc.scheduler.SchedulerAPI
    """

    def __init__(self, conf, host, options, scheduler_api):
        self._host = host
        self._zone = conf.availability_zone
        self._options = options
        self._scheduler_api = scheduler_api
        self._driver = None
        self._fault = 'the driver has not been started yet'
        self._last = 0
        self._stopping = threading.Event()
        self._job = periodic.Periodic(conf.capacity_report_interval, self._report,
                                      f'report-{host}')

    def start(self):
        self._job.start()

    def stop(self):
        self._stopping.set()
        self._job.stop()

    def set_interval(self, seconds):
        self._job.interval_seconds = seconds

    def set_driver(self, driver):
        """The driver was started: report what it says from now on."""
        self._driver = driver
        self.soon()

    def set_fault(self, fault):
        """The driver could not be started; ``fault`` is one sentence."""
        if fault != self._fault:
            self._fault = fault
            self.soon()

    def soon(self):
        """Something changed."""
        self._job.poke()

    def _report(self):
        self._stopping.wait(max(0, self._last + LEAST_GAP_SECONDS - time.monotonic()))
        self._last = time.monotonic()
        report = self._examine()
        _measure(report)
        self._scheduler_api.update_backend(request_context.admin_context(), report)

    def _examine(self):
        """The report now: objects.backend_report.BackendReport."""
        if self._driver is None:
            return backend_report.BackendReport.of_fault(self._host, self._zone, self._fault)
        try:
            found = (pools_of(self._driver), capabilities.of(self._driver),
                     self._driver.promises())
        except exceptions.DriverError as fault:
            LOG.warning('backend %s cannot be reached: %s', self._host, fault.message)
            return backend_report.BackendReport.of_fault(self._host, self._zone, fault.message)
        return backend_report.BackendReport.of(
            self._host, self._zone, found, self._options,
            placement.loads(request_context.admin_context(), self._host))


def _measure(report):
    """Show a report to Prometheus."""
    metrics.BACKEND_UP.labels(report.host).set(report.is_up)
    for pool in report.pools if report.is_up else ():
        for what in ('total', 'free', 'allocated', 'provisioned'):
            figure = getattr(pool, f'{what}_bytes')
            if capacity.is_known(figure):
                metrics.CAPACITY.labels(f'{report.host}#{pool.name}', what).set(figure)
