"""Pools as the Block Storage API shows them."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.scheduler import figures, filters, request


def shown(pools, detail, wanted, extra_specs=None):
    """The answer of get_pools.

    :param pools: request.Pool of every pool
    :param extra_specs: of a volume type; only pools that can have it
    :param wanted: ``name`` or a capability -> its value as text; all must be equal
    :returns: a list of dictionaries, by name
    """
    found = [{'name': pool.host, 'capabilities': figures.capabilities(pool)}
             for pool in sorted(pools, key=lambda each: each.host)
             if not extra_specs or filters.capabilities(pool, _of_type(extra_specs)) is None]
    found = [pool for pool in found if _is_wanted(pool, wanted)]
    return found if detail else [{'name': pool['name']} for pool in found]


def _of_type(extra_specs):
    return request.Request(size_bytes=0, extra_specs=extra_specs)


def _is_wanted(pool, wanted):
    values = {**pool['capabilities'], 'name': pool['name']}
    return all(str(values.get(key)) == str(value) for key, value in wanted.items())
