"""Options of the look for attachments that nobody uses: [attachments]."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

GROUP = 'attachments'

OPTS = [
    cfg.IntOpt('check_interval', default=3600, min=0, mutable=True,
               help='Seconds between looks of a volume service for attachments of its volumes that '
                    'nobody uses. What is found is logged and counted, and changed only by '
                    'cinder-ext-manage attachments repair. 0: it does not look.'),
    cfg.IntOpt('settle_seconds', default=600, min=0, mutable=True,
               help='Seconds for which an attachment must have been as it is before it is looked '
                    'at: the compute service may be in the middle of something.'),
    cfg.IntOpt('reserved_seconds', default=3600, min=1, mutable=True,
               help='Seconds after which an attachment that has no connector is reported.'),
    cfg.IntOpt('attaching_seconds', default=3600, min=1, mutable=True,
               help='Seconds after which an attachment that was connected and not completed is '
                    'reported.'),
]


def register(conf):
    conf.register_opts(OPTS, GROUP)
