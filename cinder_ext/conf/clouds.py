"""Options of what is handed from one cloud to another: [replication]."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

GROUP = 'replication'

OPTS = [
    cfg.StrOpt('cloud', regex=r'^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$',
               help='Name of this cloud, as other clouds call it: in their manifests, in the peer '
                    'of their replication_device entries, and in their peer_keys.'),
    cfg.DictOpt('peer_keys', default={}, secret=True,
                help='Keys by which manifests are signed, one for each cloud that volumes are '
                     'replicated to or taken from: CLOUD:KEY,CLOUD:KEY. Both clouds of a pair have '
                     'the same one, of at least 16 characters. The key under the name of this '
                     'cloud is for targets that belong to it.'),
]


def register(conf):
    conf.register_opts(OPTS, GROUP)
