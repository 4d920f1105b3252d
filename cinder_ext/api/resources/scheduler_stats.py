"""Pools as the scheduler knows them (scheduler-stats)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules
from cinder_ext.api.operation import Operation

GET_POOLS = 'scheduler_extension:scheduler_stats:get_pools'

POLICIES = (
    rules.rule(GET_POOLS, rules.ADMIN, 'List the pools of all backends.',
               'GET /scheduler-stats/get_pools'),
)

FILTERED = microversion.ByVersion({
    '3.0': None, '3.28': frozenset(), '3.35': frozenset({'volume_type'})})
"""Whether pools are filtered, and which words are special then."""

# handlers


def pools(call):
    """List the pools of all backends; with detail=true their capabilities.

    From 3.28 they are filtered by name and, until 3.30, by any capability; from 3.35 by what a
    volume type asks for.
    """
    detail = pagination.truth('detail', call.query.get('detail', '0'))
    return {'pools': call.ask(call.rpc.scheduler.get_pools, detail=detail, filters=_wanted(call))}


def _wanted(call):
    if call.variant is None:
        return {}
    wanted = {name: value for name, value in call.query.items()
              if name not in pagination.PARAMETERS and name != 'detail'}
    unknown = sorted(set(wanted) - {'name', 'volume_type'})
    if unknown and call.at(filters.UNKNOWN) == 'refused':
        raise exceptions.InvalidInput(
            reason=f"filters {', '.join(unknown)[:255]} are not supported here.")
    if 'volume_type' not in call.variant:
        wanted.pop('volume_type', None)
    return wanted


# OPERATIONS

POOLS = Operation('scheduler_stats.pools', policy=GET_POOLS, handler=pools, variant=FILTERED)
