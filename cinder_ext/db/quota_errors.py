"""What a project is told when it asks for more than it may have: the branch OverLimit of the tree.

::

    OverLimit                          413, cinder_ext.exceptions
    ├── VolumeLimitExceeded, SnapshotLimitExceeded, GroupLimitExceeded, BackupLimitExceeded
    ├── VolumeSizeExceedsAvailableQuota, BackupSizeExceedsAvailableQuota
    └── VolumeSizeExceedsLimit         of one volume
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions


class _NumberExceeded(exceptions.OverLimit):
    template = ('Quota exceeded for {name}: {consumed} are in use, {requested} more were asked for '
                'and {allowed} are allowed.')
    remedy = 'Delete what is not needed, or ask an administrator for a higher quota.'


class VolumeLimitExceeded(_NumberExceeded):
    code = 'cinder_ext.volume_limit_exceeded'


class SnapshotLimitExceeded(_NumberExceeded):
    code = 'cinder_ext.snapshot_limit_exceeded'


class GroupLimitExceeded(_NumberExceeded):
    code = 'cinder_ext.group_limit_exceeded'


class BackupLimitExceeded(_NumberExceeded):
    code = 'cinder_ext.backup_limit_exceeded'


class VolumeSizeExceedsAvailableQuota(_NumberExceeded):
    template = ('Quota exceeded for {name}: {consumed} GiB are in use, {requested} GiB more were '
                'asked for and {allowed} GiB are allowed.')


class BackupSizeExceedsAvailableQuota(VolumeSizeExceedsAvailableQuota):
    code = 'cinder_ext.backup_size_exceeds_available_quota'


class VolumeSizeExceedsLimit(exceptions.OverLimit):
    template = 'Volume size {requested} GiB exceeds the {allowed} GiB that one volume may have.'
