"""Tables around volume types: who may use one, how it encrypts, its quality of service."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import uuidutils
from sqlalchemy import orm

from cinder_ext.db import models


class VolumeTypeProject(models.Base):
    """A project that may use a volume type that is not public."""

    __tablename__ = 'volume_type_projects'

    volume_type_id = orm.mapped_column(models.Id, sa.ForeignKey('volume_types.id'),
                                       primary_key=True)
    project_id = orm.mapped_column(models.Name, primary_key=True, index=True)


class VolumeTypeEncryption(models.Base):
    """``key_size`` is bits; ``control_location`` is ``front-end`` or ``back-end``."""

    __tablename__ = 'volume_type_encryptions'

    volume_type_id = orm.mapped_column(models.Id, sa.ForeignKey('volume_types.id'),
                                       primary_key=True)
    encryption_id = orm.mapped_column(models.Id, nullable=False, default=uuidutils.generate_uuid)
    provider = orm.mapped_column(models.Name, nullable=False)
    cipher = orm.mapped_column(models.Name)
    key_size = orm.mapped_column(sa.Integer)
    control_location = orm.mapped_column(models.Name, nullable=False)


class QosSpecs(models.Base):
    """Named limits; a volume type points to them by ``qos_specs_id``."""

    __tablename__ = 'qos_specs'

    id = orm.mapped_column(models.Id, primary_key=True, default=uuidutils.generate_uuid)
    name = orm.mapped_column(models.Name, nullable=False, unique=True)
    consumer = orm.mapped_column(sa.String(16), nullable=False)


class QosSpec(models.Base):
    """One limit of named ones."""

    __tablename__ = 'qos_specs_values'

    qos_specs_id = orm.mapped_column(models.Id, sa.ForeignKey('qos_specs.id'), primary_key=True)
    key = orm.mapped_column(models.Name, primary_key=True)
    value = orm.mapped_column(models.Name)


class DefaultVolumeType(models.Base):
    """The type of a project's volumes for which none is named."""

    __tablename__ = 'default_volume_types'

    project_id = orm.mapped_column(models.Name, primary_key=True)
    volume_type_id = orm.mapped_column(models.Id, sa.ForeignKey('volume_types.id'), nullable=False)
