"""What a migration asks of its destination's volume service: short calls, safe to repeat.

Version history of the namespace ``destination``::

    1.0 - examine, create, extend, delete, create_snapshot, delete_snapshot,
          create_from_snapshot, connect, disconnect
"""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging

from cinder_ext import exceptions
from cinder_ext.objects import backend_resource, base
from cinder_ext.rpc import transport

NAMESPACE = 'destination'
VERSION = '1.0'


def _object(value):
    """The object that carries a values.Volume or values.Snapshot."""
    kind = (backend_resource.BackendSnapshot if hasattr(value, 'volume_name_id')
            else backend_resource.BackendVolume)
    return kind.from_value(value)


class DestinationAPI:
    """Calls one backend, ``host@backend``.

    :param timeout_seconds: callable; how long a call may take.  A service that restarts within
        it answers after its start.

    Every method raises BackendDown when there is no answer, else what the driver raised.
    """

    def __init__(self, timeout_seconds, transport_=None):
        self._timeout_seconds = timeout_seconds
        self._client = transport.get_client(
            oslo_messaging.Target(topic=transport.VOLUME_TOPIC, namespace=NAMESPACE,
                                  version=VERSION),
            serializer=transport.ContextSerializer(base.Serializer()), transport=transport_)

    def _call(self, ctxt, host, method, **arguments):
        backend = host.partition('#')[0]
        client = self._client.prepare(server=backend, timeout=self._timeout_seconds())
        try:
            return client.call(ctxt, method, **arguments)
        except oslo_messaging.MessagingTimeout as fault:
            raise exceptions.BackendDown(
                reason=f'the volume service of {backend} did not answer {method}') from fault

    def examine(self, ctxt, host):
        """What the destination promises and offers, and its room.

        :returns: a dictionary: promises, capabilities, offers, copy_bytes_per_second, pools
        """
        return self._call(ctxt, host, 'examine')

    def create(self, ctxt, host, volume):
        """Create an empty volume; returns its location or None."""
        return self._call(ctxt, host, 'create', volume=_object(volume))

    def extend(self, ctxt, host, volume, size_bytes):
        """Make a volume at least so large."""
        return self._call(ctxt, host, 'extend', volume=_object(volume), size_bytes=size_bytes)

    def delete(self, ctxt, host, volume):
        """Delete a volume; an unknown one is a success."""
        return self._call(ctxt, host, 'delete', volume=_object(volume))

    def create_snapshot(self, ctxt, host, snapshot):
        """Freeze the volume as it is; returns the location or None."""
        return self._call(ctxt, host, 'create_snapshot', snapshot=_object(snapshot))

    def delete_snapshot(self, ctxt, host, snapshot):
        """Delete a snapshot; an unknown one is a success."""
        return self._call(ctxt, host, 'delete_snapshot', snapshot=_object(snapshot))

    def create_from_snapshot(self, ctxt, host, volume, snapshot):
        """Create a volume with a snapshot's content."""
        return self._call(ctxt, host, 'create_from_snapshot', volume=_object(volume),
                          snapshot=_object(snapshot))

    def connect(self, ctxt, host, resource, connector):
        """Make a volume or snapshot reachable; returns values.ConnectionInfo."""
        return self._call(ctxt, host, 'connect', resource=_object(resource),
                          connector=connector).to_value()

    def disconnect(self, ctxt, host, resource, connector):
        """Take the reachability back."""
        return self._call(ctxt, host, 'disconnect', resource=_object(resource),
                          connector=connector)
