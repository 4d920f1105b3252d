"""What the shipper of a backend reads and writes: many replications at once, one point at a time."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext.db import (
    group_models,
    models,
    replication_models,
    replications,
    session,
    shadow_volumes,
    transition,
)
from cinder_ext.states import replication as states
from cinder_ext.states import replication_policy
from cinder_ext.states import volume as volume_states

_Replication = replication_models.Replication
_Member = replication_models.ReplicationMember
_Operation = replication_models.ReplicationOperation
_Volume = models.Volume

WORKED_ON = tuple(each for each in states.ALIVE if each != states.FAILING_OVER)
"""States in which the home's service may have something to do by itself."""


@session.reader
def members_of_home(context, home):
    """The members of what the service of a backend works on: replication id -> a list of rows.

    Rows have replication_id, volume_id, point_id, last_consistent_at, and of the volume: host,
    status, group_id, replication_status, deleted_at.  One statement, by the ids of the volumes.
    """
    found = {}
    for row in context.session.execute(
            sa.select(_Member.replication_id, _Member.volume_id, _Member.point_id,
                      _Member.last_consistent_at, _Volume.host, _Volume.status, _Volume.group_id,
                      _Volume.replication_status, _Volume.deleted_at)
            .join(_Replication, _Replication.id == _Member.replication_id)
            .join(_Volume, _Volume.id == _Member.volume_id)
            .where(_Replication.home == home, _Replication.deleted_at.is_(None),
                   _Replication.state.in_(WORKED_ON))
            .order_by(_Member.volume_id)):
        found.setdefault(row.replication_id, []).append(row)
    return found


@session.reader
def shipment(context, replication_id, volume_ids):
    """What is to be shipped together: a list of (volume, its snapshots, its member row).

    Volumes in the order of their ids; snapshots are whole ones, oldest first.  What is no member
    any more, or was deleted, is left out.
    """
    rows = context.session.execute(
        sa.select(_Volume, _Member)
        .join(_Member, _Member.volume_id == _Volume.id)
        .where(_Member.replication_id == replication_id, _Volume.id.in_(list(volume_ids)),
               _Volume.deleted_at.is_(None))
        .order_by(_Volume.id).execution_options(populate_existing=True)).all()
    snapshots = {}
    for each in context.session.execute(
            sa.select(models.Snapshot)
            .where(models.Snapshot.volume_id.in_([volume.id for volume, _ in rows]),
                   models.Snapshot.deleted_at.is_(None), models.Snapshot.status == 'available')
            .order_by(models.Snapshot.created_at, models.Snapshot.id)).scalars():
        snapshots.setdefault(each.volume_id, []).append(each)
    return [(volume, snapshots.get(volume.id, []), member) for volume, member in rows]


@session.reader
def removed(context, replication_id, volume_ids):
    """Members as they were, deleted volumes too: a list of volumes."""
    return list(context.session.execute(
        sa.select(_Volume).join(_Member, _Member.volume_id == _Volume.id)
        .where(_Member.replication_id == replication_id, _Volume.id.in_(list(volume_ids)))
        .order_by(_Volume.id)).scalars())


@session.writer
def arrived(context, shipped, point_id, taken_at, volume_ids, *, conditions=None, bytes_shipped=0,
            bytes_pending=None, counts=True):
    """A point of some members is whole at the destination: it is what a failover would give.

    The record is ``enabled`` from its first point on, and so are the volumes that are part of
    it.  It is as consistent as the member that is furthest behind.  For volumes that have a newer
    point already nothing changes.

    :param shipped: replication_models.Replication, as it was when the point was taken: what has
        been failed over since is left alone
    :param taken_at: when it was taken, datetime, UTC without zone
    :param volume_ids: of those that are part of it
    :param conditions: word -> (status, reason), to be true now
    :param bytes_pending: what is still at the source only; None when it is not known
    :param counts: whether a failover would use it; False of a first copy of a volume whose group
        ships points in common already: nothing is ``enabled`` by it
    :returns: replication_models.Replication as it is now; None: it has moved on, or ended
    """
    row = _still(context, shipped)
    if row is None:
        return None
    _tell(context, row, conditions or {})
    changed = _note_point(context, row, point_id, taken_at, volume_ids)
    _note_furthest(context, row, bytes_pending, bytes_shipped if changed else 0)
    if counts:
        if row.state == states.ENABLING:
            transition.move(context, states.MACHINE, row.id, 'enabled')
        _enable_volumes(context, volume_ids)
    return replications.get(context, row.id)


def _note_point(context, row, point_id, taken_at, volume_ids):
    """Returns how many members have a newer point now."""
    values = {'point_id': point_id, 'last_consistent_at': taken_at, 'epoch': row.epoch,
              'updated_at': timeutils.utcnow()}
    return context.session.execute(
        sa.update(_Member)
        .where(_Member.replication_id == row.id, _Member.volume_id.in_(list(volume_ids)),
               sa.or_(_Member.last_consistent_at.is_(None),
                      _Member.last_consistent_at < taken_at))
        .values(values).execution_options(synchronize_session=False)).rowcount


def _note_furthest(context, row, bytes_pending, bytes_shipped):
    """The record says what is true of all members that have a point at all."""
    furthest = context.session.execute(
        sa.select(_Member.point_id, _Member.last_consistent_at)
        .where(_Member.replication_id == row.id, _Member.last_consistent_at.is_not(None))
        .order_by(_Member.last_consistent_at, _Member.volume_id).limit(1)).first()
    values = {'bytes_pending': bytes_pending, 'bytes_shipped': row.bytes_shipped + bytes_shipped}
    if furthest is not None:
        values |= {'last_consistent_at': furthest.last_consistent_at,
                   'point_id': furthest.point_id}
        if row.ship_asked_at is not None and row.ship_asked_at <= furthest.last_consistent_at:
            values['ship_asked_at'] = None
    replications.update(context, row.id, values)


def _enable_volumes(context, volume_ids):
    """In the order of their ids, as whoever locks several of them does."""
    waiting = context.session.execute(
        sa.select(_Volume.id)
        .where(_Volume.id.in_(list(volume_ids)), _Volume.replication_status == states.ENABLING)
        .order_by(_Volume.id)).scalars().all()
    for volume_id in waiting:
        transition.try_move(context, states.VOLUME, volume_id, 'replicated',
                            where=(_Volume.replication_status == states.ENABLING,))


def _still(context, shipped):
    """The record, locked, if it ships as it did."""
    row = context.session.execute(
        sa.select(_Replication).where(_Replication.id == shipped.id).with_for_update()
        .execution_options(populate_existing=True)).scalar_one_or_none()
    return row if row is not None and is_as(row, shipped) else None


def is_as(row, shipped):
    """Whether a record ships, and in the way in which an older reading of it did."""
    return (row.deleted_at is None and row.state in states.SHIPPING and row.is_shipping
            and (row.epoch, row.source_side, row.destination_side)
            == (shipped.epoch, shipped.source_side, shipped.destination_side))


def _tell(context, row, conditions):
    """Store what is true now, and tell the watchers what of it is news.

    :param conditions: word -> (status, reason)
    """
    before = row.conditions or {}
    news = {}
    for word, (status, reason) in conditions.items():
        known = before.get(word)
        after = _since(known, {'status': status, 'reason': reason})
        # That something is not so is no news when nobody has said that it was.
        if after != known and (known is not None or status):
            news[word] = after
    if news:
        replications.update(context, row.id, {'conditions': {**before, **news}})
        transition.note(context, 'replication', row.id, 'condition')


def _since(before, after):
    is_same = before is not None and before.get('status') == after['status']
    return {**after, 'since': before.get('since') if is_same else timeutils.utcnow().isoformat()}


@session.writer
def nothing_to_ship(context, replication_id):
    """A group, pool or backend without a volume is protected as it is: from now on, ``enabled``."""
    row = replications.lock(context, replication_id)
    if row.state in states.SHIPPING and not replications.members(context, replication_id):
        replications.update(context, replication_id, {'last_consistent_at': timeutils.utcnow()})
        if row.state == states.ENABLING:
            transition.move(context, states.MACHINE, replication_id, 'enabled')


@session.writer
def tell(context, shipped, conditions):
    """Say what is true of a replication now, if it ships as it did.

    :param conditions: word -> (status, reason)
    """
    row = _still(context, shipped)
    if row is not None:
        _tell(context, row, conditions)


@session.writer
def broken(context, shipped, fault, facts, volume_ids):
    """Two sides are not of one mind: nothing is shipped until an administrator has decided.

    What has its own record, or is shipped in common, ends in ``error`` as a whole; of a pool or
    backend only these volumes do.

    :param shipped: replication_models.Replication, as it was when that was seen
    :param fault: exceptions.CinderExtError
    :param facts: both sides and epochs, fit for JSON
    :returns: whether it was so still
    """
    row = _still(context, shipped)
    if row is None:
        return False
    condition = _since((row.conditions or {}).get('split_brain'),
                       {**facts, 'status': True, 'reason': fault.message,
                        'volumes': sorted(volume_ids)})
    values = {'conditions': {**(row.conditions or {}), 'split_brain': condition},
              'error': fault.message, 'error_code': fault.code, 'remedy': fault.remedy}
    if row.scope in ('volume', 'group'):
        transition.move(context, states.MACHINE, row.id, 'break', values)
    else:
        replications.update(context, row.id, values)
    transition.note(context, 'replication', row.id, 'condition')
    for volume_id in sorted(volume_ids):
        transition.try_move(context, states.VOLUME, volume_id, 'broken')
    return True


@session.reader
def open_operations(context):
    """What is to be worked on: rows of id and home, oldest first."""
    return context.session.execute(
        sa.select(_Operation.id, _Operation.home).where(_Operation.state.in_(states.OPEN))
        .order_by(_Operation.created_at, _Operation.id)).all()


@session.reader
def own_volumes(context, home, volume_ids=None):
    """The volumes of a backend that are, or may have to be, replicated by themselves.

    :param volume_ids: only of these
    :returns: rows of id, volume_type_id, group_id, and of the replication of its own
        replication_id, target, policy and state (all None: there is none), by id
    """
    alone = sa.and_(_Replication.scope == 'volume', _Replication.protected_id == _Volume.id,
                    _Replication.deleted_at.is_(None))
    spec, group, group_spec = (models.VolumeTypeExtraSpec, group_models.Group,
                               group_models.GroupTypeSpec)
    keys = replication_policy.ENABLED_KEYS
    types = sa.select(spec.volume_type_id).where(spec.key.in_(keys))
    of_groups = sa.select(group.id).join(
        group_spec, group_spec.group_type_id == group.group_type_id).where(group_spec.key.in_(keys))
    start = f'{home}#'
    only = () if volume_ids is None else (_Volume.id.in_(volume_ids),)
    return context.session.execute(
        sa.select(_Volume.id, _Volume.volume_type_id, _Volume.group_id,
                  _Replication.id.label('replication_id'), _Replication.target,
                  _Replication.policy, _Replication.state)
        .outerjoin(_Replication, alone)
        .where(*only, _Volume.deleted_at.is_(None),
               _Volume.host.startswith(start, autoescape=True),
               sa.func.substr(_Volume.host, 1, len(start)) == start,
               _Volume.status.in_(PRESENT), _Volume.consumes_quota.is_(True),
               shadow_volumes.is_not_one(),
               sa.or_(_Replication.id.is_not(None), _Volume.volume_type_id.in_(types),
                      _Volume.group_id.in_(of_groups)))
        .order_by(_Volume.id)).all()


PRESENT = (volume_states.AVAILABLE, volume_states.IN_USE, volume_states.RESERVED,
           volume_states.ATTACHING, volume_states.DETACHING)
"""Statuses of a volume that is whole and stays where it is."""
