"""Options that every backend section has, whatever its driver."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg, types


class Ratio(types.ConfigType):
    """``auto``, or a number of at least 1."""

    def __init__(self):
        super().__init__(type_name='auto or a number of at least 1')

    def __call__(self, value):
        if str(value) == 'auto':
            return 'auto'
        number = float(value)
        if not 1 <= number < float('inf'):
            raise ValueError(f'{value} is neither auto nor a number of at least 1')
        return number

    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return hash(type(self))

    def _formatter(self, value):
        return str(value)


OPTS = [
    cfg.StrOpt('volume_driver', default='file',
               help='Name of the driver, as registered in the entry point group '
                    'cinder_ext.drivers.'),
    cfg.StrOpt('volume_backend_name',
               help='Name that volume types select this backend by; the name of the section '
                    'when unset.'),
    cfg.IntOpt('reserved_percentage', default=0, min=0, max=100,
               help='Share of the capacity, in percent, that the scheduler never hands out.'),
    cfg.Opt('max_over_subscription_ratio', type=Ratio(), default=20.0,
            help='How many times the capacity may be promised to thin volumes. auto: '
                 '1 + provisioned / (used + 1), in GiB.'),
    cfg.StrOpt('filter_function',
               help='Formula of the DriverFilter: the backend takes a volume for which it is '
                    'true.'),
    cfg.StrOpt('goodness_function',
               help='Formula of the GoodnessWeigher: how well a volume fits, from 0 to 100.'),
]
"""The options of a backend's section that do not depend on its driver."""


def register(conf, section):
    """Register the common options on a backend's section.  Idempotent."""
    conf.register_opts(OPTS, group=section)
