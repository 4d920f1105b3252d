"""Tables about projects: how much each may have, and volumes on their way to another one."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import uuidutils
from sqlalchemy import orm

from cinder_ext.db import models


class Quota(models.Base):
    """A project's own limit of a resource; -1 for none."""

    __tablename__ = 'quotas'

    project_id = orm.mapped_column(models.Name, primary_key=True)
    resource = orm.mapped_column(models.Name, primary_key=True)
    hard_limit = orm.mapped_column(sa.Integer, nullable=False)


class QuotaClass(models.Base):
    """The limit of all projects without their own, in the class ``default``."""

    __tablename__ = 'quota_classes'

    class_name = orm.mapped_column(models.Name, primary_key=True)
    resource = orm.mapped_column(models.Name, primary_key=True)
    hard_limit = orm.mapped_column(sa.Integer, nullable=False)


class ProjectLock(models.Base):
    """Locked by what counts a project's resources and adds to them, until it commits."""

    __tablename__ = 'project_locks'

    project_id = orm.mapped_column(models.Name, primary_key=True)


class Transfer(models.Base):
    """A volume offered to another project; of the key only a salted hash is kept."""

    __tablename__ = 'transfers'

    id = orm.mapped_column(models.Id, primary_key=True, default=uuidutils.generate_uuid)
    volume_id = orm.mapped_column(models.Id, sa.ForeignKey('volumes.id'), nullable=False,
                                  index=True)
    name = orm.mapped_column(models.Name)
    salt = orm.mapped_column(models.Name, nullable=False)
    key_hash = orm.mapped_column(models.Name, nullable=False)
    no_snapshots = orm.mapped_column(sa.Boolean, default=False, nullable=False)
    source_project_id = orm.mapped_column(models.Name, nullable=False, index=True)
    destination_project_id = orm.mapped_column(models.Name)
    accepted = orm.mapped_column(sa.Boolean, default=False, nullable=False)
    deleted_at = orm.mapped_column(models.Time)
