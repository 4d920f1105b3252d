"""Finds attachments, exports and statuses that nobody stands behind any more; repairs on demand.

Looking changes nothing.  What is repaired is proven first, by what the compute service says of the
server right before, and compared with what was seen; each repair may be repeated.  An attachment
that a server uses is never removed.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools
import threading

from oslo_log import log
from oslo_utils import timeutils

from cinder_ext import compute as computes
from cinder_ext import context as request_context
from cinder_ext import exceptions, metrics, periodic
from cinder_ext.conf import attachments as conf_attachments
from cinder_ext.db import reconciliation
from cinder_ext.drivers import capabilities
from cinder_ext.states import attachment as states

LOG = log.getLogger(__name__)

SERVER_GONE = 'server-gone'
SERVER_HAS_ANOTHER = 'server-has-another'
SERVER_HAS_NOT = 'server-has-not'
ON_ITS_HOST = 'other-attachment-on-its-host'
OTHER_HOST = 'server-on-other-host'
RESERVED = 'reserved-too-long'
ATTACHING = 'attaching-too-long'
STATUS = 'status-differs'
CONNECTED = 'connected-without-attachment'
EXPORT = 'export-without-attachment'

MEANINGS = {
    SERVER_GONE: 'The server of the attachment does not exist.',
    SERVER_HAS_ANOTHER: 'The server has the volume by another attachment, and does not move.',
    SERVER_HAS_NOT: 'The server does not have the volume, and nothing is being done to it.',
    ON_ITS_HOST: 'The server has the volume by another attachment, but runs on the host of this one.',
    OTHER_HOST: 'The server uses the attachment, and runs on another host than was connected.',
    RESERVED: 'The attachment has had no connector for long.',
    ATTACHING: 'The attachment was connected long ago and never completed.',
    STATUS: "The volume's status does not follow from its attachments.",
    CONNECTED: 'A host was connected by os-initialize_connection; nobody has the available volume.',
    EXPORT: 'The backend shows something that no attachment and no migration needs.',
}
"""Kind -> what it says."""
PROVABLE = (SERVER_GONE, SERVER_HAS_ANOTHER, SERVER_HAS_NOT, STATUS, EXPORT)
"""Kinds that can be repaired; the others are for an operator to look at."""

_STABLE = ('active', 'paused', 'stopped', 'suspended', 'rescued')
"""States (``vm_state``) of a server without a task in which its attachments are what it has."""
_OFFLOADED = 'shelved_offloaded'
"""A server in this state has attachments without a host for as long as it likes."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was found.

    :ivar kind: of MEANINGS
    :ivar id: how it is named to be repaired: of the attachment, of the volume, or an export's name
    :ivar detail: what was seen
    """

    kind: str
    id: str
    detail: str
    volume_id: str | None = None
    server_id: str | None = None
    host: str | None = None

    @property
    def is_repairable(self):
        return self.kind in PROVABLE

    def as_document(self):
        return {**dataclasses.asdict(self), 'repairable': self.is_repairable,
                'meaning': MEANINGS[self.kind]}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the compute service says of a server and a volume.

    :ivar state: compute.State; None: there is no such server
    :ivar device: compute.Device; None: the server does not have the volume
    :ivar host: where the server runs; None when it was not asked
    :ivar silence: why nothing is known; empty when it answered
    """

    state: computes.State | None = None
    device: computes.Device | None = None
    host: str | None = None
    silence: str = ''


def judge(attachment, answer, age_seconds, options):
    """What is to be said of an attachment: a Finding, or None.

    :param attachment: models.Attachment
    :param answer: Answer; None for an attachment without a server
    :param age_seconds: since it was changed last
    :param options: settings with reserved_seconds and attaching_seconds
    """
    kind, detail = None, ''
    if answer is not None and not answer.silence:
        kind, detail = _verdict(attachment, answer)
        if kind is None and _is_in_order(answer):
            return None
    if kind is None:
        kind, detail = _overdue(attachment, age_seconds, options)
        if kind is not None and answer is not None and answer.silence:
            detail += f'; {answer.silence}'
    if kind is None:
        return None
    return Finding(kind, attachment.id, detail, attachment.volume_id, attachment.instance_id,
                   attachment.attached_host)


def _is_in_order(answer):
    """Whether the server needs no connected attachment, or is just being moved."""
    return answer.state is not None and (
        answer.state.vm_state == _OFFLOADED or answer.state.task_state is not None)


def _verdict(attachment, answer):
    """(kind, detail) of what the compute service's answer proves; (None, '') for nothing."""
    state, device = answer.state, answer.device
    if state is None:
        return SERVER_GONE, f'there is no server {attachment.instance_id}'
    if state.task_state is not None or state.vm_state not in _STABLE:
        return None, ''
    said = f'the server is {state.vm_state} on {answer.host}'
    is_here = bool(attachment.connector) and attachment.attached_host == answer.host
    if device is None:
        return SERVER_HAS_NOT, said
    if device.attachment_id == attachment.id:
        return (None, '') if is_here or attachment.attach_status != states.ATTACHED else (
            OTHER_HOST, said)
    # A guest whose move was given up may run with what the compute service has forgotten; and
    # without an id the compute service attached it before attachments were a resource.
    kind = ON_ITS_HOST if is_here or device.attachment_id is None else SERVER_HAS_ANOTHER
    return kind, f'{said} and has the volume by attachment {device.attachment_id}'


def _overdue(attachment, age_seconds, options):
    limits = {states.RESERVED: (RESERVED, options.reserved_seconds),
              states.ATTACHING: (ATTACHING, options.attaching_seconds)}
    kind, limit = limits.get(attachment.attach_status, (None, 0))
    if kind is None or age_seconds < limit:
        return None, ''
    return kind, f'for {int(age_seconds)} s'


class Reconciler:
    """Looks, and repairs what it is told to.

    :param conf: parsed options
    :param compute: compute.Compute
    :param drivers: backend's name -> driver; its exports are looked at where it can list them.  It
        need not be started.
    :param host: only volumes of ``host@backend``; None: all
    """

    def __init__(self, conf, compute, drivers, host=None):
        self._conf = conf
        self._compute = compute
        self._drivers = drivers
        self._host = host
        self._is_stopping = threading.Event()
        self.silent = {}

    def stop(self):
        """Ask about no further attachment."""
        self._is_stopping.set()

    @property
    def _options(self):
        return self._conf[conf_attachments.GROUP]

    def check(self, context):
        """Everything that is found; ``silent`` says afterwards which backends could not be asked.

        :returns: a list of Finding
        """
        self.silent = {}
        return [*self._attachments(context), *self._statuses(context), *self._noted(context),
                *self._exports(context)]

    def repair(self, context, finding):
        """Repair what was found, if it is so still.

        :returns: what was done
        :raises NotRepaired: it is not proven, or not so any more
        """
        if not finding.is_repairable:
            raise NotRepaired('it is not proven that nobody uses it: look at the server')
        if finding.kind == STATUS:
            done, what = reconciliation.settle(context, finding.volume_id), 'the status was set'
        elif finding.kind == EXPORT:
            done, what = self._withdraw(context, finding), 'the export was withdrawn'
        else:
            done, what = self._let_go(context, finding), 'the attachment is being removed'
        if not done:
            raise NotRepaired('it is not so any more')
        LOG.warning('repaired %s %s of volume %s: %s', finding.kind, finding.id, finding.volume_id,
                    what)
        return what

    def _attachments(self, context):
        asked = functools.cache(lambda server_id: self._server(context, server_id))
        for attachment in reconciliation.candidates(context, self._host):
            if self._is_stopping.is_set():
                return
            found = self._look(context, attachment, asked)
            if found is not None:
                yield found

    def _look(self, context, attachment, asked):
        age_seconds = _age_seconds(attachment)
        if age_seconds < self._options.settle_seconds:
            return None
        answer = self._answer(context, attachment, asked) if attachment.instance_id else None
        return judge(attachment, answer, age_seconds, self._options)

    def _server(self, context, server_id):
        """(state, host) of a server; (None, None): there is none."""
        state = self._compute.state_of(context, server_id)
        place = self._compute.place_of(context, server_id) if state is not None else None
        return state, (place or (None,))[0]

    def _answer(self, context, attachment, asked):
        if not self._compute.is_known:
            return Answer(silence='no compute service is configured')
        try:
            state, host = asked(attachment.instance_id)
            device = None if state is None else self._compute.device_of(
                context, attachment.instance_id, attachment.volume_id)
        except exceptions.ServiceUnavailable as fault:
            return Answer(silence=fault.message)
        return Answer(state, device, host)

    def _let_go(self, context, finding):
        """Ask again, and let the attachment go if the answer proves the same."""
        found = reconciliation.candidates(context, attachment_id=finding.id)
        again = [self._look(context, each, lambda server_id: self._server(context, server_id))
                 for each in found]
        if [each and each.kind for each in again] != [finding.kind]:
            return False
        return reconciliation.let_go(context, found[0])

    def _statuses(self, context):
        for volume, theirs in reconciliation.differing(context, self._host):
            if _age_seconds(volume) < self._limit(volume):
                continue
            of_what = ', '.join(sorted(each.attach_status for each in theirs)) or 'none'
            yield Finding(STATUS, volume.id, f'the volume is {volume.status} and '
                          f'{volume.attach_status}; its attachments: {of_what}', volume.id)

    def _limit(self, volume):
        if volume.status in reconciliation.PASSING:
            return max(self._options.settle_seconds, self._options.attaching_seconds)
        return self._options.settle_seconds

    def _noted(self, context):
        found = reconciliation.noted_hosts(context, self._host, self._options.settle_seconds)
        for volume_id, hosts in found.items():
            for host in hosts:
                yield Finding(CONNECTED, f'{volume_id}/{host}', 'call os-terminate_connection with '
                              "the host's connector", volume_id, host=host)

    def _exports(self, context):
        for name, driver in self._drivers.items():
            if not capabilities.has(driver, capabilities.Exports):
                continue
            try:
                # Before the database is asked: what was shown for somebody has its record by then.
                found = driver.list_exports()
            except exceptions.DriverError as fault:
                self.silent[name] = fault.message
                continue
            unused = reconciliation.unused_names(context, [each.name_id for each in found])
            for export in found:
                if export.name_id in unused:
                    yield Finding(EXPORT, _name(name, export),
                                  f'{export.kind} {export.name_id}', host=export.host)

    def _withdraw(self, context, finding):
        for name, driver in self._drivers.items():
            if not capabilities.has(driver, capabilities.Exports):
                continue
            for export in driver.list_exports():
                if _name(name, export) == finding.id:
                    return reconciliation.while_unused(
                        context, export.name_id, functools.partial(driver.withdraw_export, export))
        return False


class NotRepaired(Exception):
    """What was found is left as it is; the message says why."""


def _name(backend, export):
    return f'{backend}/{export.kind}-{export.name_id}' + (f'/{export.host}' if export.host else '')


def _age_seconds(row):
    return (timeutils.utcnow() - (row.updated_at or row.created_at)).total_seconds()


class Reporter:
    """Looks for what nobody uses again and again, and tells: log and figures.

    :param conf: options
    :param host: ``host@backend``
    :param driver: of the backend, started
    """

    def __init__(self, conf, host, driver):
        self._conf = conf
        self._host = host
        self._reconciler = Reconciler(conf, computes.Compute(conf),
                                      {host.partition('@')[2]: driver}, host)
        self._has_settled = False
        self._job = periodic.Periodic(self._interval_seconds(), self.look, f'reconciler-{host}')

    def start(self):
        """Begin; the first look comes after one interval, when everything has settled."""
        self._job.start()

    def stop(self):
        """Look no more; a look that waits for the compute service is not waited for long."""
        self._reconciler.stop()
        self._job.stop(_STOP_SECONDS)

    def reload(self):
        """Take over a changed interval."""
        self._job.interval_seconds = self._interval_seconds()

    def _interval_seconds(self):
        return self._conf[conf_attachments.GROUP].check_interval or _OFF_SECONDS

    def look(self):
        """One look; the periodic job's."""
        self.reload()
        if not self._has_settled or not self._conf[conf_attachments.GROUP].check_interval:
            self._has_settled = True
            return
        self.report(self._reconciler.check(request_context.admin_context()))

    def report(self, findings):
        """Log what was found, and count it by kind."""
        for kind in MEANINGS:
            metrics.ATTACHMENT_FINDINGS.labels(self._host, kind).set(
                sum(each.kind == kind for each in findings))
        for each in findings:
            LOG.warning('%s %s: %s (volume %s, server %s, host %s): %s', each.kind, each.id,
                        MEANINGS[each.kind], each.volume_id, each.server_id, each.host, each.detail)
        for backend, reason in self._reconciler.silent.items():
            LOG.warning('the exports of backend %s cannot be looked at: %s', backend, reason)
        LOG.info('attachments of %s: %d findings', self._host, len(findings))


_STOP_SECONDS = 2
_OFF_SECONDS = 3600
"""Pause of a job that is switched off: it may be switched on again."""
