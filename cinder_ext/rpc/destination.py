"""What a migration asks of its destination's volume service: short calls, safe to repeat.

Version history of the namespace ``destination``::

    1.0 - examine, create, extend, delete, create_snapshot, delete_snapshot,
          create_from_snapshot, connect, disconnect
    1.1 - supersede; all but examine take ``fence``
    1.2 - create_snapshot_unflushed, flush_snapshots: for a destination with the capability
          ``deferred_flush``
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

import oslo_messaging
from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import away
from cinder_ext.objects import backend_resource, base
from cinder_ext.rpc import transport

NAMESPACE = 'destination'
VERSION = '1.2'
SPOKEN = '1.1'
"""What all calls but the newest ones ask for: a service of before serves them."""

LONGEST_SECONDS = 24 * 3600
"""A call that takes longer is given up; a message that nobody takes is dropped after it."""

ATTEMPTS = 3
"""How often a call is sent that nobody gives a sign of: a service that dies takes its message along."""

LOG = log.getLogger(__name__)


def _object(value):
    """The object that carries a values.Volume or values.Snapshot."""
    kind = (backend_resource.BackendSnapshot if hasattr(value, 'volume_name_id')
            else backend_resource.BackendVolume)
    return kind.from_value(value)


class _Translated:
    """What a call may raise, in the words of the driver contract.

    A fault of the other service's program arrives as RemoteError, or as a built-in exception
    that looks like one of this process.  Neither may keep a migration from being undone.
    That it cannot reach the database is no fault of it: then nothing is to be undone.
    """

    def __init__(self, backend, method):
        self._backend = backend
        self._method = method

    def __enter__(self):
        return self

    def __exit__(self, kind, fault, trace):
        if isinstance(fault, oslo_messaging.MessagingTimeout | oslo_messaging.MessageDeliveryFailure):
            raise exceptions.BackendDown(reason=f'the volume service of {self._backend} did not '
                                                f'answer {self._method}') from fault
        if away.is_told(fault):
            LOG.warning('the volume service of %s cannot reach its database', self._backend)
            if not isinstance(fault, exceptions.DatabaseAway):
                raise exceptions.DatabaseAway from fault
            return
        if transport.is_unsupported(fault):
            raise exceptions.NotCapable(
                backend=self._backend,
                capability=f'serve {self._method} of version {VERSION}') from fault
        if isinstance(fault, Exception) and not isinstance(fault, exceptions.CinderExtError):
            LOG.error('%s failed at %s: %s', self._method, self._backend, fault)
            raise exceptions.DriverError(reason=f'the volume service of {self._backend} failed in '
                                                f'{self._method}; see its log') from fault


class DestinationAPI:
    """Calls one backend, ``host@backend``.

    :param timeout_seconds: callable; how long the service may give no sign of life, at least 2.
        One that restarts within it answers after its start: the call is sent again after a
        third of that time.  While it works it gives signs, so that a snapshot that is a copy
        may take its time.

    Every method raises BackendDown when there is no answer, else what the driver raised; what
    is no error of ours becomes a DriverError.  RecordLost: the context's fence does not hold.
    DatabaseAway: it could not look whether it holds; the caller waits.
    """

    def __init__(self, timeout_seconds, transport_=None):
        self._timeout_seconds = timeout_seconds
        self._client = transport.get_client(
            oslo_messaging.Target(topic=transport.VOLUME_TOPIC, namespace=NAMESPACE,
                                  version=SPOKEN),
            serializer=transport.ContextSerializer(base.Serializer()), transport=transport_)

    def _fenced(self, ctxt, host, method, version=SPOKEN, **arguments):
        """Call for whoever works on a migration: refused when that is another one by now.

        A context without a fence is of nobody's attempt, and is served.
        """
        fence = ctxt.fence and [ctxt.fence.record_id, ctxt.fence.attempt]
        return self._call(ctxt, host, method, version, fence=fence, **arguments)

    def _call(self, ctxt, host, method, version=SPOKEN, **arguments):  # noqa: PLR0917
        backend = host.partition('#')[0]
        client = self._client.prepare(
            server=backend, version=version, timeout=LONGEST_SECONDS,
            call_monitor_timeout=max(2, round(self._timeout_seconds() / ATTEMPTS)))
        with _Translated(backend, method):
            for _ in range(ATTEMPTS - 1):
                with contextlib.suppress(oslo_messaging.MessagingTimeout):
                    return client.call(ctxt, method, **arguments)
                LOG.warning('%s gave no sign of %s; it is asked again', backend, method)
            return client.call(ctxt, method, **arguments)

    def examine(self, ctxt, host):
        """What the destination promises and offers, and its room.

        :returns: a dictionary: promises, capabilities, calls, offers, copy_bytes_per_second,
            connections_outlive_snapshots, pools; a service of before has neither calls nor
            connections_outlive_snapshots
        :raises NotCapable: it does not speak this version
        """
        return self._call(ctxt, host, 'examine')

    def create(self, ctxt, host, volume):
        """Create an empty volume; returns its location or None."""
        return self._fenced(ctxt, host, 'create', volume=_object(volume))

    def extend(self, ctxt, host, volume, size_bytes):
        """Make a volume at least so large."""
        return self._fenced(ctxt, host, 'extend', volume=_object(volume), size_bytes=size_bytes)

    def delete(self, ctxt, host, volume):
        """Delete a volume; an unknown one is a success."""
        return self._fenced(ctxt, host, 'delete', volume=_object(volume))

    def create_snapshot(self, ctxt, host, snapshot):
        """Freeze the volume as it is; returns the location or None."""
        return self._fenced(ctxt, host, 'create_snapshot', snapshot=_object(snapshot))

    def create_snapshot_unflushed(self, ctxt, host, snapshot):
        """Freeze the volume as it is, as capabilities.DeferredFlush; the location or None."""
        return self._fenced(ctxt, host, 'create_snapshot_unflushed', version='1.2',
                            snapshot=_object(snapshot))

    def flush_snapshots(self, ctxt, host, snapshots):
        """Put snapshots of one volume on the medium."""
        return self._fenced(ctxt, host, 'flush_snapshots', version='1.2',
                            snapshots=[_object(snapshot) for snapshot in snapshots])

    def delete_snapshot(self, ctxt, host, snapshot):
        """Delete a snapshot; an unknown one is a success."""
        return self._fenced(ctxt, host, 'delete_snapshot', snapshot=_object(snapshot))

    def create_from_snapshot(self, ctxt, host, volume, snapshot):
        """Create a volume with a snapshot's content."""
        return self._fenced(ctxt, host, 'create_from_snapshot', volume=_object(volume),
                          snapshot=_object(snapshot))

    def connect(self, ctxt, host, resource, connector):
        """Make a volume or snapshot reachable; returns values.ConnectionInfo."""
        return self._fenced(ctxt, host, 'connect', resource=_object(resource),
                          connector=connector).to_value()

    def disconnect(self, ctxt, host, resource, connector):
        """Take the reachability back."""
        return self._fenced(ctxt, host, 'disconnect', resource=_object(resource),
                          connector=connector)

    def supersede(self, ctxt, host, pairs):
        """Give volumes and snapshots other names, out of the reach of whoever writes to them.

        :param pairs: a list of (old, new), as capabilities.Supersede takes them
        :returns: a list of locations
        """
        return self._fenced(ctxt, host, 'supersede', old=[_object(old) for old, _ in pairs],
                            new=[_object(new) for _, new in pairs])
