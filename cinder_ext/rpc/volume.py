"""What a volume service can be asked for."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging

from cinder_ext.rpc import hosts, transport

LONGEST_SECONDS = 600
"""A preflight that takes longer is given up."""


class VolumeAPI:
    """Client of the volume services.

    ``host`` is a volume's host, ``host@backend#pool`` or ``host@backend``.  Casts may be lost
    and may come twice: the row says what is to be done.

    Version history::

        1.0 - create_volume, delete_volume, extend_volume, create_snapshot, delete_snapshot,
              connect_attachment, disconnect_attachment, initialize_connection,
              terminate_connection, revert_volume, run_migration, report, get_capabilities,
              create_group, delete_group, create_group_snapshot, delete_group_snapshot,
              get_manageable_volumes, get_manageable_snapshots, manage_volume, unmanage_volume,
              manage_snapshot, unmanage_snapshot
        1.1 - preflight_migration
        1.2 - complete_snapshot
    """

    VERSION = '1.0'
    """Sent with what names no other: a service of the version before answers it."""

    def __init__(self, conf):
        """:param conf: options; the transport must be open"""
        self._client = transport.get_client(
            oslo_messaging.Target(topic=transport.VOLUME_TOPIC, version=self.VERSION))
        # Registered by the client.
        self._silence_seconds = max(2, conf.rpc_response_timeout)

    def _at(self, host):
        return self._client.prepare(server=hosts.backend_of(host))

    def create_volume(self, ctxt, host, volume_id):
        self._at(host).cast(ctxt, 'create_volume', volume_id=volume_id)

    def delete_volume(self, ctxt, host, volume_id):
        self._at(host).cast(ctxt, 'delete_volume', volume_id=volume_id)

    def extend_volume(self, ctxt, host, volume_id, new_size_gib):
        self._at(host).cast(ctxt, 'extend_volume', volume_id=volume_id, new_size_gib=new_size_gib)

    def create_snapshot(self, ctxt, host, snapshot_id):
        self._at(host).cast(ctxt, 'create_snapshot', snapshot_id=snapshot_id)

    def delete_snapshot(self, ctxt, host, snapshot_id):
        self._at(host).cast(ctxt, 'delete_snapshot', snapshot_id=snapshot_id)

    def complete_snapshot(self, ctxt, host, snapshot_id):
        """The compute service has reported on a snapshot; the report is in its row.  A cast."""
        client = self._client.prepare(server=hosts.backend_of(host), version='1.2')
        client.cast(ctxt, 'complete_snapshot', snapshot_id=snapshot_id)

    def create_group(self, ctxt, host, group_id):
        """Finish a group: make the volumes that are to come from its source.  A cast."""
        self._at(host).cast(ctxt, 'create_group', group_id=group_id)

    def delete_group(self, ctxt, host, group_id):
        """Remove a group's volumes, which are ``deleting``, and then the group.  A cast."""
        self._at(host).cast(ctxt, 'delete_group', group_id=group_id)

    def create_group_snapshot(self, ctxt, host, group_snapshot_id):
        self._at(host).cast(ctxt, 'create_group_snapshot', group_snapshot_id=group_snapshot_id)

    def delete_group_snapshot(self, ctxt, host, group_snapshot_id):
        self._at(host).cast(ctxt, 'delete_group_snapshot', group_snapshot_id=group_snapshot_id)

    def connect_attachment(self, ctxt, host, attachment_id):
        """Connect a volume for the connector in an attachment's row.  A call.

        :returns: connection_info: ``driver_volume_type``, ``attachment_id`` and the driver's
            data; it is stored in the row too
        :raises DriverError: the backend could not; the attachment is ``error_attaching``
        """
        return self._at(host).call(ctxt, 'connect_attachment', attachment_id=attachment_id)

    def disconnect_attachment(self, ctxt, host, attachment_id):
        """Disconnect and remove an attachment that is ``detaching``.  A call.

        :raises DriverError: the backend could not; the attachment is ``error_detaching``
        """
        self._at(host).call(ctxt, 'disconnect_attachment', attachment_id=attachment_id)

    def initialize_connection(self, ctxt, host, volume_id, connector):
        """Connect a volume for a consumer that no attachment stands for.  A call.

        :returns: {'driver_volume_type': ..., 'data': {...}}
        :raises DriverError: the backend could not
        """
        return self._at(host).call(ctxt, 'initialize_connection', volume_id=volume_id,
                                   connector=connector)

    def terminate_connection(self, ctxt, host, volume_id, connector):
        """Undo initialize_connection, unless an attachment uses that host's connection.  A call.

        :raises DriverError: the backend could not
        """
        self._at(host).call(ctxt, 'terminate_connection', volume_id=volume_id, connector=connector)

    def revert_volume(self, ctxt, host, volume_id):
        self._at(host).cast(ctxt, 'revert_volume', volume_id=volume_id)

    def run_migration(self, ctxt, host, migration_id):
        """Run or resume a migration at its source.  A cast."""
        self._at(host).cast(ctxt, 'run_migration', migration_id=migration_id)

    def preflight_migration(self, ctxt, host, request):
        """Examine what a migration would need, at its source, without beginning it.  A call.

        :param host: where the volume is
        :param request: as SchedulerAPI.preview_migration takes it; destination_host is
            ``host@backend#pool``, or None: then what asks the destination is left out
        :returns: a dictionary: passed, method, bytes_total, checks
        :raises VolumeNotFound: there is no such volume
        """
        client = self._client.prepare(
            server=hosts.backend_of(host), version='1.1', timeout=LONGEST_SECONDS,
            call_monitor_timeout=self._silence_seconds)
        return client.call(ctxt, 'preflight_migration', request=request)

    def report(self, ctxt):
        """Have every backend tell the schedulers its capacity now.  A fanout cast."""
        self._client.prepare(fanout=True).cast(ctxt, 'report')

    def get_capabilities(self, ctxt, host):
        """What a backend says of itself, in the words of the Block Storage API.  A call.

        :raises DriverError: the backend does not answer
        """
        return self._at(host).call(ctxt, 'get_capabilities')

    def get_manageable_volumes(self, ctxt, host, **page):
        """What a backend has that could become volumes.  A call.

        :param page: keys, marker, limit and offset, as volume.manage.pages.page takes them
        :returns: a list of dictionaries: reference, size (GiB), safe_to_manage, reason_not_safe,
            cinder_id, extra_info
        :raises NotCapable: the driver cannot tell
        :raises InvalidInput: a marker that is none
        """
        return self._at(host).call(ctxt, 'get_manageable_volumes', page=page)

    def get_manageable_snapshots(self, ctxt, host, **page):
        """As get_manageable_volumes; each entry has ``source_reference`` too.  A call."""
        return self._at(host).call(ctxt, 'get_manageable_snapshots', page=page)

    def manage_volume(self, ctxt, host, volume_id):
        self._at(host).cast(ctxt, 'manage_volume', volume_id=volume_id)

    def unmanage_volume(self, ctxt, host, volume_id):
        self._at(host).cast(ctxt, 'unmanage_volume', volume_id=volume_id)

    def manage_snapshot(self, ctxt, host, snapshot_id):
        self._at(host).cast(ctxt, 'manage_snapshot', snapshot_id=snapshot_id)

    def unmanage_snapshot(self, ctxt, host, snapshot_id):
        self._at(host).cast(ctxt, 'unmanage_snapshot', snapshot_id=snapshot_id)
