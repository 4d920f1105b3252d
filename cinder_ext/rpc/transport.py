"""The way messages travel between services: one transport per process.

``init`` opens what ``transport_url`` names; it is called after a fork, never
before.  The project's own errors come back to a caller as what they were:
class, code and facts.  A database that is away is one of them (DatabaseAway),
whatever the fault looked like.  ``str()`` of such an error carries the remote
traceback; ``error.message`` is the sentence alone.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import functools
import time
from concurrent import futures

import oslo_messaging
from oslo_config import cfg
from oslo_messaging._metrics import client as messaging_metrics
from oslo_messaging._tracing import client as tracing
from oslo_messaging.rpc import dispatcher as rpc_dispatcher
from oslo_messaging.rpc import server as rpc_server

from cinder_ext import context, exceptions, metrics
from cinder_ext.db import away, quota_errors
from cinder_ext.objects import backend_report, backend_resource
from cinder_ext.objects import base as objects

SCHEDULER_TOPIC = 'cinder-ext-scheduler'
VOLUME_TOPIC = 'cinder-ext-volume'
REPLICATION_TOPIC = 'cinder-ext-replication'

CONTROL_EXCHANGE = 'cinder_ext'
"""Default exchange; not Cinder's own, so that both can share a broker."""

ALLOWED_REMOTE_EXMODS = (exceptions.__name__, quota_errors.__name__)
"""Modules whose errors a caller rebuilds; all others arrive as RemoteError."""

RABBIT_GROUP = 'oslo_messaging_rabbit'
RABBIT_DEFAULTS = {'rabbit_quorum_queue': True, 'rabbit_transient_quorum_queue': False}
"""Queues of topics are quorum queues, durable and replicated; classic ones die with the broker.

Those of replies and broadcasts should die with it: their listeners make them again, under the
same names, when they have reconnected.  A broker that is killed keeps a quorum queue which is
less than about a second old, but forgets its log, and never elects a leader: a reply to it is
not confirmed, and holds a thread and a connection of the other service for good.
"""

OBJECTS = (backend_report, backend_resource)
"""Modules of what travels: a process rebuilds an object only when its class is loaded."""

_open = {}


class ContextSerializer(oslo_messaging.Serializer):
    """Carries the request context; leaves the entities to another serializer.

    The token stays at home: a service that calls other services has
    credentials of its own.

    :param entities: serializer of arguments and results
    """

    def __init__(self, entities=None):
        self._entities = entities or objects.Serializer()

    def serialize_entity(self, ctxt, entity):
        return self._entities.serialize_entity(ctxt, entity)

    def deserialize_entity(self, ctxt, entity):
        return self._entities.deserialize_entity(ctxt, entity)

    def serialize_context(self, ctxt):
        return {**ctxt.to_dict(), 'auth_token': None}

    def deserialize_context(self, ctxt):
        return context.RequestContext.from_dict(ctxt)


class _Dispatcher(rpc_dispatcher.RPCDispatcher):
    """Tells a caller that the database is away in words that it knows."""

    def dispatch(self, incoming):
        with away.told():
            return super().dispatch(incoming)


class Server(rpc_server.RPCServer):
    """An RPC server whose idle threads sleep.

    Those of oslo.messaging's own pool wake once a second to see whether they
    should end, all the time, and ``wait()`` waits for them to notice.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._executor_cls = futures.ThreadPoolExecutor

    def _process_incoming(self, incoming):
        began = time.monotonic()
        try:
            super()._process_incoming(incoming)
        finally:
            method = incoming[0].message.get('method') if incoming else None
            metrics.RPC_SECONDS.labels(self._target.topic, method if method in self._served
                                       else 'unknown').observe(time.monotonic() - began)

    @functools.cached_property
    def _served(self):
        """Names of the methods; anybody who reaches the broker could make up others."""
        return frozenset(name for endpoint in self.dispatcher.endpoints for name in dir(endpoint)
                         if not name.startswith('_'))


def init(conf, url=None):
    """Open the transport of this process; a second call keeps the first one.

    :param conf: options; ``transport_url`` and ``rpc_response_timeout`` among them
    :param url: replaces ``transport_url``
    :raises oslo_messaging.DriverLoadFailure: no driver for that kind of URL
    """
    if 'rpc' not in _open:
        _open['rpc'] = open_transport(conf, url)
    return _open['rpc']


def cleanup():
    """Close the transport; safe to repeat."""
    transport = _open.pop('rpc', None)
    if transport is not None:
        transport.cleanup()


def open_transport(conf, url=None):
    """A transport that belongs to the caller, who closes it with ``cleanup()``."""
    oslo_messaging.set_transport_defaults(CONTROL_EXCHANGE)
    _register_options(conf)
    transport = oslo_messaging.get_rpc_transport(
        conf, url, allowed_remote_exmods=list(ALLOWED_REMOTE_EXMODS))
    _default_rabbit(conf)
    return transport


def _default_rabbit(conf):
    """Choose kinds of queues; the driver has registered its options and not connected yet."""
    with contextlib.suppress(cfg.NoSuchOptError, cfg.NoSuchGroupError):
        for name, value in RABBIT_DEFAULTS.items():
            conf.set_default(name, value, group=RABBIT_GROUP)


def open_for_notifications(conf):
    """A transport for notifications; they may have a broker of their own."""
    _register_options(conf)
    return oslo_messaging.get_notification_transport(conf)


def _register_options(conf):
    """Register what oslo.messaging reads from any conf but registers on cfg.CONF only."""
    conf.register_opts(messaging_metrics.oslo_messaging_metrics, group='oslo_messaging_metrics')
    conf.register_opts(tracing.oslo_messaging_tracing, group='oslo_messaging_tracing')


def get_transport():
    """The open transport.

    :raises RuntimeError: ``init`` has not been called
    """
    try:
        return _open['rpc']
    except KeyError:
        raise RuntimeError('rpc.transport.init() has not been called')


def get_client(target, *, serializer=None, version_cap=None, timeout_seconds=None,
               call_monitor_timeout_seconds=None, transport=None):
    """A client for one topic.

    :param serializer: replaces the one for contexts and versioned objects
    :param version_cap: the highest version that may be sent
    :param timeout_seconds: default is the option ``rpc_response_timeout``
    :param call_monitor_timeout_seconds: a call fails when the server gives no
        sign of life for so long, however long the call itself may take; whole
        seconds, at least 2 (the server beats at half of it, at least 1 s apart)
    """
    return oslo_messaging.get_rpc_client(
        transport or get_transport(), target, timeout=timeout_seconds, version_cap=version_cap,
        serializer=serializer or ContextSerializer(),
        call_monitor_timeout=call_monitor_timeout_seconds)


def is_unsupported(fault):
    """Whether a call failed since the other service does not serve that version of the method."""
    return getattr(fault, 'exc_type', type(fault).__name__) == 'UnsupportedVersion'


def get_server(target, endpoints, *, serializer=None, transport=None):
    """A server on threads, not started.

    ``stop()`` takes no more messages, ``wait()`` returns when those that were
    taken have been answered.
    """
    dispatcher = _Dispatcher(endpoints, serializer or ContextSerializer())
    # No executor is named: that is deprecated, threads are what is left without eventlet.
    return Server(transport or get_transport(), target, dispatcher)
