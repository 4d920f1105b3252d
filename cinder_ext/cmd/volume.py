"""cinder-ext-volume: the volume services of this host's backends, in one process."""
# SPDX-License-Identifier: Apache-2.0

import sys

from oslo_config import cfg

from cinder_ext.cmd import launcher, process
from cinder_ext.drivers.generic import attach
from cinder_ext.rpc import transport
from cinder_ext.volume.manager import VolumeServices

CLI_OPTS = (
    cfg.MultiStrOpt('backend', default=[],
                    help='Serve only this backend of enabled_backends; may be repeated.'),
)


def services(conf, sections=None):
    """The volume services of this process: of all enabled backends, or of some.

    :param conf: the process-wide options
    """
    attach.setup(conf)
    return VolumeServices(conf, sections)


def run(argv, compose=services):
    """Run until a signal ends it.

    :param argv: arguments without the program's name
    :param compose: makes the services of the process from its options and sections
    :returns: exit code
    :raises Refused: it cannot start
    """
    conf = process.prepare(argv, 'cinder-ext-volume', CLI_OPTS)
    unknown = sorted(set(conf.backend) - set(conf.enabled_backends))
    if unknown or not conf.enabled_backends:
        raise process.Refused(f'enabled_backends is {conf.enabled_backends}'
                              + (f', it does not name {", ".join(unknown)}' if unknown else ''))
    transport.init(conf)
    return launcher.Launcher([*process.observers(conf), compose(conf, conf.backend)], conf,
                             conf.graceful_shutdown_seconds).run()


def main():
    return process.run(run, sys.argv[1:])
