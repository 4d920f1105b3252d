"""Options that every backend section has, whatever its driver."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

OPTS = [
    cfg.StrOpt('volume_driver', default='file',
               help='Name of the driver, as registered in the entry point group '
                    'cinder_ext.drivers.'),
    cfg.StrOpt('volume_backend_name',
               help='Name that volume types select this backend by; the name of the section '
                    'when unset.'),
    cfg.IntOpt('reserved_percentage', default=0, min=0, max=100,
               help='Share of the capacity, in percent, that the scheduler never hands out.'),
    cfg.FloatOpt('max_over_subscription_ratio', default=20.0, min=1.0,
                 help='How many times the capacity may be promised to thin volumes.'),
]
"""The options of a backend's section that do not depend on its driver."""


def register(conf, section):
    """Register the common options on a backend's section.  Idempotent."""
    conf.register_opts(OPTS, group=section)
