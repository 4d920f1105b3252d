"""Options of quotas and of transfers: [DEFAULT], named as upstream names them."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

_DEFAULT = ' A quota class named default, or a quota of the project, comes before it; -1: no limit.'

OPTS = [
    cfg.IntOpt('quota_volumes', default=10, min=-1,
               help='Volumes that a project may have.' + _DEFAULT),
    cfg.IntOpt('quota_snapshots', default=10, min=-1,
               help='Snapshots that a project may have.' + _DEFAULT),
    cfg.IntOpt('quota_gigabytes', default=1000, min=-1,
               help='GiB that the volumes and snapshots of a project may have in all.' + _DEFAULT),
    cfg.IntOpt('quota_groups', default=10, min=-1,
               help='Groups that a project may have.' + _DEFAULT),
    cfg.IntOpt('quota_backups', default=10, min=-1,
               help='Backups that a project may have.' + _DEFAULT),
    cfg.IntOpt('quota_backup_gigabytes', default=1000, min=-1,
               help='GiB that the backups of a project may have in all.' + _DEFAULT),
    cfg.IntOpt('per_volume_size_limit', default=-1, min=-1,
               help='GiB that one volume may have.' + _DEFAULT),
    cfg.BoolOpt('no_snapshot_gb_quota', default=False,
                help='Whether snapshots do not count as GiB, but as snapshots only.'),
    cfg.IntOpt('volume_transfer_salt_length', default=8, min=1, max=255,
               help='Characters of the salt with which the key of a transfer is hashed.'),
    cfg.IntOpt('volume_transfer_key_length', default=16, min=8, max=255,
               help='Characters of the key of a transfer.'),
]


def register(conf):
    conf.register_opts(OPTS)
