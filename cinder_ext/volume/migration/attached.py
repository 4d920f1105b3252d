"""The swap of an attached volume: asked of the compute service, followed, and never guessed.

The compute service moves the guest first and reports last, so the request is the point of no
return.  What has happened is read from the attachments of the shadow volume, which the compute
service makes and takes back in a fixed order, and from what it says that the server uses:

=============  ======================================================================================
attachment     what it means
=============  ======================================================================================
``none``       the request has not arrived, or was refused
``reserved``   it has arrived; the server's host has done nothing
``connected``  the host knows how to reach the destination; it may be mirroring
``attached``   the guest is at the destination: only forward
``removed``    it failed; the guest is at the source
=============  ======================================================================================
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import time

from oslo_log import log
from oslo_utils import timeutils

from cinder_ext import compute as computes
from cinder_ext import exceptions
from cinder_ext.db import attached_migrations, attachments, shadow_volumes, volume_migrations
from cinder_ext.states import migration as states
from cinder_ext.volume import engine
from cinder_ext.volume.migration import copies, outcome, preflight_attached, tasks

LOG = log.getLogger(__name__)

_REQUESTS = 3
"""How often an unanswered request is sent."""
_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.1, 2.0
"""Between two looks at a swap; the first ones follow closely."""

REQUEST, WAIT, FORWARD, BACK = 'request', 'wait', 'forward', 'back'

SILENT = '; the compute service does not tell how far that is'
UNCLEAR = ('the compute service has not reported for long: look at the server, and call '
           'os-migrate_volume_completion when the swap is over')


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a swap.

    :ivar progress: of the server with the shadow volume (shadow_volumes.NONE to REMOVED)
    :ivar requests: how often the swap was asked for
    :ivar refusal: what the compute service said when it refused the last request; else None
    :ivar is_used: whether the server uses the destination, by the word of the compute service;
        None when it did not say
    :ivar is_gone: whether there is no such server; None when it is not known
    :ivar is_stopped: whether no guest of it runs
    :ivar is_quiet: whether nothing has changed for as long as a report takes
    :ivar is_overdue: whether nothing has changed for as long as a swap may take
    """

    progress: str
    requests: int = 0
    refusal: str | None = None
    is_used: bool | None = None
    is_gone: bool | None = None
    is_stopped: bool = False
    is_quiet: bool = False
    is_overdue: bool = False


def decide(facts):
    """What to do about a swap: (REQUEST, WAIT, FORWARD or BACK, why).

    Back only where no guest can be at the destination, or get there.
    """
    if facts.progress == shadow_volumes.ATTACHED:
        if facts.is_used or facts.is_quiet:
            return FORWARD, 'the guest is at the destination, and nobody reports'
        return WAIT, ''
    if facts.progress == shadow_volumes.NONE and not facts.is_gone:
        return _unarrived(facts)
    reason = _reason_to_go_back(facts)
    if reason is not None:
        return BACK, reason
    return WAIT, UNCLEAR if facts.is_overdue else ''


def _reason_to_go_back(facts):
    """Why the guest of a server that has, or had, the destination is at the source for good."""
    reasons = (
        (facts.progress == shadow_volumes.REMOVED, 'the compute service took its attachment back'),
        (facts.is_gone and facts.is_quiet, 'the server was deleted'),
        (facts.is_overdue and facts.progress == shadow_volumes.RESERVED,
         'the host of the server did not begin'),
        (facts.is_overdue and facts.is_stopped, 'the server was stopped'))
    return next((reason for holds, reason in reasons if holds), None)


def _unarrived(facts):
    if facts.refusal is not None:
        return BACK, facts.refusal
    if facts.requests < _REQUESTS:
        return REQUEST, ''
    return (BACK, 'the compute service does not answer') if facts.is_quiet else (WAIT, '')


class SwapServer(tasks.MoveStep):
    """Have the server move its guest.  The commit comes with its report, or from here."""

    def do(self):
        work = self.work
        if outcome.is_committed(work):
            return
        if work.record().phase != states.SWAPPING and not self._has_begun():
            finish_detached(work)
            return
        with engine.parked_on_fault(f'migration {self.work.id}', exceptions.SwapFailed):
            Swap(self.work).follow()

    def _has_begun(self):
        """Give the destination the size of the live content, and the server something to ask for.

        :returns: False when the volume has been detached: nobody has to be asked
        """
        work = self.work
        head = work.links[-1]
        if self._is_detached():
            return False
        if len(work.links) > 1 and head.size_bytes > work.links[-2].size_bytes:
            work.destination.extend(head.destination_volume, head.size_bytes)
        try:
            attached_migrations.begin_swap(work.context, work.id, work.attempt)
        except exceptions.InvalidState as fault:
            if self._is_detached():
                return False
            raise exceptions.SwapFailed(reason=fault.message) from fault
        return True

    def _is_detached(self):
        return not attachments.of_volume(self.work.context, self.work.record().volume_id)

    def undo(self):
        disconnect(self.work)


def finish_detached(work):
    """Go on as with a volume that nobody uses: it was detached while its snapshots moved.

    It stays so: a volume that is being migrated cannot be attached.
    """
    LOG.info('migration %s: the volume has been detached meanwhile', work.id)
    work.take_head()
    if work.record().phase != states.COMMITTING:
        outcome.enter(work, 'copy', {'progress_note': None})
        copies.copy(work, work.links[-1].number, work.rows())
        work.target.close()
        work.progress.end_copy()
        if work.verify != 'off':
            tasks.VerifyChain('verify-chain', work).do()
    tasks.SwapRecords('swap-records', work).do()


class Swap:
    """One swap that is followed to its end.

    What counts the seconds is this process's own: after a restart a swap gets its time anew.
    """

    def __init__(self, work, clock=time.monotonic):
        self._work = work
        self._clock = clock
        record = work.record()
        self._server_id, self._volume_id = record.server_id, record.volume_id
        self._shadow_id = record.shadow_volume_id
        self._changed_at, self._seen = clock(), None
        self._refusal, self._pause = None, _SHORTEST_SECONDS
        self._percent, self._note, self._word = record.percent, record.progress_note, ''

    def follow(self):
        """Return when it is committed.

        :raises SwapFailed: the guest stays at the source
        :raises Parked: the service is stopping, or another process has taken over
        """
        while True:
            record = self._work.record()
            if record.phase in (*states.TIDY, states.FINISHED):
                return
            if record.phase != states.SWAPPING:
                raise exceptions.SwapFailed(reason=record.error or f'it is {record.phase}')
            if record.attempt != self._work.attempt:
                raise engine.Parked
            facts = self._facts(record)
            self._act(record, facts, *decide(facts))
            if self._work.tools.stopping.wait(self._pause):
                raise engine.Parked
            self._pause = min(self._pause * 1.5, _LONGEST_SECONDS)

    def _act(self, record, facts, decision, reason):
        if decision == REQUEST:
            self._request(record)
        elif decision == FORWARD:
            LOG.warning('migration %s goes forward: %s', self._work.id, reason)
            attached_migrations.commit(self._work.context, self._work.id)
            if facts.is_gone:
                self._let_go()
        elif decision == BACK:
            fault = exceptions.SwapFailed(reason=reason)
            attached_migrations.go_back(
                self._work.context, self._work.id, fault.message, fault.code, fault.remedy,
                even_connected=facts.progress not in (shadow_volumes.NONE, shadow_volumes.RESERVED))
        else:
            self._tell(reason or self._word)

    def _let_go(self):
        """The server was deleted after its guest had moved: nobody else takes its attachment away.

        The destination's service disconnects what is detaching.
        """
        for each in attachments.of_volume(self._work.context, self._volume_id):
            attachments.begin_detach(self._work.context, each.id)

    def _request(self, record):
        """Ask for the swap; noted before, so that whoever follows knows."""
        work = self._work
        known = record.compute or {}
        try:
            attached_migrations.note_request(work.context, work.id, work.attempt, {
                **known, 'requests': known.get('requests', 0) + 1})
            work.tools.compute.swap_volume(work.context, self._server_id, self._volume_id,
                                           self._shadow_id)
        except exceptions.RecordLost as fault:
            LOG.info('migration %s: the swap is not asked for: %s', work.id, fault.message)
        except exceptions.SwapRefused as fault:
            self._refusal = fault.facts['reason']
        except exceptions.ServiceUnavailable as fault:
            LOG.warning('migration %s: %s', work.id, fault.message)
        else:
            LOG.info('migration %s: server %s was asked to swap volume %s for %s', work.id,
                     self._server_id, self._volume_id, self._shadow_id)
        self._pause = _SHORTEST_SECONDS

    def _facts(self, record):
        work = self._work
        state, used, percent = self._ask()
        # Read last: what the compute service does it has done here before it says so.
        progress = shadow_volumes.progress(work.context, self._shadow_id)
        seen = (progress, record.compute, percent)
        if seen != self._seen:
            self._seen, self._changed_at = seen, self._clock()
        quiet = self._clock() - self._changed_at
        return Facts(progress, (record.compute or {}).get('requests', 0), self._refusal, used,
                     None if state is None else state is _GONE,
                     getattr(state, 'vm_state', None) in computes.STOPPED,
                     quiet > work.conf.migration.swap_report_timeout,
                     quiet > work.conf.migration.swap_timeout)

    def _ask(self):
        """(state of the server, whether it uses the destination, percent); None: not said."""
        work, tools = self._work, self._work.tools
        try:
            state = tools.compute.state_of(work.context, self._server_id)
            if state is None:
                return _GONE, None, None
            device = tools.compute.device_of(work.context, self._server_id, self._volume_id)
            by_shadow = tools.compute.device_of(work.context, self._server_id, self._shadow_id)
        except exceptions.ServiceUnavailable:
            return None, None, None
        news = {each.id for each in shadow_volumes.attachments(work.context, self._shadow_id)}
        used = by_shadow is not None or (device is not None and device.attachment_id in news)
        percent = device.swap_percent if device is not None else None
        self._show(percent)
        return state, used, percent

    def _show(self, percent):
        """Store how far the swap is, of the whole; nothing where nobody tells."""
        self._word = preflight_attached.NOTE + (SILENT if percent is None else '')
        if percent is None:
            return
        part = self._work.copied_part
        whole = max(self._percent or 0, min(99, int(100 * part + percent * (1 - part))))
        if whole != self._percent:
            self._percent = whole
            volume_migrations.update(self._work.context, self._work.id, {
                'percent': whole, 'progress_updated_at': timeutils.utcnow()})

    def _tell(self, note):
        if note and note != self._note:
            self._note = note
            volume_migrations.update(self._work.context, self._work.id, {'progress_note': note})


_GONE = object()
"""In place of the state of a server that does not exist."""


class ReleaseSource(tasks.TidyStep):
    """Disconnect the host of the server from the source, before that is removed."""

    def do(self):
        work = self.work
        record = work.record()
        if record.shadow_volume_id and record.progress_note != preflight_attached.NOTE:
            volume_migrations.update(work.context, work.id,
                                     {'progress_note': preflight_attached.NOTE})
        source = work.links[-1].source
        for each in self._users(record):
            if each.deleted_at is None and each.connector:
                with _tolerated(work, each):
                    work.source.driver.disconnect_volume(source, each.connector)
        shadow_volumes.discard(work.context, record)

    def _users(self, record):
        """Attachments whose hosts may be connected to the source.

        With the commit the server's old one became the shadow's; or it stayed the volume's, where
        the server had taken its new one back.
        """
        context = self.work.context
        return (*shadow_volumes.attachments(context, record.shadow_volume_id or ''),
                *(attachments.of_volume(context, record.volume_id) if record.shadow_volume_id else ()))


def disconnect(work):
    """Take the destination back from the host of a server that stays with the source.  Idempotent."""
    record = work.record()
    if record.shadow_volume_id is None:
        return
    for each in shadow_volumes.attachments(work.context, record.shadow_volume_id):
        if each.connector and each.connection_info:
            with _tolerated(work, each):
                work.destination.disconnect(work.links[-1].destination_volume, each.connector)


@contextlib.contextmanager
def _tolerated(work, attachment):
    """A backend that does not disconnect keeps nothing from being removed: that shows by itself."""
    try:
        yield
    except exceptions.DriverError as fault:
        LOG.warning('migration %s: the host of attachment %s is not disconnected: %s', work.id,
                    attachment.id, fault.message)


def swap_server(work):
    return SwapServer('swap-server', work)


def release_source(work):
    return ReleaseSource('release-source', work)
