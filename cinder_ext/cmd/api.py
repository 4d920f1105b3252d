"""cinder-ext-api: the API on a WSGI server of its own."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import ipaddress
import socket
import sys
import threading

from cheroot import wsgi
from oslo_log import log

from cinder_ext.api import app
from cinder_ext.cmd import launcher, process, strict_http
from cinder_ext.rpc import transport
from cinder_ext.rpc.control import ControlAPI
from cinder_ext.rpc.replication import ReplicationAPI
from cinder_ext.rpc.scheduler import SchedulerAPI
from cinder_ext.rpc.volume import VolumeAPI

LOG = log.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Clients:
    """The other services, as the API reaches them."""

    scheduler: SchedulerAPI
    volume: VolumeAPI
    control: ControlAPI
    replication: ReplicationAPI


class ApiService:
    """Answers requests on threads.

    :param conf: options; database and transport must be open before ``start()``
    """

    def __init__(self, conf):
        self._conf = conf
        self._server = None
        self._thread = None

    @property
    def port(self):
        """The port that it listens on; another than the configured one when that is 0."""
        return self._server.bind_addr[1]

    def start(self):
        """Listen.

        :raises Refused: the address cannot be used, or anybody could be an administrator on it
        """
        conf = self._conf
        _refuse_open_noauth(conf)
        application = app.build(conf, clients(conf))
        server = wsgi.Server((conf.api.listen, conf.api.port), application,
                             numthreads=conf.api.threads, server_name='cinder_ext',
                             shutdown_timeout=conf.graceful_shutdown_seconds,
                             request_queue_size=128, timeout=conf.api.client_timeout_seconds)
        server.max_request_header_size = strict_http.MAX_HEADER_BYTES
        server.ConnectionClass = strict_http.Connection
        server.error_log = _log_server_fault
        try:
            server.prepare()
        except OSError as fault:
            raise process.Refused(
                f'cannot listen on {conf.api.listen} port {conf.api.port}: {fault}') from fault
        self._server = server
        process.settle()
        self._thread = threading.Thread(target=server.serve, name='api', daemon=True)
        self._thread.start()
        LOG.info('listening on http://%s:%s', conf.api.listen, self.port)

    def stop(self):
        """Take no more requests; returns when those that were taken are answered."""
        if self._server is not None:
            self._server.stop()
            self._thread.join()

    def reload(self):
        """Handlers read their options when they need them: nothing is kept here."""


def clients(conf):
    """The other services, by RPC."""
    return Clients(SchedulerAPI(conf), VolumeAPI(conf), ControlAPI(conf), ReplicationAPI(conf))


def _log_server_fault(message='', level=20, traceback=False):
    LOG.log(level, '%s', message, exc_info=traceback)


def _refuse_open_noauth(conf):
    """Without authentication everybody is an administrator: only on the loopback interface."""
    if conf.auth_strategy != 'noauth' or conf.api.allow_noauth_beyond_loopback:
        return
    if not _is_loopback(conf.api.listen):
        raise process.Refused(
            f'auth_strategy is noauth and [api] listen is {conf.api.listen}: whoever reaches it '
            'would be an administrator. Listen on 127.0.0.1, use keystone, or set [api] '
            'allow_noauth_beyond_loopback.')


def _is_loopback(address):
    try:
        found = {info[4][0] for info in socket.getaddrinfo(address, None)}
    except OSError as fault:
        raise process.Refused(f'[api] listen: {address}: {fault}') from fault
    return all(ipaddress.ip_address(each.partition('%')[0]).is_loopback for each in found)


def run(argv):
    """Run until a signal ends it; returns the exit code."""
    conf = process.prepare(argv, 'cinder-ext-api')
    transport.init(conf)
    return launcher.Launcher([*process.observers(conf), ApiService(conf)], conf,
                             conf.graceful_shutdown_seconds).run()


def main():
    return process.run(run, sys.argv[1:])
