"""What a host has, summed up by project."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import sqlalchemy as sa

from cinder_ext.db import models, session


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
