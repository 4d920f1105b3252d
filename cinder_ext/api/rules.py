"""Words for declaring policies: who may, by default."""
# SPDX-License-Identifier: Apache-2.0

from oslo_policy import policy

ADMIN = 'rule:admin_api'
MEMBER = 'rule:xena_system_admin_or_project_member'
READER = 'rule:xena_system_admin_or_project_reader'
ANYBODY = ''

BASE = (
    policy.RuleDefault('context_is_admin', 'role:admin',
                       description='Who counts as an administrator.'),
    policy.RuleDefault('admin_api', 'is_admin:True or (role:admin and is_admin_project:True)',
                       description='Calls for administrators only.'),
    policy.RuleDefault('xena_system_admin_or_project_reader',
                       'rule:admin_api or (role:reader and project_id:%(project_id)s)',
                       description='Readers of the project that owns the resource.'),
    policy.RuleDefault('xena_system_admin_or_project_member',
                       'rule:admin_api or (role:member and project_id:%(project_id)s)',
                       description='Members of the project that owns the resource.'),
)


SERVICE = 'rule:admin_api or role:service or is_service:True'
"""Administrators, other services, and whoever comes with a valid service token."""
LEGACY_REPORTERS = 'legacy_snapshot_reporters'


def legacy_reporters(is_open):
    """Who else may report what was done for a snapshot: [api] members_report_snapshots."""
    return policy.RuleDefault(
        LEGACY_REPORTERS, MEMBER if is_open else '!',
        description='Who may report what a compute service has done, besides services.')


def rule(name, default, description, *calls):
    """One policy.

    :param calls: what it guards, as ``'POST /volumes'`` or ``'POST /volumes/{volume_id}/action
        (os-extend)'``; for the sample policy
    """
    operations = [dict(zip(('method', 'path'), call.split(' ', 1), strict=True)) for call in calls]
    return policy.DocumentedRuleDefault(name, default, description, operations)
