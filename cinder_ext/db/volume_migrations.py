"""Migrations: the record, its links, and the transaction that swaps the records."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils
from oslo_utils import uuidutils

from cinder_ext import exceptions
from cinder_ext.db import models, session, transition, volumes
from cinder_ext.states import migration as states
from cinder_ext.states import volume as volume_states

_Record = models.VolumeMigration
_Link = models.MigrationLink


@session.writer
def start(context, volume_id, values, lock):
    """Record a migration and keep everything else away from its volume.

    :param values: operation (``retype`` or ``migrate``), requested_policy, include_snapshots,
        destination_host, destination_type_id, force_copy, verify
    :param lock: event of the volume's status (``retype``, ``retype-attached``, ``lock``) or None
    :returns: models.VolumeMigration in phase ``scheduling``
    :raises MigrationActive, InvalidState, VolumeNotFound: nothing was changed
    """
    volume = volumes.get(context, volume_id)
    previous = volume.status
    if lock is None:
        volumes.hold(context, volume_id, 'be migrated',
                     (volume_states.AVAILABLE, volume_states.IN_USE))
    else:
        volumes.begin(context, volume_id, lock, f"be {values['operation']}d".replace('ee', 'e'))
    _refuse_busy_snapshots(context, volume_id)
    record = transition.insert(context, states.MACHINE, {
        **values, 'volume_id': volume_id, 'project_id': volume.project_id,
        'user_id': context.user_id, 'request_id': context.request_id,
        'previous_status': previous, 'source_host': volume.host,
        'source_type_id': volume.volume_type_id,
        'source_name_id': volume.name_id or volume.id,
        'source_location': volume.provider_location,
        'destination_name_id': uuidutils.generate_uuid(),
        'started_at': timeutils.utcnow()})
    transition.project_started(context, volume_id)
    return record


def _refuse_busy_snapshots(context, volume_id):
    snapshot = models.Snapshot
    busy = context.session.execute(
        sa.select(snapshot.id, snapshot.status)
        .where(snapshot.volume_id == volume_id, snapshot.deleted_at.is_(None),
               snapshot.status.in_(('creating', 'deleting'))).limit(1)).first()
    if busy is not None:
        raise exceptions.InvalidState(
            kind='snapshot', reason=f'snapshot {busy.id} of the volume is {busy.status}.')


@session.reader
def get(context, migration_id, project_id=None):
    """One record.

    :param project_id: only if the volume belongs to this project
    :raises MigrationNotFound: there is none
    """
    query = sa.select(_Record).where(_Record.id == migration_id)
    if project_id is not None:
        query = query.where(_Record.project_id == project_id)
    found = context.session.execute(query).scalar_one_or_none()
    if found is None:
        raise exceptions.MigrationNotFound(id=migration_id)
    return found


@session.reader
def of_volumes(context, volume_ids):
    """The latest migration of each of some volumes: volume id -> percent and phase.

    One statement, for lists.
    """
    latest = (sa.select(_Record.volume_id, sa.func.max(_Record.created_at).label('at'))
              .where(_Record.volume_id.in_(volume_ids)).group_by(_Record.volume_id).subquery())
    rows = context.session.execute(
        sa.select(_Record.volume_id, _Record.phase, _Record.percent, _Record.method)
        .join(latest, sa.and_(latest.c.volume_id == _Record.volume_id,
                              latest.c.at == _Record.created_at)))
    return {row.volume_id: row for row in rows}


@session.reader
def links(context, migration_id):
    """The links of a chain, oldest first; the head is last."""
    return list(context.session.execute(
        sa.select(_Link).where(_Link.migration_id == migration_id)
        .order_by(_Link.number)).scalars())


@session.reader
def waiting(context, phases, source_host=None):
    """Ids of the records in some phases, oldest first.

    :param source_host: ``host@backend``: only those whose volume is (or was) there
    """
    query = sa.select(_Record.id).where(_Record.phase.in_(phases))
    if source_host is not None:
        query = query.where(_Record.source_host.startswith(source_host + '#'))
    return list(context.session.execute(query.order_by(_Record.created_at)).scalars())
