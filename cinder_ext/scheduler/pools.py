"""Pools as the Block Storage API shows them."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.scheduler import figures


def shown(pools, detail, wanted):
    """The answer of get_pools.

    :param pools: request.Pool of every pool
    :param wanted: ``name`` or a capability -> its value as text; all must be equal
    :returns: a list of dictionaries, by name
    """
    found = [{'name': pool.host, 'capabilities': figures.capabilities(pool)}
             for pool in sorted(pools, key=lambda each: each.host)]
    found = [pool for pool in found if _is_wanted(pool, wanted)]
    return found if detail else [{'name': pool['name']} for pool in found]


def _is_wanted(pool, wanted):
    values = {**pool['capabilities'], 'name': pool['name']}
    return all(str(values.get(key)) == str(value) for key, value in wanted.items())
