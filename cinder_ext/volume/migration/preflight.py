"""What must hold before a byte moves: a list of checks, each with a verdict and a remedy.

The checks look and change nothing.  Their names are stable.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions
from cinder_ext.db import attachments, snapshots, volume_migrations, volumes
from cinder_ext.drivers import capacity, transfer, values
from cinder_ext.drivers.generic import copy, digests, units
from cinder_ext.volume.migration import plan, preflight_attached


@dataclasses.dataclass(frozen=True)
class Check:
    """One verdict."""

    name: str
    passed: bool
    detail: str
    remedy: str = ''


@dataclasses.dataclass(frozen=True)
class Subject:
    """What the database knows of a migration's volume.

    :ivar volume, snapshots, attachments: rows
    :ivar clones: ids of volumes that are being created from it
    :ivar server: preflight_attached.Server; None when no server uses it
    """

    volume: object
    snapshots: list
    attachments: list
    clones: list
    server: object = None


@dataclasses.dataclass(frozen=True)
class Findings:
    """What an examination found.

    :ivar method: the agreed one, or None
    :ivar totals: bytes to look at per link; empty when it is not known
    """

    checks: list
    method: str | None
    totals: list


def subject_of(context, volume_id):
    """What the database knows of a volume: Subject."""
    return Subject(
        volume=volumes.get(context, volume_id),
        snapshots=snapshots.of_volume(context, volume_id),
        attachments=attachments.of_volume(context, volume_id),
        clones=volume_migrations.being_cloned(context, volume_id))


def examine(record, subject, links, driver, destination):
    """Ask everything that can be asked; nothing is changed.

    :param record: models.VolumeMigration, in the database or not
    :param links: plan.chain's
    :param driver: the source backend's, started
    :param destination: ends.Destination, or None while there is none
    :returns: Findings
    """
    checks = list(state_checks(record, subject))
    if destination is None:
        return Findings(checks, None, [])
    found, method, totals = end_checks(driver, destination, links)
    return Findings([*checks, *found], method, totals)


def state_checks(record, subject):
    """Checks that need only the records."""
    volume = subject.volume
    yield from (Check(*verdict) for verdict in preflight_attached.verdicts(record, subject))
    broken = [row.id for row in subject.snapshots if row.status != 'available']
    yield Check('snapshots-available', not broken,
                f'snapshots that are not available: {", ".join(broken) or "none"}',
                'Delete the snapshots that are in error, or wait until they are available.')
    yield Check('snapshots-included', record.include_snapshots or not subject.snapshots,
                f'the volume has {len(subject.snapshots)} snapshots',
                'Ask for them to be included: migration_policy on-demand-include-snapshots, '
                'or include_snapshots.')
    yield Check('no-clone-in-progress', not subject.clones,
                f'volumes being created from it: {", ".join(subject.clones) or "none"}',
                'Wait until these volumes are created.')
    if record.destination_host is not None:
        yield Check('destination-differs', record.destination_host != volume.host,
                    f'source {volume.host}, destination {record.destination_host}',
                    'Name another destination.')


def end_checks(driver, destination, links):
    """Checks that ask both ends; with them come the method and the size of the work.

    :param driver: the source backend's, started
    :param destination: ends.Destination
    :returns: (list of Check, method or None, bytes to look at per link)
    """
    checks = []
    if not _asked(checks, 'destination-answers', lambda: destination.examined,
                  f'the volume service of {destination.host}'):
        return checks, None, []
    method = transfer.agree(transfer.source_offers(driver),
                            destination.examined['offers'])
    checks.append(Check('transfer-method', True, f'agreed on {method}'))
    totals = []
    if not _asked(checks, 'source-readable',
                  lambda: totals.extend(_totals(driver, method, links)),
                  'the source and every snapshot'):
        return checks, None, []
    checks.extend(_room(destination, links, totals, _written(driver, links)))
    return checks, method, totals


def _asked(checks, name, question, what):
    """Ask an end; note whether it answered."""
    try:
        question()
    except exceptions.CinderExtError as fault:
        checks.append(Check(name, False, f'{what}: {fault.message}', fault.remedy))
        return False
    checks.append(Check(name, True, f'{what}: found'))
    return True


def _totals(driver, method, links):
    """Bytes that the copy of each link has to look at; an estimate, since it may follow a zero map."""
    older = None
    for link in links:
        digest_map = digests.DigestMap.zeros(link.size_bytes)
        differing = transfer.changed(driver, method, older, link.source)
        found, _ = transfer.ranges(driver, method, differing, link.source, digest_map)
        yield sum(part.length for part in
                  units.coalesced(found, values.BLOCK_BYTES, link.size_bytes))
        older = link.source


def _written(driver, links):
    """Bytes that each link holds on its own; its size where nobody knows."""
    offers = transfer.source_offers(driver)
    for link in links:
        if transfer.ALLOCATED_RANGES not in offers:
            yield link.size_bytes
            continue
        found = copy.needed_ranges(driver.allocated_ranges(link.source),
                                   digests.DigestMap.zeros(link.size_bytes))
        yield sum(part.length for part in found)


def _room(destination, links, totals, held):
    """Whether the chain fits: its bytes on the medium, its virtual size under the limits."""
    pool_name = plan.pool_of(destination.host)
    pools = [pool for pool in destination.examined['pools'] if pool['name'] == pool_name]
    if not pools:
        yield Check('destination-pool', False, f'there is no pool {pool_name}',
                    'Name a pool that the backend reports.')
        return
    pool, promises = pools[0], destination.promises
    if not promises.thin:
        needed = sum(link.size_bytes for link in links)
    elif promises.snapshots_share_blocks:
        needed = sum(totals)
    else:
        needed = sum(held)
    if not capacity.is_known(pool['total_bytes'], pool['free_bytes']):
        yield Check('physical-capacity', True, f'free are {pool["free_bytes"]} bytes')
        return
    yield Check('physical-capacity', needed <= pool['free_bytes'],
                f'the chain takes up to {needed} bytes, free are {pool["free_bytes"]}',
                'Free or add space at the destination, or name another one.')
    ratio = capacity.over_subscription(
        pool['capabilities'].get('max_over_subscription_ratio', 1), pool['total_bytes'],
        pool['free_bytes'], pool['provisioned_bytes'])
    limit = pool['total_bytes'] * (ratio if promises.thin else 1)
    virtual = pool['provisioned_bytes'] + links[-1].size_bytes
    yield Check('virtual-capacity', virtual <= limit,
                f'provisioned would be {virtual} bytes, allowed are {int(limit)}',
                'Raise max_over_subscription_ratio, delete volumes, or name another destination.')


def documents(checks):
    """Checks as the record and the API have them."""
    return [dataclasses.asdict(check) for check in checks]


def failed(checks):
    """The checks that did not pass."""
    return [check for check in checks if not check.passed]


def refusal(checks):
    """The error for checks that did not pass: what each found, and what to do."""
    bad = failed(checks)
    fault = exceptions.PreflightFailed(
        reason='; '.join(f'{check.name}: {check.detail}' for check in bad))
    fault.remedy = ' '.join(check.remedy for check in bad if check.remedy)
    return fault
