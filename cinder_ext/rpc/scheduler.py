"""What the scheduler can be asked for."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging

from cinder_ext.rpc import transport


class SchedulerAPI:
    """Client of the scheduler.

    Version history::

        1.0 - create_volume, create_group, manage_volume, place_migration, get_pools,
              update_backend
    """

    VERSION = '1.0'

    def __init__(self, conf):
        """:param conf: options; the transport must be open"""
        self._client = transport.get_client(
            oslo_messaging.Target(topic=transport.SCHEDULER_TOPIC, version=self.VERSION))

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
