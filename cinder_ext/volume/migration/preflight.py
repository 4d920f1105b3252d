"""What must hold before a byte moves: every check, each with a verdict and a remedy.

The checks look and change nothing.  All of them are listed, also when one has failed; what could
not be looked at says so.  Names, meanings and remedies stand in states/checks.py.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions
from cinder_ext.db import migration_claims as claims
from cinder_ext.drivers import transfer
from cinder_ext.states.checks import unknown
from cinder_ext.volume.migration import plan, preflight_ends, preflight_records, preflight_room


@dataclasses.dataclass(frozen=True)
class Findings:
    """What an examination found.

    :ivar checks: a list of states.checks.Check
    :ivar method: the agreed one, or None
    :ivar totals: bytes to look at per link; empty when it is not known
    :ivar claim, room: migration_claims.Claim and Room of the destination's pool, or None
    """

    checks: list
    method: str | None
    totals: list
    claim: claims.Claim | None = None
    room: claims.Room | None = None


@dataclasses.dataclass(frozen=True)
class Ends:
    """Who is asked.

    :ivar source: ends.Source
    :ivar destination: ends.Destination, or None while there is none
    """

    source: object
    destination: object


def examine(record, subject, ends, verify, seen=None):
    """Ask everything that can be asked.

    :param record: models.VolumeMigration, in the database or not
    :param subject: db.migration_facts.Subject
    :param ends: Ends
    :param verify: ``written``, ``full`` or ``off``
    :param seen: migration_claims.outstanding() of the destination's pool
    :returns: Findings
    """
    driver, destination = ends.source.driver, ends.destination
    links = plan.chain(subject.volume, subject.snapshots, record)
    asked, answers = preflight_ends.destination_answers(destination)
    method = None
    if answers:
        calls, method = preflight_ends.destination_calls(driver, destination, links, verify)
    else:
        calls = _unasked(preflight_ends.ASKED_OF_DESTINATION)
    readable, totals, held = preflight_ends.source_bytes(
        ends.source, links, method or transfer.source_offers(driver)[0])
    found = [*preflight_records.checks(record, subject, driver),
             *preflight_ends.source_calls(driver, links),
             preflight_ends.source_room(driver, links, record.source_host, held), readable,
             *asked, *calls]
    if not answers:
        return Findings([*found, *_unasked(('destination-pool', *preflight_room.NAMES.values()))],
                        None, totals or [])
    room, is_there = preflight_room.room_of(destination)
    claim = None if totals is None else preflight_room.claim_of(
        destination, links, totals, held, verify)
    claimed = sum((seen or {}).values(), claims.NOTHING)
    return Findings([*found, is_there, *preflight_room.checks(room, claim, claimed)],
                    method, totals or [], claim, room)


def _unasked(names):
    return [unknown(name, 'the destination cannot be asked') for name in names]


def documents(checks):
    """Checks as the record and the API have them."""
    return [check.as_document() for check in checks]


def failed(checks):
    """The checks that did not pass; what could not be looked at is so because of one of them."""
    return [check for check in checks if check.passed is False]


def refusal(checks):
    """The error for checks that did not pass: what each found, and what to do."""
    bad = failed(checks)
    fault = exceptions.PreflightFailed(
        reason='; '.join(f'{check.name}: {check.detail}' for check in bad))
    fault.remedy = ' '.join(dict.fromkeys(check.remedy for check in bad if check.remedy))
    return fault
