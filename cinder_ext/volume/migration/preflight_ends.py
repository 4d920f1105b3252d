"""Checks of the preflight that ask the source's backend or the destination's service."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, capacity, transfer, values
from cinder_ext.drivers.generic import digests, units
from cinder_ext.states.checks import unknown, verdict
from cinder_ext.volume.migration import plan

ASKED_OF_DESTINATION = ('destination-creates', 'destination-extends', 'destination-snapshots',
                        'destination-reads-back', 'destination-removes', 'transfer-method')
"""What cannot be looked at when the destination does not answer."""


def source_calls(driver, links):
    """Yield whether the source serves what each step needs."""
    calls, has_snapshots = capabilities.calls_of(driver), len(links) > 1
    missing = [] if 'connect_volume' in calls else ['connect_volume']
    how = 'directly'
    if has_snapshots and not capabilities.has(driver, capabilities.SnapshotConnect):
        missing += [] if 'create_volume_from_snapshot' in calls else ['create_volume_from_snapshot']
        how = 'through temporary volumes, one at a time'
    yield verdict('source-reads-snapshots', not missing, _lacks(missing) or f'read {how}')
    missing = _missing(calls, 'delete_volume', *(['delete_snapshot'] if has_snapshots else []))
    yield verdict('source-removes', not missing, _lacks(missing) or 'it can')


def source_room(driver, links, source_host, held):
    """The room for the largest temporary volume at the source.

    :param held: bytes that each link holds, or None
    """
    snapshots = [link for link in links if not link.is_head]
    if not snapshots or capabilities.has(driver, capabilities.SnapshotConnect):
        return verdict('source-temporary-capacity', True, 'no temporary volume is needed')
    if held is None:
        return unknown('source-temporary-capacity', 'the source is not readable')
    try:
        pools = driver.report()
    except exceptions.DriverError as fault:
        return verdict('source-temporary-capacity', False, fault.message, fault.remedy)
    needed = temporary_bytes(driver.promises(), links, held)
    free = next((pool.free_bytes for pool in pools if pool.name == plan.pool_of(source_host)),
                capacity.UNKNOWN)
    return verdict('source-temporary-capacity', not capacity.is_known(free) or needed <= free,
                   f'a temporary volume takes up to {needed} bytes, free are {free}')


def temporary_bytes(promises, links, held):
    """What the largest temporary volume of a snapshot takes where it is made."""
    if promises.thin and promises.snapshots_share_blocks:
        return 0
    return max((taken if promises.thin else link.size_bytes
                for link, taken in zip(links, held, strict=True) if not link.is_head), default=0)


def source_bytes(source, links, method):
    """Look at every link at the source.

    :param source: ends.Source
    :returns: (Check, bytes that a copy of each link looks at, bytes that each holds on its own);
        the lists are None when a link cannot be read.  Estimates: a copy may follow a zero map.
    """
    totals, held, faults = [], [], []
    older = None
    for link in links:
        try:
            totals.append(_total(source, method, older, link))
            held.append(_held(source.driver, link))
        except exceptions.DriverError as fault:
            faults.append((link, fault))
        older = link.source
    if not faults:
        return (verdict('source-readable', True, 'the source and every snapshot: found'),
                totals, held)
    detail = '; '.join(f'{link.title}: {fault.message}' for link, fault in faults)
    return verdict('source-readable', False, detail, faults[0][1].remedy), None, None


def _total(source, method, older, link):
    digest_map = digests.DigestMap.zeros(link.size_bytes)
    differing = source.changed(method, older, link.source)
    found, _ = transfer.ranges(source.driver, method, differing, link.source, digest_map)
    return sum(part.length for part in
               units.coalesced(found, values.BLOCK_BYTES, link.size_bytes))


def _held(driver, link):
    """Bytes that a link holds on its own; its size where nobody knows."""
    if transfer.ALLOCATED_RANGES not in transfer.source_offers(driver):
        return link.size_bytes
    return sum(part.length for part in driver.allocated_ranges(link.source))


def destination_answers(destination):
    """Ask the destination, if there is one.

    :param destination: ends.Destination, or None
    :returns: (list of Check, whether it can be asked more)
    :raises DatabaseAway: it cannot reach its database
    """
    names = ('destination-answers', 'destination-version')
    if destination is None:
        return [unknown(name, 'there is no destination') for name in names], False
    what = f'the volume service of {destination.host}'
    answers = verdict(names[0], True, f'{what}: found')
    try:
        _ = destination.examined
    except exceptions.DatabaseAway:
        # No verdict: it is asked again when the database is back.
        raise
    except exceptions.NotCapable as fault:
        return [answers, verdict(names[1], False, fault.message)], False
    except exceptions.CinderExtError as fault:
        return [verdict(names[0], False, f'{what}: {fault.message}'),
                unknown(names[1], 'it does not answer')], False
    return [answers, verdict(names[1], True, f'{what} speaks it')], True


def destination_calls(driver, destination, links, verify):
    """The destination's part of every step.

    :param destination: ends.Destination that answers
    :returns: (list of Check, the agreed method or None)
    """
    examined, has_snapshots = destination.examined, len(links) > 1
    calls = examined.get('calls', capabilities.CALLS)
    grows = len({link.size_bytes for link in links}) > 1
    reads = not has_snapshots or verify == 'off' or reads_directly(destination)
    asked = (
        ('destination-creates', ('create_volume', 'connect_volume'), True),
        ('destination-extends', ('extend_volume',), grows),
        ('destination-snapshots', ('create_snapshot',), has_snapshots),
        ('destination-reads-back', ('create_volume_from_snapshot',), not reads),
        ('destination-removes', ('delete_volume',), True),
        ('destination-removes', ('delete_snapshot',), has_snapshots),
    )
    missing = {name: [] for name, _, _ in asked}
    for name, wanted, is_needed in asked:
        missing[name] += _missing(calls, *wanted) if is_needed else []
    found = [verdict(name, not lacking, _lacks(lacking) or 'it can, or need not')
             for name, lacking in missing.items()]
    try:
        method = transfer.agree(transfer.source_offers(driver), examined['offers'])
    except ValueError as fault:
        return [*found, verdict('transfer-method', False, str(fault))], None
    return [*found, verdict('transfer-method', True, f'agreed on {method}')], method


def reads_directly(destination):
    """Whether its snapshots are read back without temporary volumes."""
    return capabilities.SnapshotConnect.word in destination.examined['capabilities']


def _missing(calls, *wanted):
    return [name for name in wanted if name not in calls]


def _lacks(missing):
    return f'the backend does not serve {", ".join(missing)}' if missing else ''
