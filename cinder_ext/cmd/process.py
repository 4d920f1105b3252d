"""What every daemon does before its services start: options, log, database, locks."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import fcntl
import gc
import os
import sys

from oslo_concurrency import lockutils
from oslo_config import cfg
from oslo_log import log

from cinder_ext.conf import options
from cinder_ext.db import messages, session
from cinder_ext.metrics import MetricsService
from cinder_ext.rpc.notifications import Notifications


class Refused(Exception):
    """The process cannot start; the message says why, and what to do."""


def prepare(argv, prog, cli_opts=(), has_state=True):
    """Read the configuration, and open log and database.  Called once, after any fork.

    :param argv: arguments without the program's name
    :param cli_opts: further options of the command line
    :param has_state: whether the state directory is made when it is not there
    :returns: the process-wide configuration: os-brick and oslo.concurrency know no other
    :raises Refused: the configuration is wrong
    """
    conf = cfg.CONF
    options.register_all(conf)
    conf.register_cli_opts(cli_opts)
    try:
        options.parse(conf, argv, prog)
        if has_state:
            os.makedirs(conf.state_path, mode=0o750, exist_ok=True)
    except (cfg.Error, OSError) as fault:
        raise Refused(str(fault)) from fault
    log.setup(conf, 'cinder_ext')
    bind(conf)
    messages.keep_for(conf.message_ttl)
    return conf


def bind(conf):
    """Bind locks and database to a parsed configuration."""
    _default_below_state(conf)
    session.configure(conf)


def _default_below_state(conf):
    """Where locks and database are when the configuration does not say."""
    lockutils.set_defaults(os.path.join(conf.state_path, 'locks'))
    conf.set_default('connection', 'sqlite:///' + os.path.join(conf.state_path, 'cinder_ext.db'),
                     group='database')


def settle():
    """Everything is loaded: spare it from garbage collections, and have fewer of them.

    A list of 1,000 volumes makes some ten thousand objects that live as long as the request; the
    collections that they bring about would cost a fifth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50000, 20, 50)


def observers(conf):
    """Services that tell what the others do: figures and notifications."""
    return [MetricsService(conf), Notifications(conf)]


@contextlib.contextmanager
def alone(conf):
    """Hold the state directory for as long as the block runs.

    :raises Refused: another process works on it; names that process
    """
    path = os.path.join(conf.state_path, 'lock')
    with open(path, 'a+', encoding='ascii') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or 'unknown'
            raise Refused(f'{conf.state_path} is in use by process {holder}; stop it first, or '
                          'use another state_path')
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def run(main, *args):
    """Run a daemon's main function.

    :returns: exit code; what refused to start is said on standard error
    """
    try:
        return main(*args)
    except (Refused, cfg.Error) as refusal:
        sys.stderr.write(f'{os.path.basename(sys.argv[0])}: {refusal}\n')
        return 1
