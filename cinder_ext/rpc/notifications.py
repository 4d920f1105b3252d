"""Notifications: what has happened, told to whoever listens, under Cinder's names.

They follow from the committed changes of statuses, so none is told of a
change that did not happen, and no journey has to think of them.  Nothing is
read or sent unless ``[oslo_messaging_notifications] driver`` is set.  Sending
never holds up or fails what it tells of: a thread of its own reads the row
and sends; what cannot be sent within the transport's retries is logged and
lost, as with every notification.

Source of names and fields: Cinder's published list of notifications, which has
``volume.retype`` and nothing of a migration's way: ``volume.migrate.*`` is ours.
"""
# SPDX-License-Identifier: Apache-2.0

import queue
import threading

import oslo_messaging
from oslo_db import exception as oslo_db_exception
from oslo_log import log as logging

from cinder_ext import exceptions
from cinder_ext.db import away, notices, transition
from cinder_ext.rpc import hosts
from cinder_ext.rpc import transport as rpc_transport
from cinder_ext.states import replication

LOG = logging.getLogger(__name__)

LIMIT = 10000
"""Notifications that may wait; what comes beyond them is lost, and said so."""

_STARTS_AND_ENDS = {
    'volume': {
        'insert': 'create.start', 'created': 'create.end', 'create-failed': 'create.error',
        'delete': 'delete.start', 'deleted': 'delete.end', 'delete-failed': 'delete.error',
        'insert-managing': 'manage_existing.start', 'managed': 'manage_existing.end',
        'manage-failed': 'manage_existing.error', 'adopted': 'import_replica.end',
        'unmanage': 'unmanage.start',
        'unmanaged': 'unmanage.end', 'unmanage-failed': 'unmanage.error',
        'extend': 'resize.start', 'extend-attached': 'resize.start',
        'extended': 'resize.end', 'extended-attached': 'resize.end',
        'extend-failed': 'resize.error', 'revert': 'revert.start', 'reverted': 'revert.end',
        'revert-failed': 'revert.error', 'update': 'update.end',
        'offer': 'transfer.create.end', 'withdraw': 'transfer.delete.end',
        'accept': 'transfer.accept.end',
        'replicate': 'replication.enable.start', 'replicated': 'replication.enable.end',
        'fail-over': 'replication.failover.start', 'failed-over': 'replication.failover.end',
        'failed-back': 'replication.failback.end',
        'failover-failed': 'replication.failover.error', 'broken': 'replication.error',
        'replicate-no-more': 'replication.disable.start',
        'not-replicated': 'replication.disable.end'},
    'snapshot': {
        'insert': 'create.start', 'created': 'create.end', 'create-failed': 'create.error',
        'delete': 'delete.start', 'deleted': 'delete.end', 'delete-failed': 'delete.error',
        'unmanage': 'unmanage.start', 'unmanaged': 'unmanage.end',
        'unmanage-failed': 'unmanage.error', 'update': 'update.end'},
    'attachment': {
        'connect': 'attach.start', 'complete': 'attach.end', 'connect-failed': 'attach.error',
        'detach': 'detach.start', 'deleted': 'detach.end', 'detach-failed': 'detach.error'},
    'migration': {
        'insert': 'migrate.start', 'pause': 'migrate.pause', 'resume': 'migrate.resume',
        'resume-unplanned': 'migrate.resume', 'swap': 'migrate.swap',
        'committed': 'migrate.commit', 'leave': 'migrate.leftovers',
        'finish': 'migrate.end', 'acknowledge': 'migrate.end', 'retype-in-place': 'migrate.end',
        'cancel': 'migrate.cancel.start', 'yield': 'migrate.cancel.start',
        'cancelled': 'migrate.cancel.end',
        'cancel-unplaced': 'migrate.cancel.end',
        'fail': 'migrate.error', 'refuse': 'migrate.error'},
    'group': {
        'insert': 'create.start', 'created': 'create.end', 'create-failed': 'create.error',
        'delete': 'delete.start', 'deleted': 'delete.end', 'delete-failed': 'delete.error',
        'update': 'update.start', 'updated': 'update.end', 'update-failed': 'update.error'},
    'group_snapshot': {
        'insert': 'create.start', 'created': 'create.end', 'create-failed': 'create.error',
        'delete': 'delete.start', 'deleted': 'delete.end', 'delete-failed': 'delete.error'},
    'replication': {
        'insert': 'enable.start', 'enabled': 'enable.end', 'insert-failed-over': 'import.end',
        'insert-error': 'import.error', 'pause': 'pause', 'resume': 'resume',
        'fail-over': 'failover.start', 'failed-over': 'failover.end',
        'failed-back': 'failback.end', 'failover-failed': 'failover.error', 'break': 'broken.error',
        'mend': 'mend.end', 'mend-failed-over': 'mend.end', 'disable': 'disable.start',
        'disabled': 'disable.end', 'condition': 'condition', 'breached': 'objective.error',
        'healed': 'objective.end'},
    'replication_operation': {
        'insert': 'create', 'run': 'start', 'succeed': 'end', 'end-partly': 'error',
        'fail': 'error'},
    'replication_operation_member': {
        'member-done': 'end', 'member-skipped': 'end', 'member-failed': 'error'},
}
_PREFIX = {'attachment': 'volume', 'migration': 'volume',
           'replication_operation_member': 'replication_operation.member'}
"""Kinds whose notifications bear another name; most of them the volume's."""
_STATUS = {'volume': 'status', 'snapshot': 'status', 'group': 'status', 'group_snapshot': 'status',
           'migration': 'phase', 'replication': 'state', 'replication_operation': 'state',
           'replication_operation_member': 'result'}
"""Which fact of a notification is the status that changed; an attachment's is its volume's."""
_REPLICATION = frozenset(row.event for row in replication.VOLUME)
"""Events of a volume that are about its replication_status."""
_FURTHER = {('migration', 'committed'): 'volume.retype',
            ('migration', 'retype-in-place'): 'volume.retype'}
"""Told of a retype, besides."""


def _status(kind, event):
    is_replication = kind == 'volume' and event in _REPLICATION
    return 'replication_status' if is_replication else _STATUS[kind]


def event_types(kind, event, operation=None):
    """Names of the notifications of one change; none for what is not told."""
    suffix = _STARTS_AND_ENDS.get(kind, {}).get(event)
    found = [f'{_PREFIX.get(kind, kind)}.{suffix}'] if suffix else []
    if operation == 'retype' and (kind, event) in _FURTHER:
        found.append(_FURTHER[kind, event])
    return found


class Notifications:
    """Watches the changes of this process and tells of them.

    :param conf: options
    :param transport: a notification transport; by default the one that the options name
    """

    def __init__(self, conf, transport=None):
        self._conf = conf
        self._transport = transport
        self._waiting = queue.Queue(LIMIT)
        self._thread = None
        self._unwatch = None

    def start(self):
        """Begin; does nothing when no driver of notifications is configured."""
        transport = self._transport or rpc_transport.open_for_notifications(self._conf)
        if not self._conf.oslo_messaging_notifications.driver:
            return
        self._notifier = oslo_messaging.Notifier(transport, publisher_id='cinder_ext')
        self._thread = threading.Thread(target=self._work, name='notifications', daemon=True)
        self._thread.start()
        self._unwatch = transition.watch(self._take)

    def stop(self):
        """End; what waits is sent first.  Idempotent."""
        if self._unwatch is None:
            return
        self._unwatch()
        self._unwatch = None
        self._waiting.put(None)
        self._thread.join()

    def reload(self):
        """Nothing is kept that could change."""

    def _take(self, *change):
        try:
            self._waiting.put_nowait(change)
        except queue.Full:
            LOG.error('%d notifications wait: %s is not told', LIMIT, change[1:])

    def _work(self):
        while (change := self._waiting.get()) is not None:
            try:
                self._tell(*change)
            except (oslo_messaging.MessagingException, exceptions.CinderExtError,
                    oslo_db_exception.DBError, *away.FAULTS) as fault:
                LOG.error('%s %s: %s is not told: %s', *change[1:4], away.describe(fault))

    def _tell(self, context, kind, entity_id, event, state, facts):
        if facts is not None:
            self._send(context, kind, [f'{kind}.{event}'], facts)
        elif kind in _STARTS_AND_ENDS:
            self._tell_of_row(context, kind, entity_id, event, state)

    def _tell_of_row(self, context, kind, entity_id, event, state):
        if event not in _STARTS_AND_ENDS[kind]:
            return
        facts = notices.payload(context.elevated(), kind, entity_id)
        if facts is None:
            return
        if state is not None and kind in _STATUS:
            # The row may have moved on since.
            facts[_status(kind, event)] = state
        self._send(context, kind, event_types(kind, event, facts.get('operation')), facts)

    def _send(self, context, kind, names, facts):
        notifier = self._notifier.prepare(
            publisher_id=f'{_PREFIX.get(kind, kind)}.{self._host(facts)}')
        for name in names:
            tell = notifier.error if name.endswith('.error') else notifier.info
            tell({**context.to_dict(), 'auth_token': None}, name, facts)

    def _host(self, facts):
        return hosts.backend_of(facts['host']) if facts.get('host') else self._conf.host
