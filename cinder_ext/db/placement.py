"""What the scheduler decides, each decision in one transaction with what follows from it."""
# SPDX-License-Identifier: Apache-2.0

import functools

import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    groups,
    messages,
    models,
    replication_changes,
    replications,
    session,
    transition,
    volume_migrations,
    volume_types,
    volumes,
)
from cinder_ext.states import messages as words
from cinder_ext.states import migration as states
from cinder_ext.states import volume as volume_states

_TRIED = 'tried'
"""In a volume's request: where it failed, and why."""
_ANY_ZONE = 'any_zone'
"""In a volume's request: its zone is only that of its backend."""

_ACTIONS = {'retype': words.RETYPE_VOLUME, 'migrate': words.MIGRATE_VOLUME}


@session.reader
def waiting_volume(context, volume_id):
    """The columns of a volume that is being created and has no host; None for any other.

    Less work than an object: the scheduler is one process.
    """
    return context.session.execute(_waiting_volume(), {'volume_id': volume_id}).one_or_none()


@functools.cache
def _waiting_volume():
    table = models.Volume.__table__
    return sa.select(table).where(
        table.c.id == sa.bindparam('volume_id'), table.c.host.is_(None),
        table.c.deleted_at.is_(None), table.c.status == volume_states.CREATING)


@session.writer
def place_volume(context, volume_id, host, availability_zone=None, replication=None):
    """Give a volume that is being created its host, unless another scheduler was first.

    One that is to be replicated by itself is claimed with it, and ``enabling`` from then on.

    :param host: ``host@backend#pool``
    :param availability_zone: of the host; kept when the volume has none.  None for a volume that
        is known to have one
    :param replication: replications.Wanted; None for a volume that is not replicated by itself
    :returns: whether it was this call
    :raises ReplicationConflict: what is there is replicated in a way that excludes it; the volume
        has no host
    """
    is_placed = _place(context, volume_id, host, availability_zone)
    if is_placed and replication is not None:
        replications.create(context, replication.policy, volume_id, replication.target,
                            replication.values)
    return is_placed


def _place(context, volume_id, host, availability_zone):
    volume = models.Volume
    row = context.session.get(volume, volume_id) if availability_zone is not None else None
    values = {'host': host, 'updated_at': timeutils.utcnow()}
    if row is not None and row.availability_zone is None:
        # Another zone will do as well, should it fail there.
        values['availability_zone'] = availability_zone
        values['request'] = {**(row.request or {}), _ANY_ZONE: True}
    return bool(context.session.execute(
        sa.update(volume)
        .where(volume.id == volume_id, volume.host.is_(None), volume.deleted_at.is_(None),
               volume.status == volume_states.CREATING)
        .values(values).execution_options(synchronize_session=False)).rowcount)


@session.writer
def place_again(context, volume, reason, most_attempts):
    """A backend could not make a volume: another one is to be found, if it was not the last.

    What failed where stays in the volume's request, so that a scheduler that starts later knows.

    :param volume: models.Volume as it was when the create began
    :param reason: why it failed, for operators
    :param most_attempts: backends that are tried
    :returns: True when it waits for the scheduler; False when it is in error now, and its owner
        told; None when it was no longer being created there
    """
    request = dict(volume.request or {})
    tried = [*request.get(_TRIED, []), {'host': volume.host, 'reason': str(reason)[:1000]}]
    request[_TRIED] = tried
    here = (models.Volume.host == volume.host, models.Volume.deleted_at.is_(None))
    if len(tried) >= most_attempts:
        if not transition.try_move(context, volume_states.MACHINE, volume.id, 'create-failed',
                                   {'request': request}, here):
            return None
        messages.create(context, volume.project_id, context.request_id, 'VOLUME', volume.id,
                        words.SCHEDULE_ALLOCATE_VOLUME, words.NO_BACKEND_AVAILABLE,
                        f'Attempts to create it that failed: {len(tried)}.')
        replication_changes.volume_gone(context, volume.id)
        return False
    values = {'request': request, 'host': None, 'updated_at': timeutils.utcnow()}
    if request.pop(_ANY_ZONE, False):
        values['availability_zone'] = None
    changed = context.session.execute(
        sa.update(models.Volume)
        .where(models.Volume.id == volume.id, *here,
               models.Volume.status == volume_states.CREATING)
        .values(values).execution_options(synchronize_session=False)).rowcount
    if not changed:
        return None
    # What was claimed there; another place claims again.
    replication_changes.volume_gone(context, volume.id)
    return True


def tried_hosts(volume):
    """Where the creation of a volume failed: a list of ``host@backend#pool``."""
    return [each['host'] for each in (volume.request or {}).get(_TRIED, [])]


@session.writer
def refuse_volume(context, volume_id, reason):
    """No backend can take a new volume: status ``error`` and a user message.

    :param reason: for the user; names no backend
    :returns: False when it was placed or deleted meanwhile
    """
    if not transition.try_move(context, volume_states.MACHINE, volume_id, 'create-failed',
                               where=(models.Volume.host.is_(None),)):
        return False
    volume = volumes.get(context, volume_id)
    messages.create(context, volume.project_id, context.request_id, 'VOLUME', volume_id,
                    words.SCHEDULE_ALLOCATE_VOLUME, words.NO_BACKEND_AVAILABLE, reason)
    return True


@session.writer
def schedule(context, migration_id, destination_host):
    """A migration has its destination.

    :param destination_host: ``host@backend#pool``
    :returns: False when it was placed before
    """
    return transition.try_move(context, states.MACHINE, migration_id, 'schedule',
                               {'destination_host': destination_host})


@session.writer
def retype_in_place(context, migration_id):
    """The volume's backend serves the new type: the type of volume and snapshots changes.

    :returns: False when it was placed before
    """
    record = volume_migrations.get(context, migration_id)
    if not transition.try_move(context, states.MACHINE, migration_id, 'retype-in-place', {
            'destination_host': record.source_host, 'finished_at': timeutils.utcnow()}):
        return False
    volumes.update(context, record.volume_id, {
        'volume_type_id': record.destination_type_id,
        'multiattach': volume_types.is_multiattach(context, record.destination_type_id)})
    context.session.execute(
        sa.update(models.Snapshot)
        .where(models.Snapshot.volume_id == record.volume_id, models.Snapshot.deleted_at.is_(None))
        .values(volume_type_id=record.destination_type_id,
                updated_at=models.Snapshot.updated_at)
        .execution_options(synchronize_session=False))
    volume_migrations.release(context, record)
    return True


@session.writer
def end(context, migration_id, event, fault, detail_id, checks=None):
    """A migration is not begun: its record says why, the volume is free, its owner is told.

    :param event: ``refuse`` (the volume is as before) or ``fail`` (shown as ``error``)
    :param fault: exceptions.CinderExtError; its message is for operators
    :param detail_id: number of the user message
    :param checks: documents with name, passed, detail and remedy
    :returns: False when it was placed before
    """
    try:
        record = volume_migrations.fail(context, migration_id, event, fault.message, fault.code,
                                        fault.remedy)
    except exceptions.TransitionRefused:
        return False
    volume_migrations.update(context, migration_id, {'checks': checks})
    messages.create(context, record.project_id, record.request_id, 'VOLUME', record.volume_id,
                    _ACTIONS[record.operation], detail_id)
    return True


@session.reader
def source_host(context, volume):
    """Where a volume that is made from a snapshot or a volume, or in a group, has to be.

    :param volume: models.Volume
    :returns: ``host@backend#pool`` of a source, ``host@backend`` of a group; None for any place
    :raises SnapshotNotFound, VolumeNotFound, GroupNotFound: it is gone
    """
    if volume.snapshot_id is not None:
        found = context.session.execute(
            sa.select(models.Volume.host)
            .join(models.Snapshot, models.Snapshot.volume_id == models.Volume.id)
            .where(models.Snapshot.id == volume.snapshot_id,
                   models.Snapshot.deleted_at.is_(None))).scalar()
        if found is None:
            raise exceptions.SnapshotNotFound(id=volume.snapshot_id)
        return found
    if volume.source_volid is not None:
        return volumes.get(context, volume.source_volid).host
    if volume.group_id is not None:
        return groups.get(context, volume.group_id).host.partition('#')[0]
    return None


@session.reader
def hosts_of(context, volume_ids, project_id):
    """Where some volumes of a project are: id -> ``host@backend#pool``.

    What is not there, not placed or of another project is left out.
    """
    if not volume_ids:
        return {}
    volume = models.Volume
    return dict(context.session.execute(
        sa.select(volume.id, volume.host)
        .where(volume.id.in_(volume_ids), volume.project_id == project_id,
               volume.host.is_not(None), volume.deleted_at.is_(None))).all())


@session.reader
def loads(context, backend):
    """What is recorded on each pool: ``host@backend#pool`` -> (volumes, their bytes in all).

    :param backend: ``host@backend``
    """
    volume, host = models.Volume, models.Volume.host
    if context.session.get_bind().dialect.name in ('mysql', 'mariadb'):
        # Its collation puts names together that differ in case.
        host = sa.collate(host, 'utf8mb4_bin')
    rows = context.session.execute(
        sa.select(host.label('pool'), sa.func.count(), sa.func.sum(volume.size))
        .where(volume.host.startswith(backend + '#', autoescape=True),
               volume.deleted_at.is_(None)).group_by(host))
    return {pool: (count, int(size) * 1024 ** 3) for pool, count, size in rows}
