"""Which pools can take a request: one function each, None or the reason why not.

The reasons are read by operators and, without the pool's name, by users.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.scheduler import operators

GIB = 1024 ** 3

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


def alive(pool, request):
    """Its service is enabled and alive, and reaches its backend."""
    if not pool.is_alive:
        return 'its volume service is down'
    if pool.fault is not None:
        return f'its backend cannot be reached: {pool.fault}'
    return None if pool.is_enabled else 'its volume service is disabled'


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
    """Every extra spec without a scope, or with the scope ``capabilities``, must match."""
    for key, wanted in sorted(request.extra_specs.items()):
        scope, _, rest = key.partition(':')
        if rest and scope != 'capabilities':
            continue
        reason = _mismatch(pool.capabilities, rest or key, str(wanted))
        if reason is not None:
            return reason
    return None


def _mismatch(found, key, wanted):
    for part in key.split(':'):
        if not isinstance(found, dict) or part not in found:
            return f'it does not report {key}, the volume type asks for {wanted}'
        found = found[part]
    if operators.matches(found, wanted):
        return None
    return f'its {key} is {found}, the volume type asks for {wanted}'


def capacity(pool, request):
    """Room for the size: virtual where it is thin, real otherwise, less the reserve.

    What is known to be written must fit into what is really free in any case.
    """
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


ALL = (named, excluded, alive, availability_zone, capabilities, capacity)
"""In the order in which they are asked; the first reason counts."""
