"""The formulas of a backend, on one pool and one request."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext.scheduler import evaluator, figures

LOG = log.getLogger(__name__)

MOST_GOODNESS = 100

_OF_BACKEND = ('volume_backend_name', 'vendor_name', 'driver_version', 'storage_protocol',
               'QoS_support')


def filter_reason(pool, request):
    """Why a pool's filter_function does not let a request in; None if it does."""
    if pool.filter_function is None:
        return None
    try:
        is_taken = evaluator.evaluate(pool.filter_function, variables(pool, request))
        if isinstance(is_taken, str):
            raise evaluator.EvaluationError(f'it gives the text {is_taken[:40]!r}')
    except evaluator.EvaluationError as fault:
        LOG.warning('the filter_function of %s is wrong, so it gets nothing: %s: %s', pool.host,
                    pool.filter_function, fault)
        return 'its filter_function cannot be evaluated'
    return None if is_taken else 'its filter_function does not take it'


def goodness(pool, request):
    """How well a request fits a pool, from 0 to 100; 0 where nothing says it."""
    if pool.goodness_function is None:
        return 0
    try:
        found = evaluator.evaluate(pool.goodness_function, variables(pool, request))
    except evaluator.EvaluationError as fault:
        LOG.warning('the goodness_function of %s is wrong and counts as 0: %s: %s', pool.host,
                    pool.goodness_function, fault)
        return 0
    if isinstance(found, bool):
        return MOST_GOODNESS if found else 0
    if isinstance(found, str) or not 0 <= found <= MOST_GOODNESS:
        LOG.warning('the goodness_function of %s gives %.40s, which is not between 0 and 100 and '
                    'counts as 0', pool.host, found)
        return 0
    return found


def variables(pool, request):
    """What a formula may name: ``stats``, ``capabilities``, ``extra``, ``volume``, ``qos``."""
    capabilities = figures.capabilities(pool)
    stats = {name: capabilities.get(name) for name in _OF_BACKEND}
    stats.update({name: capabilities[name] for name in (
        'total_capacity_gb', 'free_capacity_gb', 'allocated_capacity_gb', 'reserved_percentage')})
    stats.update(host=pool.host, backend_id=pool.host, cluster_name=None,
                 updated=pool.reported_at)
    return {'stats': stats, 'capabilities': capabilities, 'extra': request.extra_specs,
            'volume': request.volume, 'qos': request.qos}
