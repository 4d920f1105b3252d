"""Options of volume migrations: [migration]."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

OPTS = [
    cfg.StrOpt('verify', default='written', choices=['written', 'full', 'off'], mutable=True,
               help='What is read back from the destination before the commit: what was written, '
                    'every byte of every snapshot and of the volume, or nothing.'),
    cfg.IntOpt('checkpoint_mib', default=64, min=1, max=64, mutable=True,
               help='MiB written between checkpoints; at most this is copied again after a crash.'),
    cfg.FloatOpt('checkpoint_seconds', default=5.0, min=0.1, max=5.0, mutable=True,
                 help='Seconds between checkpoints.'),
    cfg.IntOpt('workers', default=6, min=1, max=16, mutable=True,
               help='Units of 4 MiB in flight per migration; half of them are read at a time.'),
    cfg.FloatOpt('progress_seconds', default=5.0, min=0.1, mutable=True,
                 help='Seconds between stored progress figures; one percent is stored at once.'),
    cfg.IntOpt('concurrent', default=4, min=1, mutable=True,
               help='Migrations that one backend runs at once; the others wait.'),
    cfg.IntOpt('destination_timeout', default=60, min=1, mutable=True,
               help='Seconds that a step waits for the destination service to answer before the '
                    'migration fails.'),
    cfg.IntOpt('tidy_retry_interval', default=60, min=1, mutable=True,
               help='Seconds between attempts to remove what could not be removed at either end; '
                    'looked at with each sweep.'),
    cfg.IntOpt('swap_report_timeout', default=60, min=1, mutable=True,
               help='Seconds that the compute service may take to report a swap of an attached '
                    'volume once the guest is at the destination; then it is taken as reported.'),
    cfg.IntOpt('swap_timeout', default=3600, min=1, mutable=True,
               help='Seconds after which a swap of an attached volume that shows no sign of life '
                    'is given up, where it is certain that the guest is at the source.'),
    cfg.IntOpt('bandwidth', default=0, min=0, mutable=True,
               help='Bytes per second that a migration may copy or read back when it has no limit '
                    'of its own; 0 for no limit.'),
    cfg.IntOpt('backend_bandwidth', default=0, min=0, mutable=True,
               help='Bytes per second that all migrations of the volumes of one backend may copy '
                    'or read back together; 0 for no limit.'),
    cfg.FloatOpt('lease_seconds', default=15.0, min=0.5, mutable=True,
                 help='How long a volume service that works on a migration may give no sign before '
                      'another one of the same backend takes the migration over. One that is known '
                      'to be dead, since it ran on this machine with this state_path, is succeeded '
                      'at once. The same on all services of a backend.'),
]


def register(conf):
    conf.register_opts(OPTS, 'migration')
