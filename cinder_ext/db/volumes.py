"""Volumes: one row each, and what may begin on them."""
# SPDX-License-Identifier: Apache-2.0

import functools

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import compact, models, project_models, quotas, session, transition
from cinder_ext.states import volume as states

MIGRATING = ('starting', 'migrating', 'completing')
"""Words of ``migration_status`` while a migration keeps everything else away."""


SHADOW = 'target:'
"""How the ``migration_status`` of a shadow volume begins (shadow_volumes.py)."""


def _not_migrating(even_shadow=False):
    word = models.Volume.migration_status
    free = word.not_in(MIGRATING)
    return sa.or_(word.is_(None), free if even_shadow
                  else sa.and_(free, word.not_like(f'{SHADOW}%')))


@session.reader
def get(context, volume_id, project_id=None):
    """One volume.

    :param project_id: only if it belongs to this project
    :raises VolumeNotFound: there is none, or it was deleted
    """
    query = sa.select(models.Volume).where(models.Volume.id == volume_id,
                                           models.Volume.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(models.Volume.project_id == project_id)
    found = context.session.execute(query).scalar_one_or_none()
    if found is None:
        raise exceptions.VolumeNotFound(id=volume_id)
    return found


@session.reader
def row(context, volume_id, columns, project_id=None):
    """Some columns of one volume, for an answer.

    :param columns: names, a tuple
    :param project_id: only if it belongs to this project
    :raises VolumeNotFound: as get
    """
    shape = compact.of_table(models.Volume.__table__, columns)
    as_document = compact.is_compact(context)
    query = _one(shape, as_document, project_id is not None)
    found = shape.rows(context.session.execute(
        query, {'volume_id': volume_id, 'project_id': project_id}), as_document)
    if not found:
        raise exceptions.VolumeNotFound(id=volume_id)
    return found[0]


@functools.cache
def _one(shape, as_document, of_project):
    """Made once: making a statement costs what its execution does."""
    table = models.Volume.__table__.c
    query = sa.select(*shape.selected(as_document)).where(
        table.id == sa.bindparam('volume_id'), table.deleted_at.is_(None))
    if of_project:
        query = query.where(table.project_id == sa.bindparam('project_id'))
    return query


@session.writer
def create(context, values, metadata=None, state=states.CREATING):
    """Record a volume that is to be made, or managed; status ``state``.

    :returns: models.Volume
    :raises OverLimit: the project may not have it; nothing was recorded
    """
    if values.get('consumes_quota', True):
        quotas.admit(context, values['project_id'], {
            'volumes': 1, 'gigabytes': values['size'], quotas.PER_VOLUME: values['size']},
            values.get('volume_type_id'))
    volume = transition.insert(context, states.MACHINE, values, state,
                               also={'attach_status': 'detached'})
    for key, value in (metadata or {}).items():
        context.session.add(models.VolumeMetadata(volume_id=volume.id, key=key, value=value))
    return volume


@session.writer
def update(context, volume_id, values):
    """Set columns that are no status."""
    context.session.execute(
        sa.update(models.Volume).where(models.Volume.id == volume_id)
        .values({**values, 'updated_at': timeutils.utcnow()}))


@session.writer
def begin(context, volume_id, event, action, values=None, where=()):
    """Let a request's event happen to a volume, unless a migration or failover keeps it away.

    :param action: a verb for the refusal: 'be deleted', 'be extended'
    :raises MigrationActive: names the migration
    :raises VolumeFailingOver: names the operation
    :raises InvalidState: the status does not allow it
    :raises VolumeNotFound: there is no such volume
    """
    try:
        transition.move(context, states.MACHINE, volume_id, event, values,
                        (_not_migrating(), models.Volume.deleted_at.is_(None), *where))
    except exceptions.VolumeFailingOver as refusal:
        raise exceptions.VolumeFailingOver(**{**refusal.facts, 'action': action}) from refusal
    except exceptions.TransitionRefused as refusal:
        raise _explained(context, volume_id, action, refusal) from refusal


@session.writer
def hold(context, volume_id, action, statuses, even_shadow=False):
    """Lock the volume's row until the transaction ends, in one of ``statuses``, neither migrating
    nor failed over or back.

    For what happens beside a volume (a snapshot made or deleted, a clone) without changing
    its status: a migration that starts meanwhile waits, or is refused by what was inserted.

    :param even_shadow: a shadow volume too
    :raises MigrationActive, VolumeFailingOver, InvalidState, VolumeNotFound: as begin
    """
    held = context.session.execute(
        sa.update(models.Volume)
        .where(models.Volume.id == volume_id, models.Volume.deleted_at.is_(None),
               models.Volume.status.in_(statuses), _not_migrating(even_shadow),
               transition.not_failing_over())
        .values(updated_at=models.Volume.updated_at)
        .execution_options(synchronize_session=False)).rowcount
    if not held:
        transition.refuse_failing_over(context, volume_id, action)
        current = get(context, volume_id)
        raise _explained(context, volume_id, action, exceptions.TransitionRefused(
            kind='volume', id=volume_id, event=action, column='status', current=current.status,
            expected=', '.join(statuses)))


@session.writer
def lock(context, volume_id):
    """Lock the volume's row until the transaction ends, whatever its status."""
    context.session.execute(
        sa.update(models.Volume).where(models.Volume.id == volume_id)
        .values(updated_at=models.Volume.updated_at)
        .execution_options(synchronize_session=False))


@session.reader
def unfinished(context, host, statuses=(states.CREATING, states.DELETING, states.EXTENDING)):
    """Ids and statuses of the volumes of a backend whose work was recorded and is not done.

    :param host: ``host@backend``; None for volumes that no scheduler has placed yet
    :param statuses: of the journey that asks
    :returns: a list of (id, status), oldest first
    """
    query = sa.select(models.Volume.id, models.Volume.status, models.Volume.host).where(
        models.Volume.deleted_at.is_(None),
        models.Volume.status.in_(statuses),
        models.Volume.host.is_(None) if host is None
        else models.Volume.host.startswith(host + '#', autoescape=True))
    # LIKE does not tell cases apart.
    return [(row.id, row.status)
            for row in context.session.execute(query.order_by(models.Volume.created_at))
            if host is None or row.host.partition('#')[0] == host]


@session.writer
def mark_deleted(context, volume_id, event='deleted'):
    """The backend has removed it, or let it go: the row stays for the purge, its metadata goes.

    :param event: told to the watchers; ``unmanaged`` when the backend still has it
    """
    now = timeutils.utcnow()
    for table in (models.VolumeMetadata, models.VolumeAdminMetadata, models.VolumeImageMetadata):
        context.session.execute(sa.delete(table).where(table.volume_id == volume_id))
    void_transfers(context, volume_id)
    update(context, volume_id, {'deleted_at': now, 'terminated_at': now})
    transition.note(context, 'volume', volume_id, event)


@session.writer
def void_transfers(context, volume_id):
    """No open transfer of the volume can be accepted any more.  Idempotent."""
    table = project_models.Transfer
    context.session.execute(
        sa.update(table).where(table.volume_id == volume_id, table.deleted_at.is_(None))
        .values(deleted_at=timeutils.utcnow()).execution_options(synchronize_session=False))


@session.reader
def metadata(context, volume_id):
    """A volume's metadata as a dictionary."""
    table = models.VolumeMetadata
    return dict(context.session.execute(
        sa.select(table.key, table.value).where(table.volume_id == volume_id)).all())


def _explained(context, volume_id, action, refusal):
    """The error that tells a user why: a migration by its id, else the status."""
    # What is committed now, not what this transaction has read before: the winner of the race.
    volume = context.session.execute(
        sa.select(models.Volume.status, models.Volume.migration_status)
        .where(models.Volume.id == volume_id, models.Volume.deleted_at.is_(None))
        .with_for_update(read=True)).first()
    if volume is None:
        return exceptions.VolumeNotFound(id=volume_id)
    word = volume.migration_status or ''
    if word in MIGRATING or word.startswith(SHADOW):
        record = models.VolumeMigration
        migration_id = context.session.execute(
            sa.select(record.id)
            .where(sa.or_(record.volume_id == volume_id, record.shadow_volume_id == volume_id))
            .order_by(models.VolumeMigration.created_at.desc()).limit(1)
            .with_for_update(read=True)).scalar()
        return exceptions.MigrationActive(volume_id=volume_id, migration_id=migration_id,
                                          action=action)
    return exceptions.InvalidState(
        kind='volume', reason=(f'volume {volume_id} cannot {action}: its status is {volume.status}, '
                               f"expected one of {refusal.facts['expected']}."))
