"""Which of the possible pools is best: numbers, the higher the better."""
# SPDX-License-Identifier: Apache-2.0


def free_capacity(pool):
    """Bytes that can still be promised: virtual where the pool is thin, real otherwise."""
    if pool.is_thin:
        limit = (pool.total_bytes - pool.reserved_bytes) * pool.max_over_subscription_ratio
        return limit - pool.provisioned_bytes
    return pool.free_bytes - pool.reserved_bytes
