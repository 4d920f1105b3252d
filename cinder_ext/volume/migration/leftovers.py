"""Removing one end's volumes and snapshots, and keeping a list of what resists."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import time

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import volume_migrations
from cinder_ext.drivers import values
from cinder_ext.volume import engine
from cinder_ext.volume.migration import plan

LOG = log.getLogger(__name__)

_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 10.0
"""An end that took longer to fail is not asked again in this run."""


def remove(work, end, resource, listed=None):
    """Remove a volume or snapshot at one end; list it as a leftover when it resists.

    :param end: ends.Source or ends.Destination
    :param listed: the leftovers of the record as they are now; they are read by default
    :returns: whether it is gone
    :raises Parked: the service is stopping, and that may be why it resists

    Idempotent.  An end that fails at once is asked a few times.  One that does not answer is
    asked once for all that is to be removed: the volume must not be kept from its owner.
    """
    noted = described(work, end, resource)
    reason = 'the backend did not answer before'
    for attempt in range(_ATTEMPTS):
        if end in work.silent:
            break
        if attempt and work.tools.stopping.wait(_PAUSE_SECONDS):
            break
        reason = _try(work, end, resource)
        if reason is None:
            if listed is None or volume_migrations.without(listed, noted) != listed:
                volume_migrations.drop_leftover(work.context, work.id, noted)
            return True
    if work.tools.stopping.is_set():
        raise engine.Parked
    LOG.warning('migration %s: %s %s at %s is left for later: %s', work.id, noted['kind'],
                noted['name_id'], noted['host'], reason)
    volume_migrations.note_leftover(work.context, work.id, {**noted, 'reason': reason})
    return False


def remove_destination(work):
    """Remove all that was made of the chain: snapshots newest to oldest, then the volume.

    Idempotent; what was never made is a success.
    """
    for link in plan.newest_first(work.links):
        remove(work, work.destination, link.destination)


@contextlib.contextmanager
def temporary(work, end, volume):
    """Keep a temporary volume in the record for as long as the block may use it.

    It is noted before it is made, so that whoever goes on after a kill finds it.  One that
    resists its removal stays noted: that does not fail the migration.
    """
    noted = {**described(work, end, volume), 'temporary': True}
    volume_migrations.note_leftover(work.context, work.id,
                                    {**noted, 'reason': 'the migration reads a snapshot through it'})
    try:
        yield volume
    finally:
        reason = _try(work, end, volume)
        if reason is None:
            volume_migrations.drop_leftover(work.context, work.id, noted)
        else:
            LOG.warning('migration %s: temporary volume %s at %s is removed later: %s', work.id,
                        volume.name_id, noted['host'], reason)


def remove_temporaries(work):
    """Remove the temporary volumes that are still noted, before what they hang on.  Idempotent."""
    _retry(work, [noted for noted in work.record().leftovers or [] if noted.get('temporary')])


def _try(work, end, resource):
    """Ask an end once; returns what it said, or None when the thing is gone."""
    began = time.monotonic()
    try:
        end.remove(resource)
    except (exceptions.DriverError, OSError) as fault:
        if time.monotonic() - began > _PATIENCE_SECONDS:
            work.silent.add(end)
        return getattr(fault, 'message', None) or str(fault)
    return None


def retry(work):
    """Try again what could not be removed; returns whether nothing is left."""
    _retry(work, volume_migrations.unacknowledged(work.record().leftovers))
    return not volume_migrations.unacknowledged(work.record().leftovers)


def _retry(work, leftovers):
    ends = {work.destination.host: work.destination, work.source_host: work.source}
    for noted in leftovers:
        size_bytes = noted['size_bytes']
        if noted['kind'] == 'snapshot':
            resource = values.Snapshot(noted['name_id'], noted['volume_name_id'], size_bytes,
                                       noted.get('location'))
        else:
            resource = values.Volume(noted['name_id'], size_bytes, noted.get('location'))
        remove(work, ends[noted['host']], resource)


def described(work, end, resource):
    """What the record says of a thing that may be left behind."""
    host = work.destination.host if end is work.destination else work.source_host
    noted = {'host': host, 'kind': 'volume', 'name_id': resource.name_id,
             'size_bytes': resource.size_bytes}
    if resource.location is not None:
        noted['location'] = resource.location
    if isinstance(resource, values.Snapshot):
        noted.update(kind='snapshot', volume_name_id=resource.volume_name_id)
    return noted
