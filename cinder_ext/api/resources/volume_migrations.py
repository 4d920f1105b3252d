"""Migrations that run or ran: what was asked, how far it is, what it left (3.74)."""
# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.api import filters, pagination, rules
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import listing, models, volume_migrations
from cinder_ext.states import migration as states

GET_ALL = 'volume_extension:volume_migrations:get_all'
GET = 'volume_extension:volume_migrations:get'

POLICIES = (
    rules.rule(GET_ALL, rules.ADMIN, 'List volume migrations.', 'GET /volume-migrations'),
    rules.rule(GET, rules.ADMIN, 'Show a volume migration.',
               'GET /volume-migrations/{migration_id}'),
)

STALLED_SECONDS = 30
"""A migration that copies and has stored no progress for so long counts as stalled."""


def _by_status(_name, column, value):
    if value not in ('active', 'ended'):
        raise exceptions.InvalidInput(reason=f'status is active or ended, not {value[:255]!r}.')
    going = tuple(state for state in states.MACHINE.states if state not in states.ENDED)
    return [listing.Condition(column, 'in', states.ENDED if value == 'ended' else going)]


FILTERS = {
    'volume_id': filters.text('volume_id'),
    'project_id': filters.text('project_id'),
    'operation': filters.text('operation'),
    'phase': filters.text('phase'),
    'status': filters.Filter('phase', _by_status),
    'host': filters.text('source_host'),
    'source_host': filters.text('source_host'),
    'destination_host': filters.text('destination_host'),
}
SORTABLE = frozenset({'id', 'created_at', 'updated_at', 'volume_id', 'phase', 'operation',
                      'source_host', 'destination_host', 'percent', 'started_at', 'finished_at'})

# view


def view(row, types):
    """A record without its links.

    :param types: volume type id -> name
    """
    return {
        'id': row.id, 'volume_id': row.volume_id, 'project_id': row.project_id,
        'user_id': row.user_id, 'request_id': row.request_id,
        'operation': row.operation, 'phase': row.phase,
        'migration_status': states.SHOWN[row.phase],
        'migration_policy': row.requested_policy,
        'include_snapshots': bool(row.include_snapshots), 'force_copy': bool(row.force_copy),
        'source': {'host': row.source_host, 'type': types.get(row.source_type_id)},
        'destination': {'host': row.destination_host,
                        'type': types.get(row.destination_type_id or row.source_type_id)},
        'method': row.method, 'verify': row.verify, 'read_back': row.read_back,
        **_progress(row),
        'checks': row.checks or [], 'leftovers': row.leftovers or [],
        'digest': row.digest, 'digest_algorithm': row.digest_algorithm,
        'error': row.error, 'error_code': row.error_code, 'remedy': row.remedy,
        'attempt': row.attempt,
        'created_at': moment(row.created_at), 'started_at': moment(row.started_at),
        'committed_at': moment(row.committed_at), 'finished_at': moment(row.finished_at),
        'updated_at': moment(row.updated_at),
    }


def _progress(row):
    seen = row.progress_updated_at
    is_stalled = (row.phase in states.ACTIVE and seen is not None
                  and timeutils.is_older_than(seen, STALLED_SECONDS))
    return {
        'percent': row.percent,
        'bytes': {'total': row.bytes_total, 'done': row.bytes_done, 'read': row.bytes_read,
                  'written': row.bytes_written, 'skipped': row.bytes_skipped,
                  'verified': row.bytes_verified},
        'rate_bytes_per_second': row.bytes_per_second,
        'estimated_end': moment(estimated_end(row)), 'stalled': is_stalled,
        'progress_updated_at': moment(seen),
    }


def estimated_end(row):
    """When the copy is done at the rate it has had: UTC; None when nothing can be said."""
    left = row.bytes_total - row.bytes_done
    if row.phase != states.COPYING or not row.bytes_per_second or left <= 0:
        return None
    since = row.progress_updated_at or timeutils.utcnow()
    try:
        return since + datetime.timedelta(seconds=left / row.bytes_per_second)
    except OverflowError:
        return None


def link_view(link):
    """One snapshot of the chain; ``snapshot_id`` null is the volume itself."""
    return {
        'number': link.number, 'snapshot_id': link.snapshot_id, 'size_bytes': link.size_bytes,
        'bytes_total': link.bytes_total, 'bytes_done': link.bytes_done,
        'bytes_written': link.bytes_written, 'percent': _percent(link), 'digest': link.digest,
        'copied_at': moment(link.copied_at), 'sealed_at': moment(link.sealed_at),
        'verified_at': moment(link.verified_at),
    }


def _percent(link):
    if link.copied_at is not None:
        return 100
    return min(99, link.bytes_done * 100 // link.bytes_total) if link.bytes_total else 0


def _types(call, rows):
    ids = {getattr(row, column) for row in rows
           for column in ('source_type_id', 'destination_type_id')}
    return listing.names_of(call.context, models.VolumeType, ids)


# targets


def load(call):
    """The record of the path, if the caller may know of it."""
    return volume_migrations.get(call.context, call.path['migration_id'], call.scope)


# handlers


def index(call):
    """List migrations, newest first; of all projects for administrators."""
    page = pagination.page(call, SORTABLE)
    rows = listing.rows(call.context, models.VolumeMigration, page,
                        filters.conditions(call, FILTERS), call.scope,
                        exceptions.MigrationNotFound)
    types = _types(call, rows)
    return pagination.body(call, 'volume_migrations', [view(row, types) for row in rows],
                           rows[-1].id if rows else None, page)


def show(call):
    """Show a migration with the links of its chain, oldest first."""
    links = volume_migrations.links(call.context, call.target.id)
    return {'volume_migration': {**view(call.target, _types(call, [call.target])),
                                 'links': [link_view(link) for link in links]}}


# OPERATIONS

LIST = Operation('volume_migrations.list', policy=GET_ALL, handler=index, since='3.74')
SHOW = Operation('volume_migrations.show', target=load, policy=GET, handler=show, since='3.74')
