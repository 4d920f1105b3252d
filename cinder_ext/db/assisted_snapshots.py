"""Operations on snapshots in which the compute service takes part: their records.

They are kept in the snapshot's admin metadata, in the words of ``states/assisted.py``.  Every
function that writes locks the volume's row first: one operation of a volume is open at a time, and
a report, a deadline and a second worker do not cross.  What comes second finds what was decided.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import datetime

import sqlalchemy as sa
from oslo_utils import timeutils, uuidutils

from cinder_ext import exceptions
from cinder_ext.db import messages, models, session, snapshots, transition, volumes
from cinder_ext.states import assisted as words
from cinder_ext.states import attachment as attachment_states
from cinder_ext.states import snapshot as states

_Noted = models.SnapshotAdminMetadata
_Snapshot = models.Snapshot
_MOVING = (attachment_states.ATTACHING, attachment_states.DETACHING)


@dataclasses.dataclass(frozen=True)
class Operation:
    """An open operation.

    :ivar number: tells it from a later one on the same snapshot
    :ivar deadline: naive UTC
    :ivar outcome: None until it is decided
    :ivar noted: what the driver's last step noted
    """

    snapshot_id: str
    volume_id: str
    kind: str
    stage: str
    number: str
    deadline: datetime.datetime
    outcome: str | None
    noted: dict

    @property
    def is_overdue(self):
        return timeutils.utcnow() >= self.deadline


@dataclasses.dataclass(frozen=True)
class End:
    """How an operation ends; all of it is stored in one transaction.

    :ivar event: of the snapshot's status: created, create-failed, deleted or delete-failed
    :ivar columns: of the snapshot
    :ivar noted: the driver's, kept from now on
    :ivar connections: attachment id -> its new connection_info
    :ivar is_unsettled: nobody knows what the consumer did
    :ivar message: (action, detail) of the user message
    """

    event: str
    columns: dict = dataclasses.field(default_factory=dict)
    noted: dict = dataclasses.field(default_factory=dict)
    connections: dict = dataclasses.field(default_factory=dict)
    is_unsettled: bool = False
    message: tuple | None = None


@session.reader
def noted(context, snapshot_id):
    """All admin metadata of a snapshot as a dictionary."""
    return dict(context.session.execute(
        sa.select(_Noted.key, _Noted.value).where(_Noted.snapshot_id == snapshot_id)).all())


@session.reader
def volume_of(context, snapshot_id):
    """The id of a snapshot's volume; None when there never was such a snapshot."""
    return context.session.execute(
        sa.select(_Snapshot.volume_id).where(_Snapshot.id == snapshot_id)).scalar()


@session.reader
def find(context, snapshot_id):
    """The open operation of a snapshot: Operation, or None."""
    return _operation(snapshot_id, volume_of(context, snapshot_id), noted(context, snapshot_id))


def _operation(snapshot_id, volume_id, facts):
    if words.STAGE not in facts:
        return None
    return Operation(
        snapshot_id=snapshot_id, volume_id=volume_id, kind=facts[words.KIND],
        stage=facts[words.STAGE], number=facts[words.NUMBER],
        deadline=datetime.datetime.fromisoformat(facts[words.DEADLINE]),
        outcome=facts.get(words.OUTCOME), noted=_of_driver(facts))


def _of_driver(facts):
    return {key: value for key, value in facts.items()
            if key != words.REPORT and not key.startswith(words.PREFIX)}


@session.reader
def open_of_volume(context, volume_id):
    """The open operation of a volume: Operation, or None."""
    for snapshot_id in _with_key(context, words.STAGE, _Snapshot.volume_id == volume_id):
        return find(context, snapshot_id)
    return None


@dataclasses.dataclass(frozen=True)
class Unsettled:
    """What is left of an operation that ended without anybody knowing what the consumer did.

    :ivar is_reported: a report has come since: it did its part
    """

    kind: str
    is_reported: bool
    noted: dict


@session.reader
def unsettled(context, volume_id):
    """snapshot id -> Unsettled, of a volume, oldest first."""
    found = {}
    for snapshot_id in _with_key(context, words.UNSETTLED, _Snapshot.volume_id == volume_id):
        facts = noted(context, snapshot_id)
        found[snapshot_id] = Unsettled(facts[words.UNSETTLED], words.LATE in facts,
                                       _of_driver(facts))
    return found


def _with_key(context, key, *where):
    """Ids of the snapshots that have a key, oldest first."""
    return list(context.session.execute(
        sa.select(_Snapshot.id).join(_Noted, _Noted.snapshot_id == _Snapshot.id)
        .where(_Noted.key == key, _Snapshot.deleted_at.is_(None), *where)
        .order_by(_Snapshot.created_at, _Snapshot.id)).scalars())


@session.reader
def unfinished(context, host):
    """(snapshot id, volume id) of a backend's operations that are open or unsettled.

    :param host: ``host@backend``
    """
    rows = context.session.execute(
        sa.select(_Snapshot.id, _Snapshot.volume_id, models.Volume.host).distinct()
        .join(_Noted, _Noted.snapshot_id == _Snapshot.id)
        .join(models.Volume, models.Volume.id == _Snapshot.volume_id)
        .where(_Noted.key.in_((words.STAGE, words.UNSETTLED)), _Snapshot.deleted_at.is_(None),
               models.Volume.host.startswith(host + '#', autoescape=True)))
    # LIKE does not tell cases apart.
    return sorted((row.id, row.volume_id) for row in rows if row.host.partition('#')[0] == host)


@session.reader
def waiting(context, volume_id):
    """(id, status) of a volume's snapshots that are to be made or removed and not begun.

    In the order in which that was asked for.
    """
    begun = sa.exists().where(_Noted.snapshot_id == _Snapshot.id, _Noted.key == words.STAGE)
    return [tuple(row) for row in context.session.execute(
        sa.select(_Snapshot.id, _Snapshot.status)
        .where(_Snapshot.volume_id == volume_id, _is_to_do(), ~begun)
        .order_by(sa.func.coalesce(_Snapshot.updated_at, _Snapshot.created_at),
                  _Snapshot.created_at))]


def _is_to_do():
    return sa.and_(_Snapshot.deleted_at.is_(None), sa.or_(
        _Snapshot.status == states.DELETING,
        sa.and_(_Snapshot.status == states.CREATING, _Snapshot.request.is_(sa.null()))))


@session.reader
def is_used(context, volume_id):
    """Whether a consumer has, or may have, the volume open."""
    return any(info for _status, info in _consumers(context, volume_id))


def _is_moving(context, volume_id):
    """Whether a consumer is coming, and has perhaps been told which file to open, or going."""
    return any(status in _MOVING for status, _info in _consumers(context, volume_id))


def _consumers(context, volume_id):
    """(attach_status, connection_info) of a volume's attachments."""
    table = models.Attachment
    return context.session.execute(
        sa.select(table.attach_status, table.connection_info)
        .where(table.volume_id == volume_id, table.deleted_at.is_(None))).all()


PLAIN = 'plain'
"""Nobody uses the volume: the driver does it alone."""
LATER = 'later'
"""Another operation of the volume comes first, or its consumer is coming or going."""


@session.writer
def claim(context, snapshot_id, status, seconds):
    """Begin an operation, or say how the work is to be done.

    :param status: of the snapshot; CREATING or DELETING
    :param seconds: until it is given up
    :returns: Operation, a new one or that which is open; or PLAIN or LATER
    """
    row = snapshots.get(context, snapshot_id)
    volumes.lock(context, row.volume_id)
    found = find(context, snapshot_id)
    if found is not None:
        return found
    if not _is_next(context, row, status):
        return LATER
    if not is_used(context, row.volume_id):
        return PLAIN
    if _is_moving(context, row.volume_id):
        return LATER
    note(context, snapshot_id, {
        words.KIND: words.KINDS[status], words.STAGE: words.BEGUN,
        words.NUMBER: uuidutils.generate_uuid(), words.DEADLINE: _in(seconds)})
    return find(context, snapshot_id)


def _is_next(context, row, status):
    """Whether a snapshot's turn has come: none is begun, and an older one is not still to be made."""
    todo = dict(waiting(context, row.volume_id))
    if todo.get(row.id) != status or open_of_volume(context, row.volume_id) is not None:
        return False
    if status == states.DELETING:
        return True
    older = context.session.execute(
        sa.select(_Snapshot.id)
        .where(_Snapshot.volume_id == row.volume_id, _is_to_do(),
               _Snapshot.status == states.CREATING,
               sa.or_(_Snapshot.created_at < row.created_at,
                      sa.and_(_Snapshot.created_at == row.created_at, _Snapshot.id < row.id)))
        .limit(1)).first()
    return older is None


@session.writer
def prepared(context, operation, driver_noted, connections):
    """Keep what the driver noted when it made things ready.

    :param connections: attachment id -> its connection_info as it is now
    :returns: Operation as it is now; None when it is over
    """
    if _held(context, operation) is None:
        return None
    _store_connections(context, connections)
    _replace_noted(context, operation.snapshot_id, driver_noted)
    return find(context, operation.snapshot_id)


@session.writer
def asking(context, operation, seconds):
    """The compute service is asked next; the deadline counts from now.

    :returns: Operation as it is now; None: it must not be asked (again)
    """
    found = _held(context, operation)
    if (found is None or found.stage != words.BEGUN or found.outcome is not None
            or not is_used(context, operation.volume_id)
            or _is_moving(context, operation.volume_id)):
        return None
    note(context, operation.snapshot_id, {words.STAGE: words.ASKING, words.DEADLINE: _in(seconds)})
    return find(context, operation.snapshot_id)


@session.writer
def asked(context, operation):
    """The compute service has answered that it does it."""
    found = _held(context, operation)
    if found is not None and found.stage == words.ASKING:
        note(context, operation.snapshot_id, {words.STAGE: words.ASKED})


@session.writer
def decide(context, operation, outcome, instead_of=None):
    """Decide what comes of an operation, unless that is decided.

    :param instead_of: an outcome that turned out to be wrong
    :returns: Operation as it is now; None when it is over
    """
    found = _held(context, operation)
    if found is None or found.outcome not in (None, instead_of):
        return found
    note(context, operation.snapshot_id, {words.OUTCOME: outcome})
    return find(context, operation.snapshot_id)


@session.writer
def drop(context, operation):
    """Forget an operation of which the compute service was not told: it begins anew, when its turn
    comes.

    :returns: whether it was there to be forgotten
    """
    found = _held(context, operation)
    if found is None or found.stage != words.BEGUN or found.outcome is not None:
        return False
    _remove(context, operation.snapshot_id, words.OF_OPERATION)
    _replace_noted(context, operation.snapshot_id, {})
    return True


@session.writer
def end(context, operation, how):
    """End an operation.

    The snapshot's status changes if it is still that of the operation: an administrator may
    have set another one.  All else is stored in any case: what the consumer uses is as it is.

    :param how: End
    :returns: False when it had been ended
    """
    if _held(context, operation) is None:
        return False
    _store_connections(context, how.connections)
    _remove(context, operation.snapshot_id, words.OF_OPERATION)
    _replace_noted(context, operation.snapshot_id, how.noted)
    if how.is_unsettled:
        note(context, operation.snapshot_id, {words.UNSETTLED: operation.kind})
    if how.event == 'deleted':
        snapshots.mark_deleted(context, operation.snapshot_id)
        return True
    if transition.try_move(context, states.MACHINE, operation.snapshot_id, how.event, how.columns):
        _tell(context, operation.snapshot_id, how.message)
    elif how.columns:
        snapshots.update(context, operation.snapshot_id, how.columns)
    return True


def _tell(context, snapshot_id, message):
    if message is not None:
        row = snapshots.get(context, snapshot_id)
        messages.create(context, row.project_id, context.request_id, 'VOLUME_SNAPSHOT', row.id,
                        *message)


@session.writer
def settle(context, snapshot_id, volume_id, connections):
    """What the consumer did is known now: nothing is noted any more.  Idempotent."""
    volumes.lock(context, volume_id)
    _store_connections(context, connections)
    _remove(context, snapshot_id, (words.UNSETTLED, words.LATE, words.REPORT))
    _replace_noted(context, snapshot_id, {})


def _store_connections(context, connections):
    table = models.Attachment
    for attachment_id, info in connections.items():
        context.session.execute(
            sa.update(table)
            .where(table.id == attachment_id, table.deleted_at.is_(None),
                   table.connection_info.is_not(sa.null()))
            .values(connection_info=info, updated_at=timeutils.utcnow())
            .execution_options(synchronize_session=False))


@session.reader
def refuse_open(context, volume_id, action):
    """Refuse what would change a volume under an operation; its row is held.

    :raises InvalidState: an operation is open, or unsettled while the volume is used
    """
    found = open_of_volume(context, volume_id)
    reason = None
    if found is not None:
        reason = f'the compute service takes part in an operation on snapshot {found.snapshot_id}'
    elif is_used(context, volume_id):
        doubtful = _with_key(context, words.UNSETTLED, _Snapshot.volume_id == volume_id,
                             _Noted.value == words.CREATE)
        if doubtful:
            reason = (f'it is not known what the compute service did for snapshot {doubtful[0]}; '
                      'detach it first')
    if reason is not None:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot {action}: {reason}.')


def _held(context, operation):
    """Lock the volume; the operation as it is now, None when it is over."""
    volumes.lock(context, operation.volume_id)
    found = find(context, operation.snapshot_id)
    return found if found is not None and found.number == operation.number else None


def _in(seconds):
    return (timeutils.utcnow() + datetime.timedelta(seconds=seconds)).isoformat()


@session.writer
def note(context, snapshot_id, values):
    """Add or change admin metadata of a snapshot, whose volume is locked."""
    for key, value in values.items():
        changed = context.session.execute(
            sa.update(_Noted).where(_Noted.snapshot_id == snapshot_id, _Noted.key == key)
            .values(value=value, updated_at=timeutils.utcnow())
            .execution_options(synchronize_session=False)).rowcount
        if not changed:
            context.session.add(_Noted(snapshot_id=snapshot_id, key=key, value=value))
    context.session.flush()


def _remove(context, snapshot_id, keys):
    context.session.execute(
        sa.delete(_Noted).where(_Noted.snapshot_id == snapshot_id, _Noted.key.in_(keys))
        .execution_options(synchronize_session=False))


def _replace_noted(context, snapshot_id, driver_noted):
    gone = set(_of_driver(noted(context, snapshot_id))) - set(driver_noted)
    _remove(context, snapshot_id, gone)
    note(context, snapshot_id, driver_noted)
