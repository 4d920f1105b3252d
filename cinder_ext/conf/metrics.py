"""Options of the figures for Prometheus: [metrics]."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

OPTS = [
    cfg.HostAddressOpt('listen', default='127.0.0.1',
                       help='Address on which Prometheus reads figures; without authentication.'),
    cfg.PortOpt('port', help='Port on which Prometheus reads figures; without one there is none. '
                             'Daemons of one host need a port each.'),
]


def register(conf):
    conf.register_opts(OPTS, 'metrics')
