"""Chooses a pool.  Pure: pools and a request in, a choice and reasons out."""
# SPDX-License-Identifier: Apache-2.0

import collections
import dataclasses

from cinder_ext.scheduler import filters, weighers


@dataclasses.dataclass(frozen=True)
class Rules:
    """What is asked of pools, and what makes one better than another.

    :ivar filters: functions of scheduler.filters, in the order in which they are asked
    :ivar weighers: weighers.Weigher
    """

    filters: tuple = filters.ALL
    weighers: tuple = weighers.DEFAULT

    @property
    def of_present_place(self):
        """The filters for a pool where the volume is already: its size was found room for."""
        return tuple(each for each in self.filters
                     if each not in (*filters.OF_A_NEW_PLACE, filters.capacity))


DEFAULT = Rules()


def rules(conf):
    """The rules that are configured."""
    chosen = [filters.BY_NAME[name] for name in conf.scheduler_default_filters]
    ways = [weighers.BY_NAME[name] for name in conf.scheduler_default_weighers]
    return Rules((*filters.ALWAYS, *chosen), tuple(
        weighers.Weigher(way, getattr(conf, option) if option else 1.0)
        for way, option in ways))


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


def pick(pools, request, by=DEFAULT):
    """The best of the pools that no filter refuses.

    :param pools: request.Pool of every pool
    :param by: Rules
    :returns: Choice; of equal pools the first by name
    """
    refusals = {}
    possible = []
    for pool in sorted(pools, key=lambda each: each.host):
        reason = refusal(pool, request, by.filters)
        if reason is None:
            possible.append(pool)
        else:
            refusals[pool.host] = reason
    return Choice(weighers.best(possible, request, by.weighers), refusals)


def refusal(pool, request, asked=filters.ALL):
    """Why a pool cannot take a request; None if it can."""
    reasons = (each(pool, request) for each in asked)
    return next((reason for reason in reasons if reason is not None), None)
