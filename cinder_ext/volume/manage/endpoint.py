"""What lies on a backend already becomes a volume or a snapshot, and these are let go."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log
from oslo_utils import timeutils

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import faults, managed, snapshots, transition, volumes
from cinder_ext.drivers import capabilities
from cinder_ext.states import messages as words
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as states
from cinder_ext.volume import values
from cinder_ext.volume.manage import pages

LOG = log.getLogger(__name__)


class ManageEndpoint:
    """RPC endpoint; methods as rpc/volume.py describes them, manners as LifecycleEndpoint.

    Version history::

        1.0 - get_manageable_volumes, get_manageable_snapshots, manage_volume, unmanage_volume,
              manage_snapshot, unmanage_snapshot
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, backend):
        """:param backend: volume.backend.Backend"""
        self._backend = backend
        self._driver = backend.driver

    def get_manageable_volumes(self, ctxt, page):
        driver = self._able(capabilities.ManageVolumes)
        return pages.page(_described(ctxt, 'volume', driver.manageable_volumes()), **page)

    def get_manageable_snapshots(self, ctxt, page):
        found = self._able(capabilities.ManageSnapshots).manageable_snapshots()
        entries = _described(ctxt, 'snapshot', found)
        parents = managed.volumes_of_snapshots(
            ctxt, [each['cinder_id'] for each in entries if each['cinder_id']])
        for entry in entries:
            parent = parents.get(entry['cinder_id'])
            entry['source_reference'] = {'source-id': parent} if parent else {}
        return pages.page(entries, **page)

    def manage_volume(self, ctxt, volume_id):
        self._backend.do(volume_id, self._volume, ctxt, volume_id)

    def unmanage_volume(self, ctxt, volume_id):
        self._backend.do(volume_id, self._volume, ctxt, volume_id)

    def manage_snapshot(self, ctxt, snapshot_id):
        self._backend.do(snapshot_id, self._snapshot, ctxt, snapshot_id)

    def unmanage_snapshot(self, ctxt, snapshot_id):
        self._backend.do(snapshot_id, self._snapshot, ctxt, snapshot_id)

    def resume(self):
        """Take up what was recorded and is not being done; called at start and periodically."""
        context = request_context.admin_context()
        for volume_id in managed.unfinished_volumes(context, self._backend.host):
            self._backend.resume(volume_id, self._volume, request_context.admin_context(), volume_id)
        for snapshot_id in managed.unfinished_snapshots(context, self._backend.host):
            self._backend.resume(snapshot_id, self._snapshot, request_context.admin_context(),
                                 snapshot_id)

    def _volume(self, context, volume_id):
        """Take the step of the volume's status; there may be none."""
        try:
            volume = volumes.get(context, volume_id)
        except exceptions.VolumeNotFound:
            return
        if volume.status == states.MANAGING:
            self._try(self._manage_volume, context, states.MACHINE, volume,
                      (words.MANAGE_VOLUME, words.MANAGE_FAILED))
        elif volume.status == states.UNMANAGING:
            self._try(self._unmanage_volume, context, states.MACHINE, volume,
                      (words.UNMANAGE_VOLUME, words.UNMANAGE_FAILED))

    def _snapshot(self, context, snapshot_id):
        """Take the step of the snapshot's status; there may be none."""
        try:
            snapshot = snapshots.get(context, snapshot_id)
        except exceptions.SnapshotNotFound:
            return
        if snapshot.status == snapshot_states.CREATING and snapshot.request:
            self._try(self._manage_snapshot, context, snapshot_states.MACHINE, snapshot,
                      (words.MANAGE_SNAPSHOT, words.MANAGE_FAILED))
        elif snapshot.status == snapshot_states.UNMANAGING:
            self._try(self._unmanage_snapshot, context, snapshot_states.MACHINE, snapshot,
                      (words.UNMANAGE_SNAPSHOT, words.UNMANAGE_FAILED))

    def _try(self, step, context, machine, row, message):
        """Take a step; when it fails the row says so and the owner is told.

        A backend that is down is no failure: the row keeps asking, and the sweep tries again.
        """
        event = _FAILURES[machine.kind, row.status]
        try:
            step(context, row)
        except exceptions.BackendDown as fault:
            LOG.warning('%s %s stays %s until its backend answers: %s', machine.kind, row.id,
                        row.status, fault.message)
        except exceptions.OverLimit as fault:
            faults.record(context, machine, row, event, message[0], words.QUOTA_EXCEED)
            LOG.warning('%s %s: %s: %s', machine.kind, row.id, event, fault.message)
        except (exceptions.DriverError, exceptions.NotFound, OSError) as fault:
            reason = getattr(fault, 'message', None) or str(fault)
            faults.record(context, machine, row, event, *message, text=reason)
            LOG.error('%s %s: %s: %s', machine.kind, row.id, event, reason)
        self._backend.capacity_changed()

    def _manage_volume(self, context, volume):
        driver = self._able(capabilities.ManageVolumes)
        reference = volume.request['reference']
        found = driver.examine_volume(values.volume_value(volume), reference)
        _refuse_owned(context, 'volume', found)
        size_gib = pages.gib(found.size_bytes)
        managed.measure(context, volume.id, size_gib)
        location = driver.manage_volume(values.volume_value(volume, size_gib), reference)
        transition.try_move(context, states.MACHINE, volume.id, 'managed', {
            'provider_location': location, 'launched_at': timeutils.utcnow()})

    def _unmanage_volume(self, context, volume):
        self._able(capabilities.ManageVolumes).unmanage_volume(values.volume_value(volume))
        volumes.mark_deleted(context, volume.id, 'unmanaged')
        LOG.info('volume %s is unmanaged', volume.id)

    def _manage_snapshot(self, context, snapshot):
        driver = self._able(capabilities.ManageSnapshots)
        volume = volumes.get(context, snapshot.volume_id)
        value = values.snapshot_value(snapshot, volume)
        reference = snapshot.request['reference']
        found = driver.examine_snapshot(value, reference)
        _refuse_owned(context, 'snapshot', found)
        if found.size_bytes > value.size_bytes:
            raise exceptions.ReferenceRefused(
                reference=str(reference)[:255],
                reason=f'it has {found.size_bytes} bytes, its volume has {value.size_bytes}')
        size_gib = pages.gib(found.size_bytes)
        snapshot.size = size_gib
        location = driver.manage_snapshot(values.snapshot_value(snapshot, volume), reference)
        transition.try_move(context, snapshot_states.MACHINE, snapshot.id, 'created', {
            'provider_location': location, 'progress': '100%', 'size': size_gib})

    def _unmanage_snapshot(self, context, snapshot):
        volume = volumes.get(context, snapshot.volume_id)
        self._able(capabilities.ManageSnapshots).unmanage_snapshot(
            values.snapshot_value(snapshot, volume))
        snapshots.mark_deleted(context, snapshot.id, 'unmanaged')
        LOG.info('snapshot %s is unmanaged', snapshot.id)

    def _able(self, kind):
        """The driver, if it serves a capability.

        :raises NotCapable: it does not
        """
        if not capabilities.has(self._driver, kind):
            raise exceptions.NotCapable(backend=self._backend.host,
                                        capability=kind.word.replace('_', ' '))
        return self._driver


_FAILURES = {
    ('volume', states.MANAGING): 'manage-failed',
    ('volume', states.UNMANAGING): 'unmanage-failed',
    ('snapshot', snapshot_states.CREATING): 'create-failed',
    ('snapshot', snapshot_states.UNMANAGING): 'unmanage-failed',
}
"""(machine, status) -> event of a step that failed."""


def _refuse_owned(context, kind, found):
    """
    :raises ReferenceRefused: it is a volume or snapshot already, or a migration works on it
    """
    owner = managed.owners(context, kind, [found.name_id] if found.name_id else [])
    if owner:
        raise exceptions.ReferenceRefused(reference=str(found.reference)[:255],
                                          reason=f'it belongs to {kind} {owner[found.name_id]}')


def _described(context, kind, found):
    """What a driver has found, as the Block Storage API shows it."""
    owners = managed.owners(context, kind, [each.name_id for each in found if each.name_id])
    return [_entry(each, owners.get(each.name_id)) for each in found]


def _entry(found, owner_id):
    reason = 'already managed' if owner_id else found.reason_not_safe
    return {'reference': found.reference, 'size': pages.gib(found.size_bytes),
            'safe_to_manage': reason is None, 'reason_not_safe': reason, 'cinder_id': owner_id,
            'extra_info': None}
