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
    cfg.StrOpt('default_availability_zone',
               help='Availability zone of a volume for which none is named; the value of '
                    'availability_zone when unset.'),
    cfg.BoolOpt('allow_availability_zone_fallback', default=False, mutable=True,
                help='Make a volume in the default availability zone, instead of refusing it, when '
                     'the zone that was asked for is not known.'),
    cfg.BoolOpt('cloned_volume_same_az', default=True, mutable=True,
                help='Refuse a volume from a snapshot or from another volume in a zone that is not '
                     "its source's."),
    cfg.IntOpt('message_ttl', default=2592000, min=1,
               help='Seconds for which a user message is kept at least.'),
    cfg.IntOpt('message_reap_interval', default=86400, min=1, mutable=True,
               help='Seconds between removals of user messages that have expired.'),
]


def register(conf):
    conf.register_opts(OPTS)
