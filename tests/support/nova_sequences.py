"""What Nova asks of the block storage service when servers and volumes move: sequences, as data.

Facts, from ``nova/compute/manager.py``, ``nova/virt/block_device.py``, ``nova/volume/cinder.py`` and
``nova/compute/api.py``.  Nova keeps one attachment id per server and volume in its block device
mapping; here that is ``current``.

cold migration, resize
    The source host powers the guest off, makes an attachment without a connector, deletes the one
    that the mapping names (with which the source's export goes) and only then notes the new one.
    The destination gives that its connector, reads it, starts the guest, completes it.  Confirming
    asks nothing.  Reverting is the same from the destination to the source.
    An error anywhere leaves the server in ``error`` at the host that was noted last; nothing is undone.
lazy migration
    The source's attachment is kept: the destination has one of its own, connected and completed.
    Confirming deletes the source's, reverting the destination's.  An error before the end deletes
    the destination's.
migration to another cell
    First an attachment without a connector for the destination, whose mapping is another one; then the
    source makes one more and deletes its own, as above.  The destination connects and
    completes its one.  Confirming deletes the source's, which has no connector; reverting deletes
    the destination's, and the source connects and completes its own again.
live migration
    The destination makes an attachment with its connector at once, notes it, reads it, completes it.
    After the guest has moved the source deletes its own; an error there is logged and no more.
    Rolling back deletes the destination's and notes the source's again.
evacuation
    On the destination, with the source dead: an attachment without a connector, the old one deleted,
    the new one connected and completed there.  An error leaves all as it is; it can be asked for again.
shelving
    As the source's half of a cold migration; the volume is reserved for a server that is nowhere.
    Unshelving connects and completes on some host.  When only the completing fails the attachment is
    deleted, while the mapping goes on naming it.
attaching
    The volume is read and reserved by the API; the host connects, attaches to the guest, completes;
    an error deletes the attachment.  Booting from a volume asks the same.
detaching
    ``os-begin_detaching`` by the API; the host detaches and deletes the attachment.  Only a guest that
    refuses leads to ``os-roll_detaching``: after an error of the deletion the volume stays
    ``detaching``, and an administrator resets its status.
swapping
    The API reads both volumes, says ``os-begin_detaching`` of the old one, reserves the new one;
    the host connects it, copies, completes it, deletes the old one's.  An error: ``os-roll_detaching``
    and the new one's attachment is deleted.
hard reboot
    The attachment of each mapping is read; a mapping whose attachment is gone is removed.  Then the
    server's attachments are listed, and those that no mapping names are deleted (since 2023.2).
deleting a server
    Its attachments are deleted; an error is logged and no more.
refresh (``nova-manage volume_attachment refresh``)
    Of a stopped server: an attachment without a connector, the old one deleted, the new one connected
    and completed.

A deletion that is answered by 404 is a success to Nova; one that is answered by 500 is repeated.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import itertools

ASKS = frozenset({'look', 'reserve', 'connect', 'update', 'show', 'complete', 'delete', 'list',
                  'begin-detaching'})
"""Steps that are calls; the others happen within Nova."""
READS = frozenset({'look', 'show', 'list'})
OF_THE_BACKEND = frozenset({'connect', 'update', 'delete'})
"""Calls for which the backend does something."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """Steps, each a tuple that begins with its word, and what Nova does when one of them fails."""

    steps: tuple = ()
    rescue: tuple = ()

    @property
    def calls(self):
        return [step[0] for step in self.steps if step[0] in ASKS]


@dataclasses.dataclass(frozen=True)
class Sequence:
    """:ivar ends: 'confirm' and perhaps 'revert' -> (last stage, role of the host where the server
        then has the volume; None: nowhere)
    :ivar begins_attached: whether the server has the volume on the source when it begins
    :ivar shared: whether it is played with multiattach volumes too
    """

    name: str
    stages: tuple
    ends: dict
    begins_attached: bool = True
    shared: bool = True

    @property
    def common(self):
        """Number of calls before the ways part."""
        return sum(len(stage.calls) for stage in self.stages)

    def calls(self, end):
        """Words of all calls up to an end, in order."""
        return [word for stage in (*self.stages, self.ends[end][0]) for word in stage.calls]


_LEAVE = (('reserve', 'next'), ('delete', 'current'), ('adopt',))


def _arrive(role, name='current'):
    return (('update', name, role), ('show', name), ('complete', name))


def _moved(role):
    return (*_LEAVE, ('host', role), *_arrive(role))


NOTHING = Stage()
REFRESH = Stage((*_LEAVE, *_arrive('source')))
ATTACH = Stage((('look', 'data'), ('reserve', 'current'), *_arrive('source')),
               (('drop', 'current'), ('forget',)))
DETACH = Stage((('begin-detaching', 'data'), ('delete', 'current'), ('forget',)))
REBOOT = Stage((('show', 'current'), ('list',)))

COLD = Sequence('cold-migration', (Stage(_moved('destination')),), {
    'confirm': (NOTHING, 'destination'), 'revert': (Stage(_moved('source')), 'source')})
LAZY = Sequence('lazy-migration', (Stage(
    (('reserve', 'next'), *_arrive('destination', 'next'), ('adopt',), ('host', 'destination')),
    (('drop', 'next'),)),), {
        'confirm': (Stage((('delete', 'previous'),)), 'destination'),
        'revert': (Stage((('delete', 'current'), ('restore',), ('host', 'source'),
                          ('show', 'current'))), 'source')})
CELL = Sequence('cross-cell-migration', (
    Stage((('reserve', 'target'), *_LEAVE), (('drop', 'target'),)),
    Stage((('update', 'target', 'destination'), ('complete', 'target'), ('adopt', 'target'),
           ('host', 'destination')), (('drop', 'target'),))), {
        'confirm': (Stage((('delete', 'previous'),)), 'destination'),
        'revert': (Stage((('delete', 'current'), ('restore',), ('host', 'source'),
                          *_arrive('source'))), 'source')})
LIVE = Sequence('live-migration', (Stage(
    (('connect', 'next', 'destination'), ('adopt',), ('show', 'current'), ('complete', 'current')),
    (('roll-back',),)),), {
        'confirm': (Stage((('host', 'destination'), ('delete', 'previous'))), 'destination'),
        'revert': (Stage((('delete', 'current'), ('restore',))), 'source')})
EVACUATE = Sequence('evacuation', (Stage((*_LEAVE, *_arrive('destination'),
                                          ('host', 'destination'))),), {
    'confirm': (NOTHING, 'destination')})


def _unshelve(role):
    return Stage((('update', 'current', role), ('complete', 'current'), ('host', role)),
                 (('drop-when', 'complete', 'current'),))


SHELVE = Sequence('shelving', (Stage((*_LEAVE, ('host', None))),), {
    'confirm': (_unshelve('destination'), 'destination'), 'revert': (_unshelve('source'), 'source')})
ATTACHING = Sequence('attaching', (ATTACH,), {
    'confirm': (NOTHING, 'source'), 'revert': (DETACH, None)}, begins_attached=False)
BOOTING = Sequence('booting-from-volume', (ATTACH,), {
    'confirm': (NOTHING, 'source'), 'revert': (Stage((('delete', 'current'), ('forget',))), None)},
    begins_attached=False, shared=False)
DETACHING = Sequence('detaching', (DETACH,), {
    'confirm': (NOTHING, None), 'revert': (ATTACH, 'source')})
REBOOTING = Sequence('hard-reboot', (REBOOT,), {'confirm': (NOTHING, 'source')})
DELETING = Sequence('server-delete', (Stage((('delete', 'current'), ('forget',))),), {
    'confirm': (NOTHING, None)})
SWAP = Sequence('swap', (Stage(
    (('look', 'data'), ('look', 'spare'), ('begin-detaching', 'data'), ('reserve', 'next', 'spare'),
     ('update', 'next', 'source'), ('complete', 'next'), ('delete', 'current'), ('adopt',),
     ('exchange',)),
    (('roll-detaching', 'data'), ('drop', 'next'))),), {
        'confirm': (NOTHING, 'source')}, shared=False)

SEQUENCES = (COLD, LAZY, CELL, LIVE, EVACUATE, SHELVE, ATTACHING, BOOTING, DETACHING, REBOOTING,
             DELETING, SWAP)

NEVER, LOST, TWICE, KILLED, CUT, REFUSED = 'never', 'lost', 'twice', 'killed', 'cut', 'refused'
KINDS = (NEVER, LOST, TWICE, KILLED, CUT, REFUSED)
"""What happens to a call: it is never made; its answer is lost; it is made twice, as its first
answer was lost; the service is killed right after the answer; it is killed while it works; the
backend's directory is away."""

ALONE, BESIDE_SOURCE, BESIDE_DESTINATION, ELSEWHERE = ('alone', 'beside-source',
                                                       'beside-destination', 'elsewhere')
COMPANIES = (BESIDE_SOURCE, BESIDE_DESTINATION, ELSEWHERE)
"""Where another server has the same multiattach volume."""


@dataclasses.dataclass(frozen=True)
class Case:
    """:ivar point: number of the call that fails, from 0; None: none does
    :ivar same_host: whether source and destination are one host
    """

    sequence: Sequence
    end: str
    company: str = ALONE
    point: int | None = None
    kind: str | None = None
    same_host: bool = False

    @property
    def id(self):
        where = 'one-host' if self.same_host else self.company
        words = [self.sequence.name, where, self.end]
        if self.point is not None:
            words += [f'{self.point:02}', self.call, self.kind]
        return '-'.join(words)

    @property
    def call(self):
        """The word of the call that fails."""
        return self.sequence.calls(self.end)[self.point]


def cases(kinds=KINDS):
    """Every sequence with every company and end, whole and with every failure at every call."""
    for sequence, company, end, same_host in _settings():
        yield Case(sequence, end, company, same_host=same_host)
        for point, call in enumerate(sequence.calls(end)):
            for kind in kinds:
                if kind != REFUSED or call in OF_THE_BACKEND:
                    yield Case(sequence, end, company, point, kind, same_host)


def _settings():
    for sequence in SEQUENCES:
        companies = (ALONE, *COMPANIES) if sequence.shared else (ALONE,)
        for company, end in itertools.product(companies, sequence.ends):
            yield sequence, company, end, False
    for end in COLD.ends:
        yield COLD, ALONE, end, True


DEATHS = ((COLD, 1, CUT), (COLD, 2, KILLED), (LIVE, 0, CUT))
"""(sequence, point, kind) of those deaths of the service that every run has."""


def few_cases():
    """Those for every run: at each call its answer is lost, and in turn one other thing happens.

    Where another server has the volume goes in turn too.
    """
    companies = itertools.cycle(COMPANIES)
    of_the_backend, others = itertools.cycle((REFUSED, NEVER, TWICE)), itertools.cycle((TWICE, NEVER))
    for sequence in SEQUENCES:
        for end in sequence.ends:
            yield Case(sequence, end)
            calls = sequence.calls(end)
            points = range(0 if end == 'confirm' else sequence.common, len(calls))
            for point in points:
                kinds = of_the_backend if calls[point] in OF_THE_BACKEND else others
                yield Case(sequence, end, point=point, kind=LOST)
                if calls[point] not in READS:
                    yield Case(sequence, end, point=point, kind=next(kinds))
            if sequence.shared:
                company = next(companies)
                yield Case(sequence, end, company)
                if points:
                    yield Case(sequence, end, company, points[-1], LOST)
    for end in COLD.ends:
        yield Case(COLD, end, same_host=True)
    for sequence, point, kind in DEATHS:
        yield Case(sequence, 'confirm', point=point, kind=kind)
