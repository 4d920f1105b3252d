"""Tables of replication: what is protected, who claims what, and what was done about it."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import uuidutils
from sqlalchemy import orm

from cinder_ext.db import models


def _id():
    return orm.mapped_column(models.Id, primary_key=True, default=uuidutils.generate_uuid)


def _number(kind=sa.Integer):
    return orm.mapped_column(kind, default=0, server_default='0', nullable=False)


def _flag(default=False):
    return orm.mapped_column(sa.Boolean, default=default, nullable=False,
                             server_default=sa.true() if default else sa.false())


class Replication(models.Base):
    """One protected thing, of one scope, and one target.

    ``protected_id`` is the id of a volume or group, or ``host@backend#pool``, or
    ``host@backend``; ``home`` is the ``host@backend`` whose service ships.  ``live_key`` is scope,
    protected id and target, and null once it has ended: its index keeps them unique.
    ``source_side`` and ``destination_side`` say what ships where now (null: the home array).
    ``rpo_seconds`` is what was asked for, ``interval_seconds`` how often a point is shipped.
    ``point_id`` and ``last_consistent_at`` are of the newest point that is whole at the destination.
    ``owner``, ``attempt`` and ``beat`` are the shipper's lease.
    """

    __tablename__ = 'replications'

    id = _id()
    scope = orm.mapped_column(sa.String(16), nullable=False)
    protected_id = orm.mapped_column(models.Name, nullable=False, index=True)
    live_key = orm.mapped_column(sa.String(600), unique=True)
    project_id = orm.mapped_column(models.Name, index=True)
    user_id = orm.mapped_column(models.Name)
    request_id = orm.mapped_column(models.Name)
    home = orm.mapped_column(models.Name, nullable=False, index=True)
    target = orm.mapped_column(models.Name, nullable=False)
    cross_os = _flag()
    mode = orm.mapped_column(sa.String(16), nullable=False)
    topology = orm.mapped_column(sa.String(32), nullable=False)
    auto_failover = orm.mapped_column(sa.String(16), nullable=False)
    state = orm.mapped_column(sa.String(32), nullable=False, index=True)
    source_side = orm.mapped_column(models.Name)
    destination_side = orm.mapped_column(models.Name)
    is_shipping = _flag(True)
    epoch = _number(sa.BigInteger)
    conditions = orm.mapped_column(models.Document)
    policy = orm.mapped_column(models.Document)
    rpo_seconds = orm.mapped_column(sa.Integer)
    interval_seconds = orm.mapped_column(sa.Integer, nullable=False)
    retention = orm.mapped_column(sa.Integer, nullable=False)
    point_id = orm.mapped_column(models.Id)
    last_consistent_at = orm.mapped_column(models.Time)
    bytes_pending = orm.mapped_column(sa.BigInteger)
    bytes_shipped = _number(sa.BigInteger)
    ship_asked_at = orm.mapped_column(models.Time)
    breached_at = orm.mapped_column(models.Time)
    error = orm.mapped_column(sa.Text)
    error_code = orm.mapped_column(models.Name)
    remedy = orm.mapped_column(sa.Text)
    owner = orm.mapped_column(models.Name)
    attempt = _number()
    beat = _number()
    doubtful_attempt = _number()
    deleted_at = orm.mapped_column(models.Time, index=True)


class ReplicationMember(models.Base):
    """A volume that a replication protects; ``point_id`` is the newest point that it is part of."""

    __tablename__ = 'replication_members'
    __table_args__ = (sa.UniqueConstraint('replication_id', 'volume_id'), models.Base.__table_args__)

    id = _id()
    replication_id = orm.mapped_column(models.Id, sa.ForeignKey('replications.id'), nullable=False)
    volume_id = orm.mapped_column(models.Id, sa.ForeignKey('volumes.id'), nullable=False, index=True)
    point_id = orm.mapped_column(models.Id)
    last_consistent_at = orm.mapped_column(models.Time)
    epoch = _number(sa.BigInteger)


class ReplicationClaim(models.Base):
    """Who protects a volume or container: a scope and a protected id; null: nobody.

    ``kind`` is ``volume`` (key: its id) or ``container`` (key: ``group:ID``, ``pool:HOST`` or
    ``backend:HOST``).  A row that nobody claims is a lock.
    """

    __tablename__ = 'replication_claims'

    kind = orm.mapped_column(sa.String(16), primary_key=True)
    key = orm.mapped_column(models.Name, primary_key=True)
    scope = orm.mapped_column(sa.String(16))
    protected_id = orm.mapped_column(models.Name)


class ReplicationOperation(models.Base):
    """A verb on its way: what was asked, and how far it is.

    ``home`` is the ``host@backend`` whose volumes it is about; another host's service may work on
    it.  ``discard`` is the side whose content a resync gives up.
    """

    __tablename__ = 'replication_operations'

    id = _id()
    verb = orm.mapped_column(sa.String(16), nullable=False)
    scope = orm.mapped_column(sa.String(16), nullable=False)
    protected_id = orm.mapped_column(models.Name, index=True)
    selector = orm.mapped_column(models.Document)
    replication_id = orm.mapped_column(models.Id, index=True)
    project_id = orm.mapped_column(models.Name, index=True)
    user_id = orm.mapped_column(models.Name)
    request_id = orm.mapped_column(models.Name)
    home = orm.mapped_column(models.Name, index=True)
    target = orm.mapped_column(models.Name)
    force = _flag()
    dry_run = _flag()
    allow_attached = _flag()
    reattach = _flag()
    consistency = orm.mapped_column(sa.String(16))
    discard = orm.mapped_column(models.Name)
    point_id = orm.mapped_column(models.Id)
    expires_at = orm.mapped_column(models.Time)
    state = orm.mapped_column(sa.String(16), nullable=False, index=True)
    facts = orm.mapped_column(models.Document)
    error = orm.mapped_column(sa.Text)
    error_code = orm.mapped_column(models.Name)
    remedy = orm.mapped_column(sa.Text)
    owner = orm.mapped_column(models.Name)
    attempt = _number()
    beat = _number()
    doubtful_attempt = _number()
    started_at = orm.mapped_column(models.Time)
    finished_at = orm.mapped_column(models.Time)


class ReplicationOperationMember(models.Base):
    """What an operation did for one volume; ``step`` is the last one that is done.

    ``former_status`` and ``former_replication_status`` are what a failback restores;
    ``attachments`` says per server what is still to be done.
    """

    __tablename__ = 'replication_operation_members'
    __table_args__ = (sa.UniqueConstraint('operation_id', 'volume_id'), models.Base.__table_args__)

    id = _id()
    operation_id = orm.mapped_column(models.Id, sa.ForeignKey('replication_operations.id'),
                                     nullable=False)
    volume_id = orm.mapped_column(models.Id, nullable=False, index=True)
    replication_id = orm.mapped_column(models.Id)
    result = orm.mapped_column(sa.String(16), nullable=False)
    step = orm.mapped_column(sa.String(32))
    former_status = orm.mapped_column(sa.String(32))
    former_replication_status = orm.mapped_column(sa.String(32))
    epoch = _number(sa.BigInteger)
    point_id = orm.mapped_column(models.Id)
    last_consistent_at = orm.mapped_column(models.Time)
    loss_seconds = orm.mapped_column(sa.Float)
    location = orm.mapped_column(sa.String(1024))
    clone_volume_id = orm.mapped_column(models.Id)
    attachments = orm.mapped_column(models.Document)
    error = orm.mapped_column(sa.Text)
    error_code = orm.mapped_column(models.Name)
    remedy = orm.mapped_column(sa.Text)
    finished_at = orm.mapped_column(models.Time)


class ReplicationTombstone(models.Base):
    """A volume that was handed to another cloud at some epoch: it is not taken back at that one."""

    __tablename__ = 'replication_tombstones'
    __table_args__ = (sa.UniqueConstraint('volume_id', 'epoch'), models.Base.__table_args__)

    id = _id()
    volume_id = orm.mapped_column(models.Id, nullable=False)
    epoch = orm.mapped_column(sa.BigInteger, nullable=False)
    peer = orm.mapped_column(models.Name)
    project_id = orm.mapped_column(models.Name)
    handle = orm.mapped_column(models.Document)
