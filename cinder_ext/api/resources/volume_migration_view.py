"""How a migration looks in an answer.

Where backends are is for those who may see it of a volume: without the policy
``volume_extension:volume_host_attribute`` everything that names a host, a
backend or what lies there is left out, and what remains says how far it is.
"""
# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_utils import timeutils

from cinder_ext.api.resources import volume_view
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import listing, models
from cinder_ext.states import migration as states

STALLED_SECONDS = 30
"""A migration that copies and has stored no progress for so long counts as stalled."""


def records(call, rows):
    """Some records without their links."""
    types = listing.names_of(call.context, models.VolumeType, {
        getattr(row, column) for row in rows
        for column in ('source_type_id', 'destination_type_id')})
    return [_record(call, row, types) for row in rows]


def detail(call, row, links):
    """A record with the links of its chain, oldest first."""
    shown, = records(call, [row])
    return {**shown, 'links': [link_view(link, row) for link in links]}


def _record(call, row, types):
    shown = {
        'id': row.id, 'volume_id': row.volume_id, 'project_id': row.project_id,
        'user_id': row.user_id, 'request_id': row.request_id, 'retry_of': row.retry_of,
        'operation': row.operation, 'phase': row.phase,
        'migration_status': states.SHOWN[row.phase], 'paused': row.phase == states.PAUSED,
        **_asked(row), **_figures(row), **_times(row),
        'server_id': row.server_id, 'error_code': row.error_code,
        'digest': row.digest, 'digest_algorithm': row.digest_algorithm,
    }
    if call.allowed(volume_view.HOST, row):
        shown.update(_places(row, types))
    return shown


def _asked(row):
    """What was asked for."""
    return {
        'migration_policy': row.requested_policy,
        'include_snapshots': bool(row.include_snapshots), 'force_copy': bool(row.force_copy),
        'lock_volume': bool(row.lock_volume), 'yield_to_attach': bool(row.yield_to_attach),
        'verify': row.verify, 'bandwidth': row.bandwidth or None,
    }


def _places(row, types):
    """What tells of the backends."""
    return {
        'source': {'host': row.source_host, 'type': types.get(row.source_type_id)},
        'destination': {'host': row.destination_host,
                        'type': types.get(row.destination_type_id or row.source_type_id)},
        'method': row.method, 'read_back': row.read_back, 'attempt': row.attempt,
        'checks': row.checks or [],
        'leftovers': [{**each, 'acknowledged': bool(each.get('acknowledged'))}
                      for each in row.leftovers or []],
        'error': row.error, 'remedy': row.remedy,
    }


def _figures(row):
    seen = row.progress_updated_at
    # A swap without figures may be as fast as any.
    is_dark = row.phase == states.SWAPPING and row.percent is None
    is_stalled = (row.phase in states.ACTIVE and row.phase != states.PAUSED and not is_dark
                  and seen is not None and timeutils.is_older_than(seen, STALLED_SECONDS))
    return {
        'percent': row.percent, 'progress_note': row.progress_note,
        'bytes': {'total': row.bytes_total, 'done': row.bytes_done, 'read': row.bytes_read,
                  'written': row.bytes_written, 'skipped': row.bytes_skipped,
                  'verified': row.bytes_verified},
        'rate_bytes_per_second': None if row.phase == states.PAUSED else row.bytes_per_second,
        'estimated_end': moment(estimated_end(row)), 'stalled': is_stalled,
        'progress_updated_at': moment(seen), 'retries': row.retries,
    }


def _times(row):
    return {
        'duration_seconds': _seconds(row.started_at, row.finished_at),
        'seconds_paused': round(_seconds_paused(row), 3), 'paused_at': moment(row.paused_at),
        'created_at': moment(row.created_at), 'started_at': moment(row.started_at),
        'swap_requested_at': moment(row.swap_requested_at),
        'committed_at': moment(row.committed_at), 'finished_at': moment(row.finished_at),
        'updated_at': moment(row.updated_at),
    }


def _seconds(since, until):
    """Seconds between two times; until now where the second is not known yet."""
    if since is None:
        return None
    return round(((until or timeutils.utcnow()) - since).total_seconds(), 3)


def _seconds_paused(row):
    """All pauses, with the one that lasts."""
    lasting = _seconds(row.paused_at, None) if row.phase == states.PAUSED else None
    return row.seconds_paused + (lasting or 0)


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


def link_view(link, row):
    """One snapshot of the chain; ``snapshot_id`` null is the volume itself.

    :param row: the migration: a link that is not copied when it ends is never copied
    """
    return {
        'number': link.number, 'snapshot_id': link.snapshot_id, 'size_bytes': link.size_bytes,
        'bytes_total': link.bytes_total, 'bytes_done': link.bytes_done,
        'bytes_read': link.bytes_read, 'bytes_written': link.bytes_written,
        'bytes_skipped': link.bytes_skipped, 'rate_bytes_per_second': _link_rate(link, row),
        'retries': link.retries, 'percent': _percent(link), 'digest': link.digest,
        'started_at': moment(link.started_at), 'copied_at': moment(link.copied_at),
        'sealed_at': moment(link.sealed_at), 'verified_at': moment(link.verified_at),
    }


def _link_rate(link, row):
    """Bytes per second from its start to its end, pauses and restarts included."""
    ended = row.paused_at if row.phase == states.PAUSED else row.finished_at
    seconds = _seconds(link.started_at, link.copied_at or ended)
    return int(link.bytes_done / seconds) if seconds and seconds > 0 else None


def _percent(link):
    if link.copied_at is not None:
        return 100
    return min(99, link.bytes_done * 100 // link.bytes_total) if link.bytes_total else 0
