"""What a host has, summed up by project."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import sqlalchemy as sa

from cinder_ext.db import models, session
from cinder_ext.states import migration as migration_states


@dataclasses.dataclass
class Totals:
    """Volumes and snapshots and their sizes, in GiB."""

    volumes: int = 0
    volumes_gib: int = 0
    snapshots: int = 0
    snapshots_gib: int = 0


@session.reader
def totals(context, host):
    """What the projects have on a backend, in two statements.

    :param host: ``host@backend``
    :returns: project id -> Totals, by project
    """
    volume, snapshot, found = models.Volume, models.Snapshot, {}
    here = (volume.deleted_at.is_(None),
            sa.or_(volume.host == host, volume.host.startswith(host + '#', autoescape=True)))
    for project_id, count, size in context.session.execute(
            sa.select(volume.project_id, sa.func.count(), sa.func.sum(volume.size))
            .where(*here).group_by(volume.project_id).order_by(volume.project_id)):
        found[project_id] = Totals(volumes=count, volumes_gib=int(size))
    for project_id, count, size in context.session.execute(
            sa.select(snapshot.project_id, sa.func.count(), sa.func.sum(snapshot.size))
            .join(volume, volume.id == snapshot.volume_id)
            .where(snapshot.deleted_at.is_(None), *here).group_by(snapshot.project_id)):
        entry = found.setdefault(project_id, Totals())
        entry.snapshots, entry.snapshots_gib = count, int(size)
    return found


@session.writer
def rename(context, current, new):
    """Say that the volumes of a pool are at another one: it was renamed, or its backend was.

    Nothing moves.

    :param current: ``host@backend#pool``, exactly
    :returns: how many volumes there are
    """
    volume = models.Volume
    return context.session.execute(
        sa.update(volume).where(volume.host == current, volume.deleted_at.is_(None))
        .values(host=new, updated_at=volume.updated_at)
        .execution_options(synchronize_session=False)).rowcount


@session.reader
def migrating(context, host):
    """Ids of the migrations that work at a pool, at either end.

    :param host: ``host@backend#pool``, exactly
    """
    record = models.VolumeMigration
    return list(context.session.execute(
        sa.select(record.id)
        .where(record.phase.not_in(migration_states.ENDED),
               sa.or_(record.source_host == host, record.destination_host == host))
        .order_by(record.created_at)).scalars())
