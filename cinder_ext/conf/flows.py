"""Options of the persistence of flows: [flows]."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

OPTS = [
    cfg.StrOpt('connection', secret=True,
               help='Database URL for the state of running flows; a database of its own, since '
                    'taskflow keeps its revisions in a table named alembic_version. By default '
                    'flows.db below state_path.'),
]


def register(conf):
    conf.register_opts(OPTS, 'flows')
