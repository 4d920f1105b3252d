"""How a volume gets from one backend to another: ordered offers, one agreed method.

Both ends list what they can do, best first.  The best that both list is chosen
and stored with the migration.  Reading everything and comparing is last on
every list, so there is always one.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.generic import copy

CHANGED_RANGES = 'changed-ranges'
"""Of each snapshot only what the source says changed since the one before is read; of the first,
or where it cannot tell, what was ever written if it knows that, else everything."""
ALLOCATED_RANGES = 'allocated-ranges'
"""Of each snapshot everything that was ever written is read."""
READ_COMPARE = 'read-compare'
"""Everything is read."""

ORDER = (CHANGED_RANGES, ALLOCATED_RANGES, READ_COMPARE)


def source_offers(driver):
    """What a source can do, best first."""
    offers = []
    if capabilities.has(driver, capabilities.ChangedRanges):
        offers.append(CHANGED_RANGES)
    if capabilities.has(driver, capabilities.AllocatedRanges):
        offers.append(ALLOCATED_RANGES)
    return [*offers, READ_COMPARE]


def destination_offers(driver):
    """What a destination can take, best first: all that write blocks at offsets."""
    return list(ORDER)


def agree(source, destination):
    """The best method that both ends offer, in the source's order.

    :raises ValueError: the lists have nothing in common; each must end with read-compare
    """
    for method in source:
        if method in destination:
            return method
    raise ValueError(f'no common method: {source}, {destination}')


def changed(driver, method, older, resource):
    """What the source says changed from one link to the next.

    :param method: the agreed one
    :param older: values.Snapshot of the link before, or None for the first
    :param resource: values.Snapshot or values.Volume
    :returns: a list of values.Range; None when it is not asked or cannot tell
    :raises ResourceMissing: the source does not have one of them
    """
    if method != CHANGED_RANGES or older is None:
        return None
    try:
        return driver.changed_ranges(older, resource)
    except exceptions.NotCapable:
        return None


def ranges(driver, method, differing, resource, digests):
    """Where a copy of one link must look, ascending.

    :param method: the agreed one
    :param differing: what ``changed`` returned for the link
    :param resource: values.Snapshot or values.Volume to copy
    :param digests: DigestMap of the destination, of the resource's size
    :returns: (a list of values.Range, whether the source equals the map outside of them; if
        not, it reads zeros there)
    :raises ResourceMissing: the source does not have it

    Holes in the source over what the destination holds, or may hold, are among them.
    """
    if differing is not None:
        return copy.changed_or_unknown(differing, digests), True
    if method == READ_COMPARE or not capabilities.has(driver, capabilities.AllocatedRanges):
        return [values.Range(0, resource.size_bytes)], False
    return copy.needed_ranges(driver.allocated_ranges(resource), digests), False
