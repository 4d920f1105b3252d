"""What the scheduler can be asked for."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging

from cinder_ext.rpc import transport

LONGEST_SECONDS = 600
"""A preview that takes longer is given up."""


class SchedulerAPI:
    """Client of the scheduler.

    Version history::

        1.0 - create_volume, create_group, manage_volume, place_migration, get_pools,
              update_backend
        1.1 - preview_migration
    """

    VERSION = '1.0'
    """Sent with what names no other: a service of the version before answers it."""

    def __init__(self, conf):
        """:param conf: options; the transport must be open"""
        self._client = transport.get_client(
            oslo_messaging.Target(topic=transport.SCHEDULER_TOPIC, version=self.VERSION))
        # Registered by the client.
        self._silence_seconds = max(2, conf.rpc_response_timeout)

    def create_volume(self, ctxt, volume_id):
        """Choose a backend for a recorded volume and have it made there.  A cast."""
        self._client.cast(ctxt, 'create_volume', volume_id=volume_id)

    def manage_volume(self, ctxt, volume_id):
        """Find the pool of a volume that is to be managed and have it managed there.  A cast."""
        self._client.cast(ctxt, 'manage_volume', volume_id=volume_id)

    def create_group(self, ctxt, group_id):
        """Choose a backend for a recorded group and have it made there.  A cast."""
        self._client.cast(ctxt, 'create_group', group_id=group_id)

    def place_migration(self, ctxt, migration_id):
        """Choose or check the destination of a recorded migration and start it.  A cast."""
        self._client.cast(ctxt, 'place_migration', migration_id=migration_id)

    def preview_migration(self, ctxt, request):
        """What a migration would meet, without beginning it: nothing is written or changed.  A call.

        :param request: the columns that its record would have: volume_id, operation,
            requested_policy, destination_host, destination_type_id, include_snapshots, verify,
            lock_volume, force_copy; what is absent is as in a record without it
        :returns: a dictionary: passed, destination_host, method, bytes_total, and checks: a list of
            dictionaries with name, passed, detail and remedy.  ``passed`` of a check is None where
            it could not be looked at because of another one that failed.
        :raises VolumeNotFound: there is no such volume

        It takes as long as both backends take to be examined, if the scheduler gives signs of life.
        """
        client = self._client.prepare(version='1.1', timeout=LONGEST_SECONDS,
                                      call_monitor_timeout=self._silence_seconds)
        return client.call(ctxt, 'preview_migration', request=request)

    def get_pools(self, ctxt, detail=False, filters=None):
        """What the scheduler knows of all pools.

        :param detail: with capabilities
        :param filters: capability -> wanted value, or ``name`` -> ``host@backend#pool``
        :returns: a list of dictionaries: ``name``, and ``capabilities`` with detail
        """
        return self._client.call(ctxt, 'get_pools', detail=detail, filters=filters or {})

    def update_backend(self, ctxt, report):
        """Tell every scheduler about a backend.  A fanout cast.

        :param report: objects.backend_report.BackendReport
        """
        self._client.prepare(fanout=True).cast(ctxt, 'update_backend', report=report)
