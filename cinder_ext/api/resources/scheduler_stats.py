"""Pools as the scheduler knows them (scheduler-stats)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.api import microversion, pagination, rules
from cinder_ext.api.operation import Operation

GET_POOLS = 'scheduler_extension:scheduler_stats:get_pools'

POLICIES = (
    rules.rule(GET_POOLS, rules.ADMIN, 'List the pools of all backends.',
               'GET /scheduler-stats/get_pools'),
)

FILTERED = microversion.ByVersion({'3.0': False, '3.28': True})

# handlers


def pools(call):
    """List the pools of all backends; with detail=true their capabilities."""
    detail = pagination.truth('detail', call.query.get('detail', '0'))
    wanted = {}
    if call.variant:
        wanted = {name: value for name, value in call.query.items()
                  if name not in pagination.PARAMETERS and name != 'detail'}
    return {'pools': call.ask(call.rpc.scheduler.get_pools, detail=detail, filters=wanted)}


# OPERATIONS

POOLS = Operation('scheduler_stats.pools', policy=GET_POOLS, handler=pools, variant=FILTERED)
