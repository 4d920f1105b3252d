"""Extensions: names of what the service can do, for clients that ask by name.

The numbers of microversions above 3.71 are this service's own; a client that
wants one of its additions asks here for the alias, and not for a number.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import rules
from cinder_ext.api.operation import Operation

GET_ALL = 'volume:extensions:get_all'

POLICIES = (
    rules.rule(GET_ALL, rules.ANYBODY, 'List what the service can do.', 'GET /extensions',
               'GET /extensions/{alias}'),
)

SERVED = (
    ('os-admin-actions', 'AdminActions', 'Administrators reset, delete and migrate.',
     '2012-08-25T00:00:00+00:00'),
    ('os-availability-zone', 'AvailabilityZones', 'Availability zones.',
     '2013-06-27T00:00:00+00:00'),
    ('capabilities', 'Capabilities', 'What a backend can do.', '2015-08-31T00:00:00+00:00'),
    ('cgsnapshots', 'Cgsnapshots', 'Snapshots of consistency groups.',
     '2014-08-18T00:00:00+00:00'),
    ('consistencygroups', 'Consistencygroups', 'Consistency groups.',
     '2014-08-18T00:00:00+00:00'),
    ('os-extended-services', 'ExtendedServices', 'Why a service is disabled.',
     '2014-01-10T00:00:00-00:00'),
    ('os-extended-snapshot-attributes', 'ExtendedSnapshotAttributes',
     'Progress and project of snapshots.', '2012-06-19T00:00:00+00:00'),
    ('os-hosts', 'Hosts', 'Hosts of the service, for administrators.',
     '2011-06-29T00:00:00+00:00'),
    ('qos-specs', 'Qos_specs_manage', 'Quality of service of volume types.',
     '2013-08-02T00:00:00+00:00'),
    ('os-quota-class-sets', 'QuotaClasses', 'Limits of classes of projects.',
     '2012-03-12T00:00:00+00:00'),
    ('os-quota-sets', 'Quotas', 'Limits of projects.', '2011-08-08T00:00:00+00:00'),
    ('OS-SCH-HNT', 'SchedulerHints', 'Hints for where a volume is made.',
     '2013-04-18T00:00:00+00:00'),
    ('scheduler-stats', 'Scheduler_stats', 'Pools and their capacity.',
     '2014-09-07T00:00:00+00:00'),
    ('os-services', 'Services', 'Services are listed, enabled and disabled.',
     '2012-10-28T00:00:00-00:00'),
    ('os-snapshot-actions', 'SnapshotActions', 'A compute service reports on snapshots.',
     '2013-07-16T00:00:00+00:00'),
    ('os-snapshot-manage', 'SnapshotManage', 'Snapshots of a backend are taken over.',
     '2014-12-31T00:00:00+00:00'),
    ('os-snapshot-unmanage', 'SnapshotUnmanage', 'Snapshots are left to their backend.',
     '2014-12-31T00:00:00+00:00'),
    ('os-types-extra-specs', 'TypesExtraSpecs', 'Extra specs of volume types.',
     '2011-08-24T00:00:00+00:00'),
    ('os-types-manage', 'TypesManage', 'Volume types are made, changed and removed.',
     '2011-08-24T00:00:00+00:00'),
    ('os-used-limits', 'UsedLimits', 'What of its limits a project uses.',
     '2013-10-03T00:00:00+00:00'),
    ('os-volume-actions', 'VolumeActions', 'Volumes are extended, retyped and more.',
     '2012-05-31T00:00:00+00:00'),
    ('os-volume-encryption-metadata', 'VolumeEncryptionMetadata',
     'How a volume is encrypted.', '2013-07-10T00:00:00+00:00'),
    ('os-vol-host-attr', 'VolumeHostAttribute', 'Host of a volume, to administrators.',
     '2011-11-03T00:00:00+00:00'),
    ('os-vol-image-meta', 'VolumeImageMetadata', 'Properties of the image of a volume.',
     '2012-12-07T00:00:00+00:00'),
    ('os-volume-manage', 'VolumeManage', 'Volumes of a backend are taken over.',
     '2014-02-10T00:00:00+00:00'),
    ('os-vol-mig-status-attr', 'VolumeMigStatusAttribute',
     'Migration status of a volume, to administrators.', '2013-08-08T00:00:00+00:00'),
    ('os-vol-tenant-attr', 'VolumeTenantAttribute', 'Project of a volume.',
     '2011-11-03T00:00:00+00:00'),
    ('os-volume-transfer', 'VolumeTransfer', 'Volumes are given to another project.',
     '2013-05-29T00:00:00+00:00'),
    ('os-volume-type-access', 'VolumeTypeAccess', 'Who may use a private volume type.',
     '2014-06-26T00:00:00Z'),
    ('encryption', 'VolumeTypeEncryption', 'How the volumes of a type are encrypted.',
     '2013-07-01T00:00:00+00:00'),
    ('os-volume-unmanage', 'VolumeUnmanage', 'Volumes are left to their backend.',
     '2012-05-31T00:00:00+00:00'),
    ('cinder-ext-migration-progress', 'MigrationProgress',
     'migration_progress of a volume, to administrators (3.72).', '2026-01-01T00:00:00+00:00'),
    ('cinder-ext-migration-policy', 'MigrationPolicy',
     'Retype and migration take the snapshots along (3.73).', '2026-01-01T00:00:00+00:00'),
    ('cinder-ext-volume-migrations', 'VolumeMigrations',
     'Migrations as a resource (3.74).', '2026-01-01T00:00:00+00:00'),
    ('cinder-ext-compute-snapshot-status', 'ComputeSnapshotStatus',
     'A compute service reports in words of their own what it did for a snapshot (3.75).',
     '2026-01-01T00:00:00+00:00'),
    ('cinder-ext-replicas', 'Replicas', 'Volumes go from one cloud to another (3.76).',
     '2026-01-01T00:00:00+00:00'),
    ('cinder-ext-replications', 'Replications',
     'Replication of volumes, groups, pools and backends as a resource (3.76).',
     '2026-01-01T00:00:00+00:00'),
)
"""(alias, name, description, updated) of everything that has a name."""

# view


def view(alias, name, description, updated):
    return {'alias': alias, 'name': name, 'description': description, 'updated': updated,
            'links': []}


# handlers


def index(call):
    """List what the service can do beyond the core of the API, by alias."""
    return {'extensions': [view(*each) for each in SERVED]}


def show(call):
    """Show one of them by its alias."""
    for each in SERVED:
        if each[0] == call.path['alias']:
            return {'extension': view(*each)}
    raise exceptions.NotFound()


# OPERATIONS

LIST = Operation('extensions.list', policy=GET_ALL, handler=index)
SHOW = Operation('extensions.show', policy=GET_ALL, handler=show)
