"""What this scheduler knows of the backends: their last reports, in memory."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import datetime
import threading

from oslo_utils import timeutils

from cinder_ext.db import migration_claims, replication_placement, services
from cinder_ext.drivers import capacity
from cinder_ext.scheduler import replication, request

VOLUME_BINARY = 'cinder-volume'
"""The binary of a volume service's row, as clients of the Block Storage API know it."""


class Backends:
    """The pools of all reports, joined with the rows of their services.

    :param down_seconds: a service whose last heartbeat is older is down

    What was placed since a report counts against it, until the next report; migrations that are
    on their way count by their records.
    """

    def __init__(self, down_seconds):
        self._down_seconds = down_seconds
        self._lock = threading.Lock()
        self._reports = {}
        self._placed = {}

    def update(self, report):
        """Take a report, unless a later one of that backend is known.

        :param report: objects.backend_report.BackendReport
        """
        with self._lock:
            known = self._reports.get(report.host)
            if known is not None and known.reported_at > report.reported_at:
                return
            if known is not None and not report.is_up:
                # Its pools stay known, so that a refusal can say what is wrong with them.
                report.pools = known.pools
            self._reports[report.host] = report
            self._placed.pop(report.host, None)

    def consume(self, pool, size_bytes):
        """Count something that was just placed on a request.Pool."""
        with self._lock:
            placed = self._placed.setdefault(pool.backend, {})
            count, total_bytes = placed.get(pool.host, (0, 0))
            placed[pool.host] = (count + 1, total_bytes + size_bytes)

    def is_complete(self, context):
        """Whether there is a backend, and all that are alive have reported."""
        now = timeutils.utcnow()
        alive = {host for host, row in services.of_backends(context).items()
                 if services.is_up(row, self._down_seconds, now)}
        with self._lock:
            return bool(alive) and alive <= self._reports.keys()

    def pools(self, context):
        """Every known pool as it is now: a list of request.Pool."""
        rows = services.of_backends(context)
        loads = migration_claims.loads(context)
        with self._lock:
            known = [(report, dict(self._placed.get(report.host, {})))
                     for report in self._reports.values()]
        found = [_without_claims(pool, loads.get(pool.host)) for report, placed in known
                 for pool in self._pools_of(report, placed, rows.get(report.host))]
        if any(pool.capabilities.get('replication_enabled') for pool in found):
            wholes = _wholes(context)
            found = [dataclasses.replace(pool, wholes=wholes.get(pool.host, ())
                                         + wholes.get(pool.backend, ())) for pool in found]
        return found

    def _pools_of(self, report, placed, service):
        now = timeutils.utcnow()
        is_alive = service is not None and services.is_up(service, self._down_seconds, now)
        for pool in report.pools:
            host = f'{report.host}#{pool.name}'
            found = request.Pool(
                host=host, total_bytes=pool.total_bytes, free_bytes=pool.free_bytes,
                allocated_bytes=pool.allocated_bytes, provisioned_bytes=pool.provisioned_bytes,
                capabilities=_capabilities(report, pool),
                max_over_subscription_ratio=_ratio(report, pool),
                reserved_percentage=report.reserved_percentage,
                availability_zone=report.availability_zone, is_alive=is_alive,
                volume_count=pool.volume_count,
                filter_function=_formula(report, pool, 'filter_function'),
                goodness_function=_formula(report, pool, 'goodness_function'),
                is_enabled=_is_enabled(service), fault=report.fault,
                replication_status=service and service.replication_status,
                reported_at=_time(report.reported_at))
            yield _less(found, *placed.get(host, (0, 0)))


def _wholes(context):
    """What is replicated as a whole: ``host@backend[#pool]`` -> a tuple of replication.Whole."""
    found = {}
    for row in replication_placement.wholes(context):
        found.setdefault(row.protected_id, []).append(replication.Whole(*row))
    return {place: tuple(wholes) for place, wholes in found.items()}


def _without_claims(pool, load):
    """A pool without what migrations are going to take of it."""
    if load is None:
        return pool
    pool = _less(pool, *load.expected)
    free = pool.free_bytes
    if capacity.is_known(free):
        free = max(0, free - load.claim.physical)
    return dataclasses.replace(pool, free_bytes=free,
                               provisioned_bytes=pool.provisioned_bytes + load.claim.virtual)


def _is_enabled(service):
    return service is not None and not (service.disabled or service.frozen)


def _capabilities(report, pool):
    return {'volume_backend_name': pool.name, **dict.fromkeys(report.words, True),
            **pool.capabilities}


def _ratio(report, pool):
    return capacity.over_subscription(report.max_over_subscription_ratio, pool.total_bytes,
                                      pool.free_bytes, pool.provisioned_bytes)


def _formula(report, pool, name):
    """What the configuration says, else what the driver says of the pool."""
    found = getattr(report, name) or pool.capabilities.get(name)
    return None if found is None else str(found)


def _less(pool, placed_count, placed_bytes):
    """A pool after something was placed on it: thin things take no room at once."""
    free = pool.free_bytes
    if not pool.is_thin and capacity.is_known(free):
        free -= placed_bytes
    return dataclasses.replace(pool, free_bytes=free,
                               provisioned_bytes=pool.provisioned_bytes + placed_bytes,
                               allocated_bytes=pool.allocated_bytes + placed_bytes,
                               volume_count=pool.volume_count + placed_count)


def _time(seconds):
    """ISO 8601, in UTC, of seconds since the epoch."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
