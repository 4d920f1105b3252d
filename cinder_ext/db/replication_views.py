"""What lists and answers ask of replications and their operations."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext.db import listing, models, replication_claims, replication_models, session
from cinder_ext.states import replication as states

_Replication = replication_models.Replication
_Member = replication_models.ReplicationMember
_Volume = models.Volume
_Operation = replication_models.ReplicationOperation
_OperationMember = replication_models.ReplicationOperationMember


@session.reader
def over_objective(context, is_over):
    """A condition of lists: replications whose lag is above their objective now, or is not.

    One without a point counts from when it was made.  One without an objective is never above.
    """
    now = timeutils.utcnow()
    objectives = context.session.execute(
        sa.select(_Replication.rpo_seconds).where(
            _Replication.deleted_at.is_(None), _Replication.rpo_seconds.is_not(None))
        .distinct()).scalars()
    since = sa.func.coalesce(_Replication.last_consistent_at, _Replication.created_at)
    # Dates are not subtracted alike on all databases; objectives are few.
    behind = [sa.and_(_Replication.rpo_seconds == seconds,
                      since < now - datetime.timedelta(seconds=seconds)) for seconds in objectives]
    over = sa.or_(sa.false(), *behind)
    if not is_over:
        over = sa.or_(_Replication.rpo_seconds.is_(None), sa.not_(over))
    return listing.Condition('rpo_seconds', 'clause', over)


def operation_on(volume_id):
    """A condition of lists of operations: those that are about a volume."""
    return listing.Condition('id', 'clause', sa.exists().where(
        _OperationMember.operation_id == _Operation.id, _OperationMember.volume_id == volume_id))


@session.reader
def within(context, scope, protected_id, target=None):
    """What protects the volumes in a thing, which is not protected as a whole.

    :param target: only replications to this one
    :returns: (a list of dictionaries: volume_id, replication_id; each volume once, its oldest
        replication that is narrower than the thing; the scopes of wider ones)
    """
    found = _each_once(context, target, replication_claims.is_of(scope, protected_id))
    rank = states.SCOPES.index
    wider = {each['scope'] for each in found if rank(each['scope']) > rank(scope)}
    return [{name: each[name] for name in ('volume_id', 'replication_id')}
            for each in found if each['scope'] not in wider], sorted(wider, key=rank)


@session.reader
def selected(context, selector, target=None, most=None):
    """Volumes that are replicated by themselves and fit a selector.

    :param selector: volume_ids, project_id, volume_type (id), host (of a backend or pool); all
        that are there must be true
    :param most: no more than these
    :returns: a list of dictionaries: volume_id, replication_id, home; each volume once
    """
    where = [_Replication.scope == 'volume']
    if 'volume_ids' in selector:
        where.append(_Volume.id.in_(selector['volume_ids']))
    if 'project_id' in selector:
        where.append(_Volume.project_id == selector['project_id'])
    if 'volume_type' in selector:
        where.append(_Volume.volume_type_id == selector['volume_type'])
    if 'host' in selector:
        scope = 'pool' if '#' in selector['host'] else 'backend'
        where.append(replication_claims.is_of(scope, selector['host']))
    return _each_once(context, target, *where)[:most]


def _each_once(context, target, *where):
    if target is not None:
        where = (*where, _Replication.target == target)
    rows = context.session.execute(
        sa.select(_Member.volume_id, _Replication.id, _Replication.home, _Replication.scope)
        .join(_Replication, _Replication.id == _Member.replication_id)
        .join(_Volume, _Volume.id == _Member.volume_id)
        .where(_Replication.deleted_at.is_(None), _Volume.deleted_at.is_(None), *where)
        .order_by(_Member.volume_id, _Replication.created_at, _Replication.id))
    found = {}
    for volume_id, replication_id, home, scope in rows:
        found.setdefault(volume_id, {'volume_id': volume_id, 'replication_id': replication_id,
                                     'home': home, 'scope': scope})
    return list(found.values())
