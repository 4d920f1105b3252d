"""The states of replications, their operations, and what a volume's ``replication_status`` shows.

``replication_status`` knows only the words of the Block Storage API; what they
cannot say is in the replication's own ``state`` and conditions.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states.table import Machine, Row

ENABLING = 'enabling'
"""The record is written; no consistent point is at the destination yet."""
ENABLED = 'enabled'
"""The target can be failed over to: it has a consistent point."""
PAUSED = 'paused'
"""An administrator stopped it; the points that are there stay."""
FAILING_OVER = 'failing-over'
"""An operation is moving the volumes to the other side, there or back."""
FAILED_OVER = 'failed-over'
"""The volumes are used at the target."""
FAILOVER_ERROR = 'failover-error'
"""An operation failed for some members; it may be repeated."""
DISABLING = 'disabling'
"""The replicas are being removed."""
DISABLED = 'disabled'
"""It has ended; not shown any more."""
ERROR = 'error'
"""It needs an administrator: the conditions say why (split brain, a lost side)."""

ALIVE = (ENABLING, ENABLED, PAUSED, FAILING_OVER, FAILED_OVER, FAILOVER_ERROR, DISABLING, ERROR)
"""It protects something, and its claims hold."""
SHIPPING = (ENABLING, ENABLED, FAILED_OVER)
"""Points are shipped, where ``is_shipping`` says so too."""
FAILABLE = (ENABLED, PAUSED, FAILED_OVER, FAILOVER_ERROR, ERROR)
"""From these a failover or failback is accepted."""

MACHINE = Machine('replication', 'state', (ENABLING, FAILED_OVER, ERROR), (
    Row('enabled', (ENABLING,), ENABLED),
    Row('pause', (ENABLED,), PAUSED),
    Row('resume', (PAUSED,), ENABLED),
    Row('fail-over', FAILABLE, FAILING_OVER),
    Row('failed-over', (FAILING_OVER,), FAILED_OVER),
    Row('failed-back', (FAILING_OVER,), ENABLED),
    Row('failover-failed', (FAILING_OVER,), FAILOVER_ERROR),
    Row('break', (ENABLING, ENABLED, PAUSED, FAILING_OVER, FAILED_OVER, FAILOVER_ERROR), ERROR),
    Row('mend', (ERROR, FAILOVER_ERROR), ENABLED),
    Row('mend-failed-over', (ERROR, FAILOVER_ERROR), FAILED_OVER),
    Row('disable', (ENABLING, ENABLED, PAUSED, FAILED_OVER, FAILOVER_ERROR, ERROR), DISABLING),
    Row('disabled', (DISABLING,), DISABLED),
))

NOT_REPLICATED = (None, '', 'disabled', 'not-capable')
"""Words of a volume's ``replication_status`` that claim nothing."""

VOLUME = Machine('volume', 'replication_status', (None, 'enabling', 'failed-over', 'error'), (
    Row('replicate', (*NOT_REPLICATED, 'error'), 'enabling'),
    Row('replicated', ('enabling', 'error', 'failover-error'), 'enabled'),
    Row('fail-over', ('enabled', 'failed-over', 'failover-error', 'error'), 'failing-over'),
    Row('failed-over', ('failing-over', 'error'), 'failed-over'),
    Row('failed-back', ('failing-over', 'error'), 'enabled'),
    Row('failover-failed', ('failing-over',), 'failover-error'),
    Row('broken', ('enabling', 'enabled', 'failed-over', 'failover-error', 'failing-over'), 'error'),
    Row('replicate-no-more', ('enabling', 'enabled', 'failed-over', 'failover-error', 'error'),
        'disabling'),
    Row('not-replicated', ('enabling', 'enabled', 'failed-over', 'failover-error', 'error',
                           'disabling'), 'disabled'),
))
"""A volume's ``replication_status``; the events have other names than those of its status."""

SERVICE = Machine('service', 'replication_status', (None,), (
    Row('fail-over', (*NOT_REPLICATED, 'enabled', 'failing-over', 'failed-over', 'failover-error',
                      'error'), 'failing-over'),
    Row('failed-over', ('failing-over', 'failed-over'), 'failed-over'),
    Row('failed-back', ('failing-over', 'enabled'), 'enabled'),
    Row('failover-failed', ('failing-over', 'failover-error'), 'failover-error'),
    Row('ask', ('enabled', 'failed-over', 'failover-error'), 'failing-over'),
    Row('able', (*NOT_REPLICATED, 'error'), 'enabled'),
    Row('unable', (None, '', 'enabled', 'not-capable', 'error'), 'disabled'),
))
"""A volume service's ``replication_status``, when its whole backend is failed over."""

QUEUED = 'queued'
"""Recorded; nobody has begun."""
RUNNING = 'running'
"""A service works on it, or will take it up."""
SUCCEEDED = 'succeeded'
"""All members are done."""
PARTIAL = 'partial'
"""Some members are done and some failed; the members say which."""
FAILED = 'failed'
"""No member is done."""

OPEN = (QUEUED, RUNNING)
"""Work is left."""

OPERATION = Machine('replication_operation', 'state', (QUEUED,), (
    Row('run', (QUEUED, RUNNING), RUNNING),
    Row('succeed', (RUNNING,), SUCCEEDED),
    Row('end-partly', (RUNNING,), PARTIAL),
    Row('fail', (QUEUED, RUNNING), FAILED),
))

MEMBER = Machine('replication_operation_member', 'result', ('pending', 'skipped'), (
    Row('member-done', ('pending',), 'done'),
    Row('member-failed', ('pending',), 'failed'),
    Row('member-skipped', ('pending',), 'skipped'),
))

SCOPES = ('volume', 'group', 'pool', 'backend')
MODES = ('sync', 'async')
TOPOLOGIES = ('active-active-symmetric', 'active-active-asymmetric', 'active-passive')
VERBS = ('failover', 'failback', 'reprotect', 'resync', 'sync_now', 'test')
"""What becomes an operation; pause, resume, enable and disable are changes of state."""
CONDITIONS = ('completed', 'degraded', 'resyncing', 'validated', 'replicating', 'split_brain')
"""Facts that are true or false independently: word -> {status, reason, since, ...}."""
