"""Tables of groups: their types, their members' types, their snapshots.

A volume names its group in ``volumes.group_id``, a snapshot its group snapshot
in ``snapshots.group_snapshot_id``.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import uuidutils
from sqlalchemy import orm

from cinder_ext.db import models


class GroupType(models.Base):
    """``live_name`` is the name, and null once the type is deleted: its index keeps it unique."""

    __tablename__ = 'group_types'

    id = orm.mapped_column(models.Id, primary_key=True, default=uuidutils.generate_uuid)
    name = orm.mapped_column(models.Name, nullable=False, index=True)
    live_name = orm.mapped_column(models.Name, index=True, unique=True)
    description = orm.mapped_column(models.Name)
    is_public = orm.mapped_column(sa.Boolean, default=True, nullable=False)
    deleted_at = orm.mapped_column(models.Time)


class GroupTypeSpec(models.Base):
    __tablename__ = 'group_type_specs'

    group_type_id = orm.mapped_column(models.Id, sa.ForeignKey('group_types.id'), primary_key=True)
    key = orm.mapped_column(models.Name, primary_key=True)
    value = orm.mapped_column(models.Name)


class Group(models.Base):
    """``request`` keeps what was asked and is not done, as volumes' does."""

    __tablename__ = 'groups'
    __table_args__ = (sa.Index('ix_groups_project_id_created_at', 'project_id', 'created_at'),
                      models.Base.__table_args__)

    id = orm.mapped_column(models.Id, primary_key=True, default=uuidutils.generate_uuid)
    project_id = orm.mapped_column(models.Name, nullable=False)
    user_id = orm.mapped_column(models.Name, nullable=False)
    name = orm.mapped_column(models.Name)
    description = orm.mapped_column(sa.Text)
    host = orm.mapped_column(models.Name, index=True)
    availability_zone = orm.mapped_column(models.Name)
    group_type_id = orm.mapped_column(models.Id, sa.ForeignKey('group_types.id'), nullable=False)
    status = orm.mapped_column(sa.String(32), nullable=False)
    replication_status = orm.mapped_column(sa.String(32))
    group_snapshot_id = orm.mapped_column(models.Id)
    source_group_id = orm.mapped_column(models.Id)
    request = orm.mapped_column(models.Document)
    deleted_at = orm.mapped_column(models.Time, index=True)


class GroupVolumeType(models.Base):
    """A volume type whose volumes may be in a group."""

    __tablename__ = 'group_volume_types'

    group_id = orm.mapped_column(models.Id, sa.ForeignKey('groups.id'), primary_key=True)
    volume_type_id = orm.mapped_column(models.Id, sa.ForeignKey('volume_types.id'),
                                       primary_key=True)


class GroupSnapshot(models.Base):
    __tablename__ = 'group_snapshots'

    id = orm.mapped_column(models.Id, primary_key=True, default=uuidutils.generate_uuid)
    group_id = orm.mapped_column(models.Id, sa.ForeignKey('groups.id'), nullable=False, index=True)
    group_type_id = orm.mapped_column(models.Id)
    project_id = orm.mapped_column(models.Name, nullable=False, index=True)
    user_id = orm.mapped_column(models.Name, nullable=False)
    name = orm.mapped_column(models.Name)
    description = orm.mapped_column(sa.Text)
    status = orm.mapped_column(sa.String(32), nullable=False)
    deleted_at = orm.mapped_column(models.Time, index=True)
