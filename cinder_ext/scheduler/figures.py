"""All that is known of a pool, in the words of the Block Storage API."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import capacity

GIB = 1024 ** 3


def capabilities(pool):
    """A dictionary; capacities in GiB.

    :param pool: request.Pool
    """
    is_up = pool.is_alive and pool.fault is None
    return {
        'replication_enabled': False,
        **pool.capabilities,
        'pool_name': pool.host.partition('#')[2],
        'total_capacity_gb': _gib(pool.total_bytes),
        'free_capacity_gb': _gib(pool.free_bytes),
        'allocated_capacity_gb': _gib(pool.allocated_bytes),
        'provisioned_capacity_gb': _gib(pool.provisioned_bytes),
        'max_over_subscription_ratio': pool.max_over_subscription_ratio,
        'reserved_percentage': pool.reserved_percentage,
        'total_volumes': pool.volume_count,
        'filter_function': pool.filter_function,
        'goodness_function': pool.goodness_function,
        'backend_state': 'up' if is_up else 'down',
        'timestamp': pool.reported_at,
    }


def _gib(size_bytes):
    return round(size_bytes / GIB, 2) if capacity.is_known(size_bytes) else size_bytes
