"""Options of replication: [replication]."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

OPTS = [
    cfg.IntOpt('concurrent', default=8, min=1, mutable=True,
               help='Points that one backend ships at once; the others wait, the one that is due '
                    'longest first. A point of a group counts as one.'),
    cfg.IntOpt('retry_seconds', default=30, min=1, mutable=True,
               help='Longest pause before a point that could not be shipped is tried again. The '
                    'first pause is one second, each next one twice as long, and none is longer '
                    'than the interval at which points are shipped.'),
    cfg.IntOpt('concurrent_operations', default=4, min=1, mutable=True,
               help='Operations (failover, failback and others) that one backend works on at '
                    'once; the others wait.'),
    cfg.BoolOpt('stand_in', default=True, mutable=True,
                help='Work on the operations of a backend whose volume service gives no sign of '
                     'life, where this configuration has a section of the same name. That section '
                     'must then describe the same array, as it does where a backend has a volume '
                     'service on several hosts; set it to false where backends of the same name '
                     'on different hosts are different arrays.'),
]


def register(conf):
    conf.register_opts(OPTS, 'replication')
