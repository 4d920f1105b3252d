"""Options of the way to the compute service: [nova].

The options of keystoneauth's sessions and plug-ins (``auth_type``, ``auth_url``, ``username``,
``cafile`` ...) are read from the same section; ``compute.py`` registers them when it first
asks, since loading keystoneauth takes a third of a second.
"""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

GROUP = 'nova'

OPTS = [
    cfg.StrOpt('region_name', help='Region of the compute service in the service catalog.'),
    cfg.StrOpt('interface', default='public', choices=['public', 'admin', 'internal'],
               help='Which endpoint of the compute service in the service catalog is used.'),
    cfg.URIOpt('endpoint_override', schemes=['http', 'https'],
               help='URL of the compute service, instead of the one in the service catalog. With '
                    'auth_strategy noauth the compute service is asked only when this is set.'),
    cfg.IntOpt('answer_timeout', default=30, min=1,
               help='Seconds to wait for an answer of the compute service.'),
    cfg.IntOpt('assisted_snapshot_deadline', default=600, min=1, mutable=True,
               help='Seconds within which the compute service has to report what it did for a '
                    'snapshot of an attached volume, counted from when it is asked. Afterwards '
                    'the snapshot is in error, or error_deleting.'),
]


def register(conf):
    conf.register_opts(OPTS, GROUP)
