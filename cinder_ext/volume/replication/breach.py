"""The lag of a replication against its objective: a breach is told once, and so is its end."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext.db import replication_changes, replication_shipping
from cinder_ext.states import replication as states
from cinder_ext.volume.replication import units

LOG = log.getLogger(__name__)

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
    elif row.breached_at is not None and lag_seconds(row, now) <= row.rpo_seconds:
        if replication_changes.healed(context, row.id):
            LOG.info('replication %s: its objective is met again', row.id)
