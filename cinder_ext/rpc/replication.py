"""What the volume services are asked of replication, also while a backend cannot be reached.

They listen on a topic of its own, from before the driver is started: a failover is needed most
when the array of the backend is gone.
"""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging

from cinder_ext.rpc import hosts, transport

LONGEST_SECONDS = 600
"""A call that takes longer is given up."""


class ReplicationAPI:
    """Client of the volume services.

    ``host`` is ``host@backend#pool`` or ``host@backend``.

    Version history::

        1.0 - look, export_replica, examine_replica, import_replica
    """

    VERSION = '1.0'

    def __init__(self, conf):
        """:param conf: options; the transport must be open"""
        self._client = transport.get_client(
            oslo_messaging.Target(topic=transport.REPLICATION_TOPIC, version=self.VERSION))
        # Registered by the client.
        self._silence_seconds = max(2, conf.rpc_response_timeout)

    def look(self, ctxt, host=None):
        """There is something new in the records: a replication, or an operation.  A cast.

        It may be lost: the services look by themselves too, every few seconds.

        :param host: whose it is; None: every volume service is to look, since another one than
            its own may have to do it
        """
        client = (self._client.prepare(fanout=True) if host is None
                  else self._client.prepare(server=hosts.backend_of(host)))
        client.cast(ctxt, 'look')

    def export_replica(self, ctxt, host, request):
        """What another cloud needs to take a volume over.  A call.

        :param request: a dictionary, see volume/replication/clouds.py
        :raises DriverError: the backend could not say
        """
        return self._call(ctxt, host, 'export_replica', request=request)

    def examine_replica(self, ctxt, host, request):
        """What import_replica would do; nothing is changed.  A call.

        :raises DriverError: the backend could not say
        """
        return self._call(ctxt, host, 'examine_replica', request=request)

    def import_replica(self, ctxt, host, request):
        """Take a replica over from another cloud.  A call; safe to repeat."""
        return self._call(ctxt, host, 'import_replica', request=request)

    def _call(self, ctxt, host, method, **arguments):
        client = self._client.prepare(server=hosts.backend_of(host),
                                      call_monitor_timeout=self._silence_seconds,
                                      timeout=LONGEST_SECONDS)
        return client.call(ctxt, method, **arguments)

