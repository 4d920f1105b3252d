"""Options of the scheduler: [DEFAULT], by the names that operators know."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg, types

FILTERS = ('AvailabilityZoneFilter', 'CapacityFilter', 'CapabilitiesFilter', 'DriverFilter',
           'SameBackendFilter', 'DifferentBackendFilter', 'JsonFilter', 'InstanceLocalityFilter',
           'IgnoreAttemptedHostsFilter')
"""Names of scheduler_default_filters."""

WEIGHERS = ('CapacityWeigher', 'AllocatedCapacityWeigher', 'VolumeNumberWeigher',
            'GoodnessWeigher', 'ChanceWeigher')
"""Names of scheduler_default_weighers."""

OPTS = [
    cfg.ListOpt('scheduler_default_filters',
                item_type=types.String(choices=FILTERS),
                default=['AvailabilityZoneFilter', 'CapacityFilter', 'CapabilitiesFilter',
                         'DriverFilter', 'SameBackendFilter', 'DifferentBackendFilter'],
                help='What a backend must pass to get a volume, in the order in which it is '
                     f'asked. Any of {", ".join(FILTERS)}. Whether its service is up and enabled '
                     'is always asked, and whether a create of the volume failed there.'),
    cfg.ListOpt('scheduler_default_weighers',
                item_type=types.String(choices=WEIGHERS), default=['CapacityWeigher'],
                help='Which of the backends that pass is best: the sum of these, each from 0 to '
                     f'1 times its multiplier. Any of {", ".join(WEIGHERS)}.'),
    cfg.FloatOpt('capacity_weight_multiplier', default=1.0,
                 help='Of the free capacity, virtual where a pool is thin. Negative: fill one '
                      'backend after the other.'),
    cfg.FloatOpt('allocated_capacity_weight_multiplier', default=-1.0,
                 help='Of the size of all volumes of a pool. Positive: fill one backend after '
                      'the other.'),
    cfg.FloatOpt('volume_number_multiplier', default=-1.0,
                 help='Of the number of volumes of a pool. Positive: fill one backend after the '
                      'other.'),
    cfg.IntOpt('scheduler_max_attempts', default=3, min=1,
               help='Backends that the creation of a volume is tried on before the volume is in '
                    'error.'),
]


def register(conf):
    conf.register_opts(OPTS)
