"""Replications: the record of what is kept on another array, its members, its points.

A replication has one target; a thing with two targets has two.  What is protected with a group,
pool or backend changes: its members are looked up again before each point (``sync_members``).
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    groups,
    models,
    replication_claims,
    replication_models,
    session,
    shadow_volumes,
    transition,
    volumes,
)
from cinder_ext.states import replication as states
from cinder_ext.states import replication_policy
from cinder_ext.states import volume as volume_states

_Replication = replication_models.Replication
_Member = replication_models.ReplicationMember
_Volume = models.Volume

COMING_OR_GOING = (volume_states.CREATING, volume_states.MANAGING, volume_states.ERROR_MANAGING,
                   volume_states.ERROR_MANAGING_DELETING, volume_states.DELETING,
                   volume_states.UNMANAGING)
"""Statuses of a volume that is no member of its group, pool or backend yet, or no more."""

_REPLICATABLE = (volume_states.CREATING, volume_states.AVAILABLE, volume_states.IN_USE,
                 volume_states.RESERVED, volume_states.ATTACHING, volume_states.DETACHING,
                 volume_states.RETYPING)
"""Statuses in which a volume may begin to be replicated by itself."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a volume that is being placed is to be replicated with; as of create().

    :ivar policy: replication_policy.Policy, whole, of scope ``volume``
    :ivar target: backend_id, of the backend that it goes to
    :ivar values: further columns, or None
    """

    policy: replication_policy.Policy
    target: str
    values: dict | None = None


@session.writer
def create(context, policy, protected_id, target, values=None, state=states.ENABLING):
    """Protect a volume, group, pool or backend from now on: its claim, record and members.

    :param policy: replication_policy.Policy as merge() makes it; its scope says what it is
    :param protected_id: id of a volume or group, ``host@backend#pool`` or ``host@backend``
    :param target: backend_id
    :param values: columns that are not what follows: cross_os, interval_seconds (by default the
        policy's), source_side, destination_side, epoch, project_id
    :param state: ``enabling``, or what it is found in: ``failed-over``, ``error``; the volumes of
        one that is failed over keep the word that they have
    :returns: replication_models.Replication
    :raises ReplicationConflict: it is replicated to that target already, or claimed otherwise
    :raises MigrationActive, InvalidState: of the volume or group
    :raises VolumeNotFound, GroupNotFound: there is none

    Its volumes are ``enabling`` afterwards, in ``volumes.replication_status`` too.
    """
    scope = policy.scope
    host, group_id, project_id = _place(context, scope, protected_id)
    replication_claims.claim(context, scope, protected_id, host, group_id)
    if scope == 'volume':
        _hold_volume(context, protected_id, host, group_id)
    key = live_key(scope, protected_id, target)
    _refuse_twice(context, scope, protected_id, target, key)
    row = transition.insert(context, states.MACHINE, {
        'scope': scope, 'protected_id': protected_id, 'live_key': key, 'target': target,
        'home': replication_claims.backend_of(host), 'mode': policy.mode,
        'topology': policy.topology, 'auto_failover': policy.auto_failover,
        'policy': policy.as_document(), 'rpo_seconds': policy.rpo_seconds,
        'interval_seconds': policy.interval_seconds, 'retention': policy.retention,
        'destination_side': target, 'project_id': project_id, 'user_id': context.user_id,
        'request_id': context.request_id, **(values or {})}, state)
    for volume_id in wanted_members(context, row):
        _add_member(context, row, volume_id, is_new=state != states.FAILED_OVER)
    return row


def live_key(scope, protected_id, target):
    """What no two living replications have in common."""
    return f'{scope}|{target}|{protected_id}'


def _place(context, scope, protected_id):
    """Where a thing is: (host, group of a volume, project); the project of a group or volume."""
    if scope == 'volume':
        row = context.session.execute(
            sa.select(_Volume.host, _Volume.group_id, _Volume.project_id)
            .where(_Volume.id == protected_id, _Volume.deleted_at.is_(None))).first()
        if row is None:
            raise exceptions.VolumeNotFound(id=protected_id)
        found = tuple(row)
    elif scope == 'group':
        group = groups.hold(context, protected_id, 'be replicated')
        found = group.host, None, group.project_id
    else:
        found = protected_id, None, None
    if found[0] is None:
        raise exceptions.InvalidState(
            kind=scope, reason=f'{scope} {protected_id} cannot be replicated: it is nowhere yet.')
    return found


def _hold_volume(context, volume_id, host, group_id):
    """Lock the volume after its backend; by then it must not have gone elsewhere."""
    volumes.hold(context, volume_id, 'be replicated', _REPLICATABLE)
    now = _place(context, 'volume', volume_id)
    if now[:2] != (host, group_id):
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot be replicated: its backend or group '
                                  'has just changed.')


def _refuse_twice(context, scope, protected_id, target, key):
    """Whoever gets here holds the backend's lock."""
    found = context.session.execute(
        sa.select(_Replication.id).where(_Replication.live_key == key)).scalar()
    if found is not None:
        raise exceptions.ReplicationConflict(
            kind=scope.capitalize(), id=protected_id, action=f'replicated to {target}',
            reason='it is already', replication_id=found, scope=scope, protected_id=protected_id)


def _add_member(context, replication, volume_id, is_new=True):
    context.session.add(_Member(replication_id=replication.id, volume_id=volume_id))
    context.session.flush()
    if is_new:
        transition.try_move(context, states.VOLUME, volume_id, 'replicate')


@session.writer
def change_owner(context, volume_id, project_id):
    """The replications that a volume has by itself are another project's now."""
    context.session.execute(
        sa.update(_Replication)
        .where(_Replication.scope == 'volume', _Replication.protected_id == volume_id)
        .values(project_id=project_id, updated_at=_Replication.updated_at)
        .execution_options(synchronize_session=False))


@session.reader
def get(context, replication_id, project_id=None):
    """One replication, as it is now.

    :param project_id: only if it belongs to this project; pools and backends belong to none
    :raises ReplicationNotFound: there is none, or it has ended
    """
    return _found(context, replication_id, sa.select(_Replication), project_id)


@session.writer
def lock(context, replication_id):
    """One replication as it is now, held until the transaction ends.

    :raises ReplicationNotFound: there is none, or it has ended
    """
    return _found(context, replication_id, sa.select(_Replication).with_for_update())


def _found(context, replication_id, query, project_id=None):
    query = query.where(_Replication.id == replication_id, _Replication.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(_Replication.project_id == project_id)
    found = context.session.execute(
        query.execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise exceptions.ReplicationNotFound(id=replication_id)
    return found


@session.reader
def of_thing(context, scope, protected_id):
    """The living replications of a volume, group, pool or backend, oldest first."""
    return list(context.session.execute(
        sa.select(_Replication)
        .where(_Replication.scope == scope, _Replication.protected_id == protected_id,
               _Replication.deleted_at.is_(None))
        .order_by(_Replication.created_at, _Replication.id)).scalars())


@session.reader
def of_home(context, home, wanted=states.ALIVE):
    """A backend's living replications in some states, oldest first.

    :param home: ``host@backend``
    """
    return list(context.session.execute(
        sa.select(_Replication)
        .where(_Replication.home == home, _Replication.deleted_at.is_(None),
               _Replication.state.in_(wanted))
        .order_by(_Replication.created_at, _Replication.id)).scalars())


@session.reader
def covering(context, volume_id):
    """The living replications that a volume is a member of, oldest first."""
    return list(context.session.execute(
        sa.select(_Replication).join(_Member, _Member.replication_id == _Replication.id)
        .where(_Member.volume_id == volume_id, _Replication.deleted_at.is_(None))
        .order_by(_Replication.created_at, _Replication.id)).scalars())


@session.reader
def of_volumes(context, volume_ids):
    """What the details of some volumes say of their replication: volume id -> row.

    Rows have replication_id, mode, scope, target, state, rpo_seconds, interval_seconds and
    last_consistent_at (of the newest point that this volume is part of; the reader makes the lag
    of it).  Of several targets the one that it was failed over to, else the oldest.  One
    statement, for lists.
    """
    found = {}
    for row in context.session.execute(_of_volumes(), {'volume_ids': list(volume_ids)}):
        if row.volume_id not in found or row.state in _AWAY:
            found[row.volume_id] = row
    return found


_AWAY = (states.FAILING_OVER, states.FAILED_OVER, states.FAILOVER_ERROR)


@functools.cache
def _of_volumes():
    """Made once: making a statement costs what its execution does."""
    row, member = _Replication.__table__.c, _Member.__table__.c
    return (sa.select(member.volume_id, row.id.label('replication_id'), row.mode, row.scope,
                      row.target, row.state, row.rpo_seconds, row.interval_seconds,
                      member.last_consistent_at)
            .select_from(_Member.__table__.join(_Replication.__table__,
                                                member.replication_id == row.id))
            .where(member.volume_id.in_(sa.bindparam('volume_ids', expanding=True)),
                   row.deleted_at.is_(None))
            .order_by(row.created_at, row.id))


@session.reader
def members(context, replication_id):
    """The members of a replication: replication_models.ReplicationMember, by volume id."""
    return list(context.session.execute(
        sa.select(_Member).where(_Member.replication_id == replication_id)
        .order_by(_Member.volume_id).execution_options(populate_existing=True)).scalars())


@session.reader
def wanted_members(context, replication):
    """Ids of the volumes that are to be protected with a thing now, sorted."""
    where = [replication_claims.is_of(replication.scope, replication.protected_id),
             _Volume.deleted_at.is_(None)]
    if replication.scope != 'volume':
        where += [_Volume.status.not_in(COMING_OR_GOING), _Volume.consumes_quota.is_(True),
                  sa.or_(_Volume.status != volume_states.ERROR, _Volume.launched_at.is_not(None)),
                  shadow_volumes.is_not_one()]
    return list(context.session.execute(
        sa.select(_Volume.id).where(*where).order_by(_Volume.id)).scalars())


@session.writer
def sync_members(context, replication_id):
    """Bring the members up to date: new volumes are added, and are ``enabling``.

    :returns: (ids of all that are to be shipped, ids of members that are protected no more), both
        sorted; the caller ends the latter at the arrays, then calls drop_member.  While it is
        failing over or disabling the members stay what they are
    :raises ReplicationNotFound: it has ended
    """
    replication = lock(context, replication_id)
    present = {each.volume_id for each in members(context, replication_id)}
    if replication.state in (states.FAILING_OVER, states.DISABLING):
        return sorted(present), []
    wanted = wanted_members(context, replication)
    for volume_id in wanted:
        if volume_id not in present:
            _add_member(context, replication, volume_id)
    return wanted, sorted(present.difference(wanted))


@session.writer
def drop_member(context, replication_id, volume_id):
    """A volume is protected no more, at the arrays neither.  Idempotent.

    It is ``disabled`` unless another replication has it.
    """
    context.session.execute(
        sa.delete(_Member).where(_Member.replication_id == replication_id,
                                 _Member.volume_id == volume_id)
        .execution_options(synchronize_session=False))
    if not covering(context, volume_id):
        transition.try_move(context, states.VOLUME, volume_id, 'not-replicated')


@session.writer
def update(context, replication_id, values):
    """Set columns of a record that are no status."""
    context.session.execute(
        sa.update(_Replication).where(_Replication.id == replication_id)
        .values({**values, 'updated_at': timeutils.utcnow()})
        .execution_options(synchronize_session=False))
    loaded = context.session.identity_map.get(
        context.session.identity_key(_Replication, (replication_id,)))
    if loaded is not None:
        context.session.expire(loaded)
