"""Limits of a project and what it uses of them, in one answer."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.api import microversion, rules
from cinder_ext.api.operation import Operation
from cinder_ext.db import quotas

POLICY_LIMITS = 'limits_extension:limits'
POLICY_USED = 'limits_extension:used_limits'

POLICIES = (
    # Upstream asks no rule for the limits themselves.
    rules.rule(POLICY_LIMITS, rules.ANYBODY, 'Show the limits.', 'GET /limits'),
    rules.rule(POLICY_USED, rules.READER, 'See in the limits what is used of them.',
               'GET /limits'),
)

# view

MOST = {'maxTotalVolumes': 'volumes', 'maxTotalSnapshots': 'snapshots',
        'maxTotalVolumeGigabytes': 'gigabytes', 'maxTotalBackups': 'backups',
        'maxTotalBackupGigabytes': 'backup_gigabytes'}
USED = {'totalVolumesUsed': 'volumes', 'totalSnapshotsUsed': 'snapshots',
        'totalGigabytesUsed': 'gigabytes', 'totalBackupsUsed': 'backups',
        'totalBackupGigabytesUsed': 'backup_gigabytes'}
"""Name on the wire -> resource."""


def _own(call):
    """Below 3.39 everybody sees their own."""
    return call.context.project_id


def _named(call):
    """An administrator may name a project; ``tenant_id`` is the older word for it."""
    if not call.context.is_admin:
        return call.context.project_id
    return call.query.get('project_id', call.query.get('tenant_id', call.context.project_id))


PROJECT = microversion.ByVersion({'3.0': _own, '3.39': _named})

# handlers


def show(call):
    """Show the limits of the project, of another one to administrators (3.39)."""
    project_id = call.variant(call)
    limits = quotas.limits(call.context, MOST.values(), project_id)
    absolute = {name: limits[resource] for name, resource in MOST.items()}
    if call.allowed(POLICY_USED):
        used = quotas.usage(call.context, project_id, USED.values())
        absolute |= {name: used[resource] for name, resource in USED.items()}
    return {'limits': {'rate': [], 'absolute': absolute}}


# OPERATIONS

SHOW = Operation('limits.show', policy=POLICY_LIMITS, variant=PROJECT, handler=show)
