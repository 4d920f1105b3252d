"""Which pools can take a request: one function each, None or the reason why not.

The reasons are read by operators and, without the pool's name, by users.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import capacity as figures
from cinder_ext.scheduler import formulas, operators, queries
from cinder_ext.scheduler import replication as replicating

GIB = 1024 ** 3

BARE_REPLICATION = ('replication_scope', 'replication_mode')
"""Other spellings of ``replication:scope`` and ``replication:mode``."""

ZONES = 'RESKEY:availability_zones'
"""Extra spec with the zones, separated by commas, in which a type's volumes may be."""


def named(pool, request):
    """Only the host that was named."""
    if request.named is None or request.named in (pool.host, pool.backend):
        return None
    return 'another host was named'


def excluded(pool, request):
    """Not where the volume is already."""
    return 'the volume is there already' if pool.host == request.excluded else None


def untried(pool, request):
    """Not where it failed before."""
    return 'it was tried and failed there' if pool.host in request.tried else None


def alive(pool, request):
    """Its service is enabled and alive, and reaches its backend."""
    if not pool.is_alive:
        return 'its volume service is down'
    if pool.fault is not None:
        return f'its backend cannot be reached: {pool.fault}'
    return None if pool.is_enabled else 'its volume service is disabled'


def replication(pool, request):
    """It serves the scope, mode and target of replication that is asked for."""
    return replicating.refusal(pool, request.replication)


def availability_zone(pool, request):
    """The zone that is asked for, or else, or when the volume type excludes it, one of the type's."""
    wanted, of_type = request.availability_zone, request.extra_specs.get(ZONES)
    allowed = [wanted]
    if of_type is not None:
        zones = [zone.strip() for zone in of_type.split(',')]
        allowed = allowed if wanted in zones else zones
    if allowed == [None] or pool.availability_zone in allowed:
        return None
    return f"its availability zone is {pool.availability_zone}, not {' or '.join(allowed)}"


def capabilities(pool, request):
    """Every extra spec without a scope, or with the scope ``capabilities``, must match.

    The bare spellings of a scope are no capabilities: the filter of replication reads them.
    """
    for key, wanted in sorted(request.extra_specs.items()):
        scope, _, rest = key.partition(':')
        if rest and scope != 'capabilities' or key in BARE_REPLICATION:
            continue
        reason = _mismatch(pool.capabilities, rest or key, str(wanted))
        if reason is not None:
            return reason
    return None


def _mismatch(found, key, wanted):
    for part in key.split(':'):
        if not isinstance(found, dict) or found.get(part) is None:
            return f'it does not report {key}, the volume type asks for {wanted}'
        found = found[part]
    if operators.matches(found, wanted):
        return None
    return f'its {key} is {found}, the volume type asks for {wanted}'


def capacity(pool, request):
    """Room for the size: virtual where it is thin, real otherwise, less the reserve.

    What is known to be written must fit into what is really free in any case.  A pool that
    cannot tell what it has left is believed, unless a reserve is to be kept of it.
    """
    if not pool.is_bounded:
        return _unbounded(pool)
    if pool.total_bytes <= 0:
        return 'it has no capacity'
    free = pool.free_bytes - pool.reserved_bytes
    needed = request.size_bytes
    if pool.is_thin and not request.wants_thick:
        reason = _oversubscribed(pool, needed)
        if reason is not None:
            return reason
        needed = request.physical_bytes or 0
        if free <= 0:
            return f'it is full ({_gib(pool.free_bytes)} free, {_gib(pool.reserved_bytes)} reserved)'
    needed = max(needed, request.physical_bytes or 0)
    if needed > free:
        return (f'it has {_gib(max(0, free))} free besides the reserve, '
                f'{_gib(needed)} are needed')
    return None


def _unbounded(pool):
    if not figures.is_known(pool.free_bytes) or not pool.reserved_percentage:
        return None
    return f'its capacity is {pool.total_bytes}, so that no share of it can be reserved'


def _oversubscribed(pool, size_bytes):
    limit = (pool.total_bytes - pool.reserved_bytes) * pool.max_over_subscription_ratio
    virtual = (pool.free_bytes - pool.reserved_bytes) * pool.max_over_subscription_ratio
    if pool.provisioned_bytes + size_bytes > limit:
        return (f'{_gib(pool.provisioned_bytes)} of at most {_gib(limit)} are provisioned, '
                f'{_gib(size_bytes)} more are needed')
    if size_bytes > virtual:
        return f'it can promise {_gib(max(0, virtual))} more, {_gib(size_bytes)} are needed'
    return None


def _gib(size_bytes):
    return f'{size_bytes / GIB:.1f} GiB'


def driver(pool, request):
    """The backend's own filter_function."""
    return formulas.filter_reason(pool, request)


def same_backend(pool, request):
    """With the hint ``same_host``: where one of its volumes is."""
    hints = request.hints
    if 'same_host' in hints.faults:
        return f"the hint same_host: {hints.faults['same_host']}"
    if hints.together is None or pool.host in hints.together:
        return None
    return 'no volume of the hint same_host is there'


def different_backend(pool, request):
    """With the hint ``different_host``: where none of its volumes is."""
    hints = request.hints
    if 'different_host' in hints.faults:
        return f"the hint different_host: {hints.faults['different_host']}"
    return 'a volume of the hint different_host is there' if pool.host in hints.apart else None


def json_query(pool, request):
    """With the hint ``query``: where its condition holds."""
    hints = request.hints
    if 'query' in hints.faults:
        return f"the hint query: {hints.faults['query']}"
    if hints.query is None or queries.holds(hints.query, pool):
        return None
    return 'the hint query does not hold there'


def instance_locality(pool, request):
    """With the hint ``local_to_instance``: on the host of that server."""
    hints = request.hints
    if 'local_to_instance' in hints.faults:
        return f"the hint local_to_instance: {hints.faults['local_to_instance']}"
    if hints.beside is None or hints.beside == pool.host.partition('@')[0]:
        return None
    return 'the server of the hint local_to_instance is on another host'


OF_A_NEW_PLACE = (named, excluded, untried, alive)
"""Asked first, whatever is configured; not of a pool where the volume is already."""

ALWAYS = (*OF_A_NEW_PLACE, replication)
"""Asked whatever is configured."""

BY_NAME = {
    'AvailabilityZoneFilter': availability_zone,
    'CapacityFilter': capacity,
    'CapabilitiesFilter': capabilities,
    'DriverFilter': driver,
    'SameBackendFilter': same_backend,
    'DifferentBackendFilter': different_backend,
    'JsonFilter': json_query,
    'InstanceLocalityFilter': instance_locality,
    'IgnoreAttemptedHostsFilter': untried,
}
"""The names of scheduler_default_filters."""

ALL = (*ALWAYS, availability_zone, capabilities, capacity, driver, same_backend,
       different_backend)
"""In the order in which they are asked where nothing is configured; the first reason counts."""
