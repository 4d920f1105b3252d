"""Checks of the preflight about room: what a chain takes at its destination, and what is left."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.db import migration_claims as claims
from cinder_ext.drivers import capacity
from cinder_ext.states.checks import unknown, verdict
from cinder_ext.volume.migration import plan, preflight_ends

NAMES = {claims.PHYSICAL: 'physical-capacity', claims.VIRTUAL: 'virtual-capacity'}


def room_of(destination):
    """What the destination's pool has left besides its reserve.  What cannot tell is believed.

    :param destination: ends.Destination that answers
    :returns: (claims.Room, or None when there is no such pool; the Check that there is)
    """
    name = plan.pool_of(destination.host)
    pool = next((pool for pool in destination.examined['pools'] if pool['name'] == name), None)
    is_there = verdict('destination-pool', pool is not None,
                       f'the destination {"reports" if pool else "does not report"} a pool {name}')
    if pool is None:
        return None, is_there
    total, free = pool['total_bytes'], pool['free_bytes']
    if not capacity.is_known(total, free):
        return claims.Room(), is_there
    ratio = capacity.over_subscription(
        pool['capabilities'].get('max_over_subscription_ratio', 1), total, free,
        pool['provisioned_bytes'])
    reserved = total * int(pool['capabilities'].get('reserved_percentage') or 0) // 100
    limit = (total - reserved) * (ratio if destination.promises.thin else 1)
    return claims.Room(free - reserved, int(limit - pool['provisioned_bytes'])), is_there


def claim_of(destination, links, totals, held, verify):
    """What the whole chain takes, with the largest temporary volume that reads it back.

    :param totals, held: of each link, as preflight_ends.source_bytes gives them
    :returns: claims.Claim
    """
    promises = destination.promises
    if not promises.thin:
        needed = sum(link.size_bytes for link in links)
    elif promises.snapshots_share_blocks:
        needed = sum(totals)
    else:
        needed = sum(held)
    if verify != 'off' and not preflight_ends.reads_directly(destination):
        needed += preflight_ends.temporary_bytes(promises, links, held)
    return claims.Claim(needed, links[-1].size_bytes)


def checks(room, claim, claimed):
    """Yield whether a claim fits beside what other migrations have claimed.

    :param room: claims.Room, or None when there is no such pool
    :param claim: claims.Claim, or None when the source is not readable
    :param claimed: claims.Claim of the others
    """
    if room is None or claim is None:
        for name in NAMES.values():
            yield unknown(name, 'there is no pool' if room is None else 'the source is not readable')
        return
    lacking = room.lacks(claim, claimed)
    for kind, name in NAMES.items():
        yield _verdict(name, kind not in lacking, getattr(room, kind), getattr(claim, kind),
                       getattr(claimed, kind))


def _verdict(name, passed, left, needed, claimed):
    if left is None:
        return verdict(name, passed, 'the pool cannot tell what it has left')
    return verdict(name, passed, f'the chain takes up to {needed} bytes, left are {left}, '
                                 f'of which other migrations have claimed {claimed}')


def refused(found, lacking, room, claim):
    """The checks after a claim was refused that they had seen fit: another one was first.

    :param found: list of Check
    :param lacking: what does not suffice, as claims.save_plan says
    """
    names = {NAMES[kind]: kind for kind in lacking}
    return [verdict(check.name, False,
                    f'the chain takes up to {getattr(claim, names[check.name])} bytes, left were '
                    f'{getattr(room, names[check.name])}, and another migration has just claimed '
                    'its part') if check.name in names else check
            for check in found]
