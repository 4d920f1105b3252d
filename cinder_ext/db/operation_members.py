"""Who takes part in an operation of replication: its volumes, what protects them, how far they are.

What an operation does to the volumes is in failovers.py and replication_failover.py.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext.db import (
    models,
    replication_claims,
    replication_models,
    replication_operations,
    session,
    shadow_volumes,
    transition,
)
from cinder_ext.states import replication as states

_Member = replication_models.ReplicationOperationMember
_Operation = replication_models.ReplicationOperation
_Protected = replication_models.ReplicationMember
_Replication = replication_models.Replication
_Snapshot = models.Snapshot
_Volume = models.Volume


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
    """What protects volumes: volume id -> list of living replications, oldest first.

    :param target: only replications to this one
    """
    query = (sa.select(_Protected.volume_id, _Replication)
             .join(_Replication, _Replication.id == _Protected.replication_id)
             .where(_Protected.volume_id.in_(volume_ids), _Replication.deleted_at.is_(None))
             .order_by(_Replication.created_at, _Replication.id)
             .execution_options(populate_existing=True))
    if target is not None:
        query = query.where(_Replication.target == target)
    found = {each: [] for each in volume_ids}
    for volume_id, row in context.session.execute(query):
        found[volume_id].append(row)
    return found


@session.reader
def in_scope(context, scope, protected_id):
    """The ids of the volumes of a volume, group, pool or backend, sorted.

    Neither shadows nor temporary volumes: nobody protects them.
    """
    return _ids(context, replication_claims.is_of(scope, protected_id))


@session.reader
def of_project(context, project_id, host):
    """The ids of a project's volumes at a backend, sorted."""
    return _ids(context, _Volume.project_id == project_id,
                replication_claims.is_of('backend', host))


def _ids(context, *conditions):
    return list(context.session.execute(
        sa.select(_Volume.id)
        .where(*conditions, _Volume.deleted_at.is_(None), _Volume.consumes_quota.is_(True),
               shadow_volumes.is_not_one())
        .order_by(_Volume.id)).scalars())


@session.writer
def complete(context, operation_id, found, ended):
    """Make a row for each member that has none yet, and say what protects those that have one.

    Idempotent.

    :param found: a list of (volume id, replication id or None)
    :param ended: volume id -> why it does not take part (CinderExtError); None: it need not
    """
    known = {row.volume_id: row for row in replication_operations.members(context, operation_id)}
    for volume_id, replication_id in sorted(found, key=lambda each: each[0]):
        row = known.get(volume_id)
        if row is None:
            row = transition.insert(context, states.MEMBER, {
                'operation_id': operation_id, 'volume_id': volume_id,
                'replication_id': replication_id})
        elif replication_id and row.replication_id is None:
            row.replication_id = replication_id
    context.session.flush()
    for volume_id, fault in ended.items():
        if fault is None:
            replication_operations.member_skipped(context, operation_id, volume_id,
                                                  'It is not replicated.')
        else:
            replication_operations.member_failed(context, operation_id, volume_id, fault)


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
    """Add to the facts of an operation."""
    row = replication_operations.lock(context, operation_id)
    replication_operations.update(context, operation_id, {'facts': {**(row.facts or {}), **facts}})


@session.writer
def fail(context, operation_id, failed):
    """Members are not done.

    :param failed: a list of (volume id, exceptions.CinderExtError)
    """
    for volume_id, fault in failed:
        replication_operations.member_failed(context, operation_id, volume_id, fault)


@session.writer
def succeed(context, operation_id, done):
    """Members are done.

    :param done: a list of (volume id, columns)
    """
    for volume_id, values in done:
        replication_operations.member_done(context, operation_id, volume_id, values)


@session.reader
def expired_tests(context, home, now):
    """The temporary volumes of tests that are over: a list of their ids.

    :param home: ``host@backend`` that they are at
    """
    return list(context.session.execute(
        sa.select(_Volume.id)
        .join(_Member, _Member.clone_volume_id == _Volume.id)
        .join(_Operation, _Operation.id == _Member.operation_id)
        .where(replication_claims.is_of('backend', home), _Operation.verb == 'test',
               _Operation.expires_at <= now, _Volume.deleted_at.is_(None),
               _Volume.status.in_(('available', 'error')))
        .order_by(_Volume.id)).scalars())


@session.writer
def place(context, placed):
    """Store where volumes are used, and their snapshots that were used in the same place.

    :param placed: a list of (models.Volume as it was, location)
    """
    for volume, location in placed:
        before = volume.provider_location
        context.session.execute(
            sa.update(_Snapshot)
            .where(_Snapshot.volume_id == volume.id, _Snapshot.deleted_at.is_(None),
                   _Snapshot.provider_location.is_(None) if before is None
                   else _Snapshot.provider_location == before)
            .values(provider_location=location, updated_at=_Snapshot.updated_at)
            .execution_options(synchronize_session=False))
        context.session.execute(
            sa.update(_Volume).where(_Volume.id == volume.id)
            .values(provider_location=location, updated_at=timeutils.utcnow())
            .execution_options(synchronize_session=False))
