"""What operators ask of a running process: its log levels, and a look for recorded work.

Every service answers the namespace ``control`` beside its own methods.

Version history of the namespace::

    1.0 - set_log_levels, get_log_levels, sweep
"""
# SPDX-License-Identifier: Apache-2.0

import logging

import oslo_messaging
from oslo_log import log

from cinder_ext.rpc import transport

NAMESPACE = 'control'
VERSION = '1.0'

LONGEST_SECONDS = 10
"""How long a service may take to say its log levels; one that is stuck must not hide the others."""

LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR')
"""Levels that can be set, as the Block Storage API names them."""

LOG = log.getLogger(__name__)


def set_levels(prefix, level):
    """Set the level of this process's loggers.

    :param prefix: only those whose name begins with it; empty or None: all
    :param level: one of LEVELS
    """
    for name in levels(prefix):
        logging.getLogger(name).setLevel(level)
    LOG.info('log level of %s is %s now', f'{prefix}*' if prefix else 'everything', level)


def levels(prefix):
    """The levels in force: name of a logger -> level."""
    known = list(logging.root.manager.loggerDict.items())
    return {name: logging.getLevelName(logger.getEffectiveLevel())
            for name, logger in sorted(known, key=lambda pair: pair[0])
            if isinstance(logger, logging.Logger) and name.startswith(prefix or '')}


class ControlEndpoint:
    """RPC endpoint of every service.

    :param sweep: called without arguments: look for recorded work that nobody does, and return
        at once
    """

    target = oslo_messaging.Target(namespace=NAMESPACE, version=VERSION)

    def __init__(self, sweep):
        self._sweep = sweep

    def set_log_levels(self, ctxt, prefix, level):
        set_levels(prefix, level)

    def get_log_levels(self, ctxt, prefix):
        return levels(prefix)

    def sweep(self, ctxt):
        self._sweep()


class ControlAPI:
    """Client of every service.

    :param conf: options; the transport must be open
    """

    TOPICS = {'cinder-volume': transport.VOLUME_TOPIC, 'cinder-scheduler': transport.SCHEDULER_TOPIC}
    """Binary of a service's row -> its topic."""

    def __init__(self, conf):
        self._clients = {
            binary: transport.get_client(
                oslo_messaging.Target(topic=topic, namespace=NAMESPACE, version=VERSION),
                timeout_seconds=min(LONGEST_SECONDS, conf.rpc_response_timeout))
            for binary, topic in self.TOPICS.items()}

    def _at(self, service):
        return self._clients[service.binary].prepare(server=service.host)

    def set_log_levels(self, ctxt, service, prefix, level):
        """A cast.

        :param service: its row: binary and host
        """
        self._at(service).cast(ctxt, 'set_log_levels', prefix=prefix, level=level)

    def get_log_levels(self, ctxt, service, prefix):
        """A call; returns name of a logger -> level."""
        return self._at(service).call(ctxt, 'get_log_levels', prefix=prefix)

    def sweep(self, ctxt, service):
        """Have a service look for recorded work that nobody does.  A cast."""
        self._at(service).cast(ctxt, 'sweep')
