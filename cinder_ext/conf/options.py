"""Every option in one place: registration, the parser and the sample."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log

from cinder_ext.conf import (
    api,
    attachments,
    backend,
    clouds,
    flows,
    metrics,
    migration,
    nova,
    quota,
    replication,
    scheduler,
    service,
)

GROUPS = (service, scheduler, api, quota, migration, flows, metrics, nova, attachments,
          replication, clouds)


def new():
    """A configuration of its own with every option registered and nothing parsed."""
    conf = cfg.ConfigOpts()
    register_all(conf)
    return conf


def register_all(conf):
    """Register every option; repeating it changes nothing."""
    for group in GROUPS:
        group.register(conf)
    log.register_options(conf)
    db_options.set_defaults(conf)


def parse(conf, argv, prog=None):
    """Read command line and configuration files.

    :param argv: arguments without the program's name
    """
    conf(argv, project='cinder_ext', prog=prog, default_config_files=None)


def list_opts():
    """What the sample configuration shows; entry point of oslo-config-generator."""
    return [
        ('DEFAULT', service.OPTS + scheduler.OPTS + api.DEFAULT_OPTS + quota.OPTS),
        ('api', api.OPTS),
        ('migration', migration.OPTS),
        ('flows', flows.OPTS),
        ('metrics', metrics.OPTS),
        ('nova', nova.OPTS),
        ('attachments', attachments.OPTS),
        ('replication', replication.OPTS + clouds.OPTS),
        ('backend1', backend.OPTS),
    ]
