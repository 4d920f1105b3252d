"""Snapshots of a volume that a server uses: taken and removed with the compute service's part.

An operation has two halves.  The first makes things ready and asks the compute service; the
second, when that has reported or the deadline has passed, brings it to its end.  In between nothing
of this process knows of it, and no thread waits: the record is in db/assisted_snapshots.py, and it
is written before each deed.

There is no flow here.  Each half is a few steps that may be repeated, over a record that says
which of them comes next, and a flow would have to be given up for what the compute service may do
at any moment: report before it has answered, twice, late, or never.

======== ============ ===========================================================================
stage    outcome      what comes next, also after a kill
======== ============ ===========================================================================
begun                 the driver's begin (again), then the question; without a user of the volume
                      any more: forgotten, and the driver does it alone
asking                nothing: it may have been asked, and is never asked again
asked                 nothing, until a report or the deadline
any      done         the driver's complete, and the end
any      failed,      the driver's abort, and the end
         expired,
         refused
======== ============ ===========================================================================

**A layer that the consumer may be writing to is never removed or renamed**: the driver promises it
of every step, and here a create of which the consumer may have heard is aborted in no other way
than by making the new file the volume.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import assisted_snapshots, attachments, snapshots, volumes
from cinder_ext.drivers import capabilities
from cinder_ext.drivers import values as drivers_values
from cinder_ext.states import assisted as words
from cinder_ext.states import messages
from cinder_ext.volume import values

LOG = log.getLogger(__name__)

_DETAILS = {words.REFUSED: messages.COMPUTE_REFUSED_SNAPSHOT,
            words.EXPIRED: messages.COMPUTE_SILENT_ON_SNAPSHOT,
            words.FAILED: messages.COMPUTE_FAILED_SNAPSHOT}


class Assistant:
    """The assisted operations of one backend.

    Each method is called while the thread has the turn of the volume, where nothing else is said.

    :param backend: volume.backend.Backend with a driver that has the capability
    :param compute: compute.Compute
    :param deadline_seconds: function without arguments
    :param described: function(context, volume, attachment, the driver's connection) ->
        connection_info as the attachment keeps it
    """

    def __init__(self, backend, compute, deadline_seconds, described):
        self._backend = backend
        self._driver = backend.driver
        self._compute = compute
        self._seconds = deadline_seconds
        self._described = described
        self._watchers = []

    def watch(self, watcher):
        """Have ``watcher(models.Snapshot)`` called after each operation that has ended."""
        self._watchers.append(watcher)

    def takes(self, context, snapshot, volume):
        """Begin or go on with what a snapshot's status asks for, unless the driver does it alone.

        :param snapshot: models.Snapshot that is creating or deleting
        :returns: False when the driver is to do it, now
        """
        with self._tried_again(snapshot.id):
            return self._takes(context, snapshot, volume)
        return True

    @staticmethod
    @contextlib.contextmanager
    def _tried_again(snapshot_id):
        """A fault of the driver leaves the record as it stands, for the next sweep."""
        try:
            yield
        except (exceptions.DriverError, OSError) as fault:
            LOG.error('snapshot %s stays as it is and is tried again: %s', snapshot_id,
                      _said(fault))

    def _takes(self, context, snapshot, volume):
        while True:
            found = assisted_snapshots.claim(context, snapshot.id, snapshot.status, self._seconds())
            if found == assisted_snapshots.PLAIN:
                self._settle(context, volume)
                return False
            if found == assisted_snapshots.LATER:
                LOG.info('snapshot %s waits for another operation or for the consumers of volume '
                         '%s', snapshot.id, volume.id)
                return True
            self._advance(context, found, snapshot, volume)
            if not self._is_to_do(context, snapshot):
                return True

    @staticmethod
    def _is_to_do(context, snapshot):
        """Whether an operation was ended or forgotten and the snapshot is still to be worked on."""
        return dict(assisted_snapshots.waiting(context, snapshot.volume_id)).get(
            snapshot.id) == snapshot.status

    @staticmethod
    def is_needed(context, volume_id):
        """Whether a snapshot of a volume cannot be taken by the driver alone now."""
        return (assisted_snapshots.is_used(context, volume_id)
                or assisted_snapshots.open_of_volume(context, volume_id) is not None)

    def go_on(self, context, snapshot_id):
        """Do what a report, a deadline or a kill has left to be done; harmless at any time."""
        try:
            snapshot = snapshots.get(context, snapshot_id)
            volume = volumes.get(context, snapshot.volume_id)
        except exceptions.NotFound as fault:
            LOG.info('snapshot %s: nothing to do: %s', snapshot_id, fault.message)
            return
        with self._tried_again(snapshot_id):
            operation = assisted_snapshots.find(context, snapshot_id)
            if operation is None:
                self._settle(context, volume)
            elif self._advance(context, operation, snapshot, volume):
                self._tell(snapshot)

    def before_connect(self, context, volume_id):
        """Let a volume be right for another consumer, which may open it from now on.

        An operation that would change which file is the volume is brought to its end first: the
        new consumer would open the old file, and the first one write to the new one.
        """
        volume = volumes.get(context, volume_id)
        operation = assisted_snapshots.open_of_volume(context, volume_id)
        if operation is None or operation.kind == words.DELETE:
            if operation is None:
                self._settle(context, volume)
            return
        snapshot = snapshots.get(context, operation.snapshot_id)
        if (operation.stage == words.BEGUN and operation.outcome is None
                and self._take_back(context, operation, snapshot, volume)):
            return
        LOG.warning('snapshot %s: volume %s gets another consumer, the compute service is not '
                    'waited for', snapshot.id, volume_id)
        operation = assisted_snapshots.decide(context, operation, words.EXPIRED)
        if operation is not None:
            self._end(context, operation, snapshot, volume)

    # The first half.

    def _advance(self, context, operation, snapshot, volume):
        """Take the next step; returns True when the operation was forgotten instead.

        :raises DriverError, OSError: it is tried again later
        """
        if operation.outcome is None and operation.stage == words.BEGUN:
            if assisted_snapshots.is_used(context, volume.id):
                self._begin(context, operation, snapshot, volume)
                return False
            if self._take_back(context, operation, snapshot, volume):
                return True
            operation = assisted_snapshots.decide(context, operation, words.EXPIRED)
        elif operation.outcome is None and (
                operation.is_overdue or _is_moot(context, operation, snapshot)):
            operation = assisted_snapshots.decide(context, operation, words.EXPIRED)
        if operation is not None and operation.outcome is not None:
            self._end(context, operation, snapshot, volume)
        return False

    def _begin(self, context, operation, snapshot, volume):
        begin = (self._driver.create_snapshot_assisted_begin if operation.kind == words.CREATE
                 else self._driver.delete_snapshot_assisted_begin)
        try:
            found = begin(values.snapshot_value(snapshot, volume))
        except exceptions.BackendDown:
            raise
        except (exceptions.DriverError, OSError) as fault:
            if isinstance(fault, exceptions.ResourceBusy) and not operation.is_overdue:
                LOG.info('snapshot %s is tried again: %s', snapshot.id, fault.message)
                return
            LOG.error('snapshot %s: %s cannot begin: %s', snapshot.id, operation.kind,
                      _said(fault))
            operation = assisted_snapshots.decide(context, operation, words.REFUSED)
        else:
            operation = assisted_snapshots.prepared(context, operation, found.noted,
                                                    self._connections(context, volume))
            if found.request is not None and operation is not None:
                self._backend.ask(snapshot.id, self._ask, context, operation, found.request)
                return
            if operation is not None:
                operation = assisted_snapshots.decide(context, operation, words.DONE)
        if operation is not None:
            self._end(context, operation, snapshot, volume)

    def _take_back(self, context, operation, snapshot, volume):
        """Forget an operation of which the compute service was not told; it waits for its turn.

        :returns: whether it is forgotten
        """
        _found, consumer = self._undo(operation, values.snapshot_value(snapshot, volume),
                                      capabilities.NEVER_ASKED)
        if consumer == capabilities.UNKNOWN:
            return False
        if not assisted_snapshots.drop(context, operation):
            return False
        LOG.info('snapshot %s: what was made ready on volume %s is taken back', snapshot.id,
                 volume.id)
        return True

    def _ask(self, context, operation, request):
        """Ask the compute service; in a thread of its own, without any turn."""
        operation = assisted_snapshots.asking(context, operation, self._seconds())
        if operation is None:
            return
        try:
            if operation.kind == words.CREATE:
                self._compute.create_assisted_snapshot(
                    context, operation.volume_id,
                    {**request, 'snapshot_id': operation.snapshot_id})
            else:
                self._compute.delete_assisted_snapshot(
                    context, operation.snapshot_id, {**request, 'volume_id': operation.volume_id})
        except exceptions.AssistanceRefused as fault:
            LOG.error('snapshot %s: %s', operation.snapshot_id, fault.message)
            assisted_snapshots.decide(context, operation, words.REFUSED)
            with self._backend.running.turn(operation.volume_id):
                self.go_on(context, operation.snapshot_id)
        except exceptions.ServiceUnavailable as fault:
            LOG.warning('snapshot %s: %s It is not known whether the compute service does it; it '
                        'has until %s to report', operation.snapshot_id, fault.message,
                        operation.deadline)
        else:
            assisted_snapshots.asked(context, operation)
            LOG.info('snapshot %s: the compute service takes part in its %s', operation.snapshot_id,
                     operation.kind)

    # The second half.

    def _end(self, context, operation, snapshot, volume):
        """Bring an operation whose outcome is decided to its end."""
        value = values.snapshot_value(snapshot, volume)
        how = None
        if operation.outcome == words.DONE:
            how = self._completed(context, operation, value, volume)
            if how is None:
                operation = assisted_snapshots.decide(context, operation, words.FAILED,
                                                      instead_of=words.DONE)
        if operation is None:
            return
        if how is None:
            how = (self._aborted_create(context, operation, value, volume)
                   if operation.kind == words.CREATE
                   else self._aborted_delete(context, operation, value, volume))
        if how is not None and assisted_snapshots.end(context, operation, how):
            self._log(operation, how)
            self._tell(snapshot)

    def _tell(self, snapshot):
        for watcher in self._watchers:
            watcher(snapshot)

    def _completed(self, context, operation, value, volume):
        """End of what the compute service has done; None when it has not, or cannot be relied on.

        :raises ResourceBusy, BackendDown: it is repeated later
        """
        complete, event = (
            (self._driver.create_snapshot_assisted_complete, 'created')
            if operation.kind == words.CREATE
            else (self._driver.delete_snapshot_assisted_complete, 'deleted'))
        try:
            found = complete(value, operation.noted)
            return assisted_snapshots.End(
                event, _columns(found) if event == 'created' else {}, found.noted,
                self._connections(context, volume))
        except (exceptions.BackendDown, exceptions.ResourceBusy):
            raise
        except (exceptions.DriverError, OSError) as fault:
            LOG.error('snapshot %s: the compute service says that its %s is done, but: %s',
                      operation.snapshot_id, operation.kind, _said(fault))
            return None

    def _aborted_create(self, context, operation, value, volume):
        consumer = capabilities.NEVER_ASKED
        if operation.outcome != words.REFUSED:
            consumer = (capabilities.UNKNOWN if assisted_snapshots.is_used(context, volume.id)
                        else capabilities.GONE)
        found, consumer = self._undo(operation, value, consumer)
        return assisted_snapshots.End(
            'create-failed', {'provider_location': found.location} if found.location else {},
            found.noted, self._connections(context, volume),
            is_unsettled=consumer == capabilities.UNKNOWN,
            message=(messages.SNAPSHOT_CREATE, _DETAILS[operation.outcome]))

    def _aborted_delete(self, context, operation, value, volume):
        found, _consumer = self._undo(operation, value, None)
        is_unsettled = (operation.outcome == words.EXPIRED
                        and assisted_snapshots.is_used(context, volume.id))
        return assisted_snapshots.End(
            'delete-failed', {}, found.noted, self._connections(context, volume),
            is_unsettled=is_unsettled,
            message=(messages.SNAPSHOT_DELETE, _DETAILS[operation.outcome]))

    def _undo(self, operation, value, consumer):
        """The driver's abort; returns (values.Assistance, what was known of the consumer).

        A consumer that has what nobody has told it of counts as unknown, and so does one that
        was thought to be gone and writes.
        """
        if operation.kind == words.DELETE:
            return self._driver.delete_snapshot_assisted_abort(value, operation.noted), None
        abort = self._driver.create_snapshot_assisted_abort
        if consumer != capabilities.UNKNOWN:
            try:
                return abort(value, operation.noted, consumer), consumer
            except exceptions.ResourceBusy as fault:
                LOG.warning('snapshot %s: %s', operation.snapshot_id, fault.message)
            except exceptions.ResourceMissing as fault:
                if consumer != capabilities.NEVER_ASKED:
                    raise
                # Nothing was asked, and nothing is there: that is how it was before.
                LOG.error('snapshot %s: %s', operation.snapshot_id, fault.message)
                return drivers_values.Assistance(), consumer
        return abort(value, operation.noted, capabilities.UNKNOWN), capabilities.UNKNOWN

    def _connections(self, context, volume):
        """attachment id -> connection_info as it is from now on, of those that have one."""
        found = {}
        value = values.volume_value(volume)
        for each in attachments.of_volume(context, volume.id):
            if each.connection_info and each.connector:
                connected = self._driver.connect_volume(value, each.connector)
                found[each.id] = self._described(context, volume, each, connected)
        return found

    def _settle(self, context, volume):
        """Find out what became of what nobody has reported, where that can be known now."""
        if assisted_snapshots.open_of_volume(context, volume.id) is not None:
            return
        is_used = assisted_snapshots.is_used(context, volume.id)
        for snapshot_id, left in assisted_snapshots.unsettled(context, volume.id).items():
            if is_used and not left.is_reported:
                continue
            try:
                if left.kind == words.CREATE:
                    self._settle_create(context, snapshot_id, volume, left)
                connections = self._connections(context, volume)
            except (exceptions.DriverError, OSError) as fault:
                LOG.warning('snapshot %s: it stays uncertain what the compute service did: %s',
                            snapshot_id, _said(fault))
                continue
            assisted_snapshots.settle(context, snapshot_id, volume.id, connections)
            LOG.info('snapshot %s: what the compute service did is certain again', snapshot_id)

    def _settle_create(self, context, snapshot_id, volume, left):
        value = values.snapshot_value(snapshots.get(context, snapshot_id), volume)
        if left.is_reported:
            self._driver.create_snapshot_assisted_complete(value, left.noted)
        else:
            self._driver.create_snapshot_assisted_abort(value, left.noted, capabilities.GONE)

    @staticmethod
    def _log(operation, how):
        if how.event in ('created', 'deleted'):
            LOG.info('snapshot %s of volume %s is %s with the compute service',
                     operation.snapshot_id, operation.volume_id, how.event)
            return
        LOG.error('snapshot %s of volume %s: %s, its %s was %s by the compute service. %s',
                  operation.snapshot_id, operation.volume_id, how.event, operation.kind,
                  operation.outcome, _advice(operation, how))


def _is_moot(context, operation, snapshot):
    """Whether nobody waits for the end any more: something else was asked, and the consumer is gone."""
    return (words.KINDS.get(snapshot.status) != operation.kind
            and not assisted_snapshots.is_used(context, operation.volume_id))


def _advice(operation, how):
    """What is safe and what an operator can do."""
    if not how.is_unsettled:
        return 'The volume is whole and nothing is left over; it may be tried again.'
    if operation.kind == words.DELETE:
        return ('The volume is whole and no file was removed; the server may still be merging. '
                'Look at the log of its compute host, and delete the snapshot again.')
    return ('The volume is whole: its new file is in force for whoever attaches it or boots from it '
            'next, and no file was removed. The server may still write to the old one: reboot it '
            'hard or detach the volume to be certain, and delete the snapshot.')


def _columns(found):
    return {'provider_location': found.location, 'progress': '100%'}


def _said(fault):
    return getattr(fault, 'message', None) or fault

