"""Who takes part in an operation of replication: its members, their volumes and what protects them.

Reading, and the rows of the members as long as nothing has happened to their volumes; what an
operation does to the volumes is in failovers.py.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import models, replication_models, session, shadow_volumes, transition
from cinder_ext.states import replication as states

_Member = replication_models.ReplicationOperationMember
_Operation = replication_models.ReplicationOperation
_Protected = replication_models.ReplicationMember
_Replication = replication_models.Replication
_Snapshot = models.Snapshot
_Volume = models.Volume


@session.reader
def operation(context, operation_id):
    """An operation as it is now.

    :raises ReplicationOperationNotFound: there is none
    """
    found = context.session.get(_Operation, operation_id, populate_existing=True)
    if found is None:
        raise exceptions.ReplicationOperationNotFound(id=operation_id)
    return found


@session.reader
def of_operation(context, operation_id, results=None):
    """The members of an operation, in the order of their volumes' ids.

    :param results: only those with one of these
    """
    query = sa.select(_Member).where(_Member.operation_id == operation_id)
    if results is not None:
        query = query.where(_Member.result.in_(results))
    return list(context.session.execute(
        query.order_by(_Member.volume_id).execution_options(populate_existing=True)).scalars())


@session.reader
def volumes(context, volume_ids):
    """Volumes that are not deleted: id -> models.Volume."""
    rows = context.session.execute(
        sa.select(_Volume).where(_Volume.id.in_(volume_ids), _Volume.deleted_at.is_(None))
        .execution_options(populate_existing=True)).scalars()
    return {row.id: row for row in rows}


@session.reader
def snapshots(context, volume_ids):
    """Snapshots of volumes, oldest first: volume id -> list of models.Snapshot."""
    found = {each: [] for each in volume_ids}
    rows = context.session.execute(
        sa.select(_Snapshot)
        .where(_Snapshot.volume_id.in_(volume_ids), _Snapshot.deleted_at.is_(None))
        .order_by(_Snapshot.created_at, _Snapshot.id)
        .execution_options(populate_existing=True)).scalars()
    for row in rows:
        found[row.volume_id].append(row)
    return found


@session.reader
def replications(context, replication_ids):
    """Replications: id -> row."""
    rows = context.session.execute(
        sa.select(_Replication).where(_Replication.id.in_(replication_ids))
        .execution_options(populate_existing=True)).scalars()
    return {row.id: row for row in rows}


@session.reader
def protecting(context, volume_ids, target=None):
    """What protects volumes: volume id -> list of replications that have not ended, oldest first.

    :param target: only replications to this one
    """
    query = (sa.select(_Protected.volume_id, _Replication)
             .join(_Replication, _Replication.id == _Protected.replication_id)
             .where(_Protected.volume_id.in_(volume_ids), _Replication.state.in_(states.ALIVE))
             .order_by(_Replication.created_at, _Replication.id)
             .execution_options(populate_existing=True))
    if target is not None:
        query = query.where(_Replication.target == target)
    found = {each: [] for each in volume_ids}
    for volume_id, row in context.session.execute(query):
        found[volume_id].append(row)
    return found


@session.reader
def in_group(context, group_id):
    """The ids of a group's volumes."""
    return _ids(context, _Volume.group_id == group_id)


@session.reader
def in_pool(context, host):
    """The ids of the volumes of a pool.

    :param host: ``host@backend#pool``
    """
    return _ids(context, _Volume.host == host)


@session.reader
def in_backend(context, host):
    """The ids of the volumes of a backend.

    :param host: ``host@backend``
    """
    return _ids(context, at_backend(host))


@session.reader
def of_project(context, project_id, host):
    """The ids of a project's volumes at a backend."""
    return _ids(context, sa.and_(_Volume.project_id == project_id, at_backend(host)))


def at_backend(host):
    """The condition that a volume is at a backend, in whichever pool."""
    return sa.or_(_Volume.host == host, _Volume.host.startswith(host + '#', autoescape=True))


def _ids(context, condition):
    """Neither shadows nor temporary volumes: nobody protects them."""
    return list(context.session.execute(
        sa.select(_Volume.id)
        .where(condition, _Volume.deleted_at.is_(None), _Volume.consumes_quota.is_(True),
               shadow_volumes.is_not_one())
        .order_by(_Volume.id)).scalars())


@session.writer
def complete(context, operation_id, found, wanted=()):
    """Make a row for each member that has none yet, and say what protects those that have one.

    Idempotent.

    :param found: a list of (volume id, replication id or None)
    :param wanted: ids of volumes without a replication that are ``pending`` all the same, and not
        ``skipped``
    """
    known = {row.volume_id: row for row in of_operation(context, operation_id)}
    for volume_id, replication_id in found:
        row = known.get(volume_id)
        if row is None:
            transition.insert(context, states.MEMBER, {
                'operation_id': operation_id, 'volume_id': volume_id,
                'replication_id': replication_id},
                'pending' if replication_id or volume_id in wanted else 'skipped')
        elif replication_id and row.replication_id is None:
            row.replication_id = replication_id


@session.writer
def note(context, noted):
    """Say of members how far they are.

    :param noted: member id -> columns that are no status
    """
    for member_id, values in noted.items():
        context.session.execute(
            sa.update(_Member).where(_Member.id == member_id)
            .values(**values, updated_at=timeutils.utcnow())
            .execution_options(synchronize_session=False))


@session.writer
def note_facts(context, operation_id, **facts):
    """Add to the facts of an operation.

    :returns: all of them
    """
    row = context.session.execute(
        sa.select(_Operation).where(_Operation.id == operation_id).with_for_update()
        .execution_options(populate_existing=True)).scalar_one()
    row.facts = {**(row.facts or {}), **facts}
    return row.facts


@session.writer
def end(context, ended):
    """Members have come to their ends; one that has ended before stays as it is.

    :param ended: member id -> (event of states.MEMBER, other columns)
    """
    for member_id, (event, values) in ended.items():
        transition.try_move(context, states.MEMBER, member_id, event,
                            {**values, 'finished_at': timeutils.utcnow()})


@session.writer
def close(context, operation_id, values=None):
    """End an operation: its state follows from its members.  Idempotent.

    :param values: other columns
    :returns: its state
    """
    results = [row.result for row in of_operation(context, operation_id)]
    done, failed = results.count('done'), results.count('failed')
    event = ('succeed' if not failed and (done or not (values or {}).get('error'))
             else 'end-partly' if done else 'fail')
    transition.try_move(context, states.OPERATION, operation_id, event,
                        {**(values or {}), 'finished_at': timeutils.utcnow()})
    return operation(context, operation_id).state


@session.reader
def expired_tests(context, home, now):
    """The temporary volumes of tests that are over: a list of their ids.

    :param home: ``host@backend`` that they are at
    """
    return list(context.session.execute(
        sa.select(_Volume.id)
        .join(_Member, _Member.clone_volume_id == _Volume.id)
        .join(_Operation, _Operation.id == _Member.operation_id)
        .where(_Operation.home == home, _Operation.verb == 'test', _Operation.expires_at <= now,
               _Volume.deleted_at.is_(None), _Volume.status.in_(('available', 'error')))
        .order_by(_Volume.id)).scalars())
