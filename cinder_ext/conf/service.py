"""Options of every service: [DEFAULT]."""
# SPDX-License-Identifier: Apache-2.0

import socket

from oslo_config import cfg

OPTS = [
    cfg.StrOpt('host', default=socket.gethostname(), sample_default='localhost',
               help='Name of this host. A backend is named host@backend.'),
    cfg.StrOpt('state_path', default='/var/lib/cinder_ext',
               help='Directory for what the services keep: locks, sockets, the embedded database.'),
    cfg.ListOpt('enabled_backends', default=[],
                help='Sections of the configuration that describe the backends of this host.'),
    cfg.StrOpt('default_volume_type', help='Name of the type that a volume gets when none is named.'),
    cfg.StrOpt('default_group_type',
               help='Name of the group type that GET /group_types/default shows.'),
    cfg.IntOpt('service_down_time', default=60, min=2,
               help='Seconds without a heartbeat after which a service counts as down.'),
    cfg.IntOpt('report_interval', default=10, min=1, mutable=True,
               help='Seconds between heartbeats of a service.'),
    cfg.IntOpt('capacity_report_interval', default=60, min=1, mutable=True,
               help='Seconds between reports of capacity from a backend to the schedulers.'),
    cfg.IntOpt('sweep_interval', default=60, min=1, mutable=True,
               help='Seconds between searches for work that was recorded and is not being done.'),
    cfg.IntOpt('graceful_shutdown_seconds', default=30, min=0,
               help='Seconds that a stopping service waits for what it has begun.'),
    cfg.StrOpt('availability_zone', default='nova',
               help='Availability zone of the backends of this host.'),
]


def register(conf):
    conf.register_opts(OPTS)
