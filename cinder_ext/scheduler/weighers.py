"""Which of the possible pools is best: numbers, the higher the better.

Each weigher's numbers are brought to 0 for the lowest and 1 for the highest, multiplied, and
added up.  With a negative multiplier the lowest is best.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import math
import random

from cinder_ext.scheduler import formulas


@dataclasses.dataclass(frozen=True)
class Weigher:
    """One way to weigh.

    :ivar of_pool: callable of (pool, request); a number, infinite where nobody knows
    """

    of_pool: object
    multiplier: float = 1.0

    def weights(self, pools, request):
        """The share of each pool in the sum, in their order."""
        found = [self.of_pool(pool, request) for pool in pools]
        found = _without_infinite(found, self.multiplier)
        low, high = min(found), max(found)
        if low == high:
            return [0.0] * len(found)
        return [(each - low) / (high - low) * self.multiplier for each in found]


def _without_infinite(found, multiplier):
    """What nobody knows is worst: below all others, or above all where the lowest is best."""
    known = [each for each in found if math.isfinite(each)]
    if len(known) == len(found) or not known:
        return found if known else [0.0] * len(found)
    low, high = min(known), max(known)
    gap = (high - low) or 1.0
    worst = low - gap if multiplier > 0 else high + gap
    return [each if math.isfinite(each) else worst for each in found]


def free_capacity(pool, request):
    """Bytes that can still be promised: virtual where the pool is thin, real otherwise."""
    if not pool.is_bounded:
        return math.inf
    if pool.is_thin and not request.wants_thick:
        limit = (pool.total_bytes - pool.reserved_bytes) * pool.max_over_subscription_ratio
        return limit - pool.provisioned_bytes
    return pool.free_bytes - pool.reserved_bytes


def allocated_capacity(pool, request):
    """The sizes of the volumes that are recorded there."""
    return pool.allocated_bytes


def volume_number(pool, request):
    """How many volumes are recorded there."""
    return pool.volume_count


def chance(pool, request):
    """Nothing is known to be better."""
    return random.random()


BY_NAME = {
    'CapacityWeigher': (free_capacity, 'capacity_weight_multiplier'),
    'AllocatedCapacityWeigher': (allocated_capacity, 'allocated_capacity_weight_multiplier'),
    'VolumeNumberWeigher': (volume_number, 'volume_number_multiplier'),
    'GoodnessWeigher': (formulas.goodness, None),
    'ChanceWeigher': (chance, None),
}
"""The names of scheduler_default_weighers: (weigher, option of its multiplier)."""

DEFAULT = (Weigher(free_capacity),)


def best(pools, request, weighers=DEFAULT):
    """The pool with the highest sum; of equal ones the first; None of none."""
    if not pools:
        return None
    shares = [weigher.weights(pools, request) for weigher in weighers]
    sums = [sum(of_pool) for of_pool in zip(*shares, strict=True)] or [0.0] * len(pools)
    return pools[max(range(len(pools)), key=lambda index: (sums[index], -index))]
