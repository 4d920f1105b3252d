"""Chooses a pool.  Pure: pools and a request in, a choice and reasons out."""
# SPDX-License-Identifier: Apache-2.0

import collections
import dataclasses

from cinder_ext.scheduler import filters, weighers


@dataclasses.dataclass(frozen=True)
class Choice:
    """What was decided.

    :ivar pool: the chosen request.Pool, or None
    :ivar refusals: ``host@backend#pool`` -> why not, of all that cannot take it
    """

    pool: object
    refusals: dict

    @property
    def summary(self):
        """The reasons without the names of the pools, for users."""
        if not self.refusals:
            return 'No backend has reported to the scheduler.'
        counted = collections.Counter(self.refusals.values())
        return ' '.join(f'{count} of {len(self.refusals)} pools: {reason}.'
                        for reason, count in sorted(counted.items()))


def pick(pools, request, asked=filters.ALL):
    """The pool with the most free capacity of those that no filter refuses.

    :param pools: request.Pool of every pool
    :param asked: the filters
    :returns: Choice; of equal pools the first by name
    """
    refusals = {}
    possible = []
    for pool in sorted(pools, key=lambda each: each.host):
        reason = refusal(pool, request, asked)
        if reason is None:
            possible.append(pool)
        else:
            refusals[pool.host] = reason
    return Choice(max(possible, key=weighers.free_capacity, default=None), refusals)


def refusal(pool, request, asked=filters.ALL):
    """Why a pool cannot take a request; None if it can."""
    reasons = (each(pool, request) for each in asked)
    return next((reason for reason in reasons if reason is not None), None)
