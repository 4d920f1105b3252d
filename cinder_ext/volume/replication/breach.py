"""The lag of a replication against its objective: a breach is told once, and so is its end."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import replication_changes, replication_shipping, replications
from cinder_ext.states import replication as states
from cinder_ext.volume.replication import pacer, units

LOG = log.getLogger(__name__)

_AFTER_SECONDS = 0.01
MISSED = 'the last point is older than the objective of {seconds} seconds'


def lag_seconds(row, now):
    """How old the state is that a failover would give; None before the first point.

    :param row: replication_models.Replication
    :param now: seconds since the epoch
    """
    taken_at = units.seconds(row.last_consistent_at)
    return None if taken_at is None else now - taken_at


def is_missed(row, now):
    """Whether a replication that ships is behind by more than is asked for."""
    lag = lag_seconds(row, now)
    return (lag is not None and row.rpo_seconds is not None and lag > row.rpo_seconds
            and row.state in states.SHIPPING and row.is_shipping)


def tasks(row, now):
    """What measures it when it could be missed: a list of pacer.Task.

    :param row: replication_models.Replication
    :param now: callable; seconds since the epoch
    """
    lag = lag_seconds(row, now())
    if lag is None or row.rpo_seconds is None:
        return []
    due_at = now() + max(0.0, row.rpo_seconds - lag + _AFTER_SECONDS)
    return [pacer.Task((row.id, 'lag'), row.id, due_at, lambda: _look(row.id, now))]


def _look(replication_id, now):
    """Measure it; returns when it could be missed the next time, seconds since the epoch."""
    context = request_context.admin_context()
    try:
        row = replications.get(context, replication_id)
    except exceptions.ReplicationNotFound:
        return None
    measure(context, row, now())
    lag = lag_seconds(row, now())
    if lag is None or row.rpo_seconds is None or lag > row.rpo_seconds:
        return now() + pacer.LOOK_SECONDS
    return now() + row.rpo_seconds - lag + _AFTER_SECONDS


def measure(context, row, now):
    """Tell a breach that has begun, or has ended, since it was told last; also before a restart.

    What is paused, or ships nothing after a failover, was taken from its objective on purpose:
    it breaches nothing, and what was breached stays so.
    """
    if is_missed(row, now):
        if row.breached_at is None and replication_changes.breached(context, row.id):
            reason = MISSED.format(seconds=row.rpo_seconds)
            LOG.warning('replication %s: %s (%.0f)', row.id, reason, lag_seconds(row, now))
            if not ((row.conditions or {}).get('degraded') or {}).get('status'):
                replication_shipping.tell(context, row, {'degraded': (True, reason)})
    elif row.breached_at is not None and _is_met(row, now):
        if replication_changes.healed(context, row.id):
            LOG.info('replication %s: its objective is met again', row.id)


def _is_met(row, now):
    lag = lag_seconds(row, now)
    return row.rpo_seconds is None or (lag is not None and lag <= row.rpo_seconds)
