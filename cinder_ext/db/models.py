"""Tables without behaviour.

Ids are UUIDs as text; times are UTC with microseconds and without a zone;
sizes are bytes where the name says so and GiB in ``size`` (the API's unit).
Rows that users delete keep ``deleted_at`` until they are purged.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils, uuidutils
from sqlalchemy import orm
from sqlalchemy.dialects import mysql

Time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
Id = sa.String(36)
Name = sa.String(255)
Document = sa.JSON()

CONVENTION = {
    'ix': 'ix_%(table_name)s_%(column_0_N_name)s',
    'uq': 'uq_%(table_name)s_%(column_0_N_name)s',
    'fk': 'fk_%(table_name)s_%(column_0_name)s',
    'pk': 'pk_%(table_name)s',
}


class Base(orm.DeclarativeBase):
    """Every table: made and changed when, and columns as a dictionary."""

    metadata = sa.MetaData(naming_convention=CONVENTION)
    __table_args__ = {'mysql_engine': 'InnoDB', 'mysql_charset': 'utf8mb4'}

    created_at = orm.mapped_column(Time, default=timeutils.utcnow, nullable=False)
    updated_at = orm.mapped_column(Time, onupdate=timeutils.utcnow)

    def as_dict(self):
        return {column.key: getattr(self, column.key)
                for column in sa.inspect(type(self)).column_attrs}


def _id():
    return orm.mapped_column(Id, primary_key=True, default=uuidutils.generate_uuid)


def _ref(target, **kwargs):
    return orm.mapped_column(Id, sa.ForeignKey(target), **kwargs)


class Service(Base):
    """A running process's part: binary and host; alive while ``updated_at`` is fresh."""

    __tablename__ = 'services'
    __table_args__ = (sa.UniqueConstraint('host', 'binary'), Base.__table_args__)

    id = _id()
    host = orm.mapped_column(Name, nullable=False)
    binary = orm.mapped_column(Name, nullable=False)
    topic = orm.mapped_column(Name)
    report_count = orm.mapped_column(sa.Integer, default=0, nullable=False)
    disabled = orm.mapped_column(sa.Boolean, default=False, nullable=False)
    disabled_reason = orm.mapped_column(Name)
    availability_zone = orm.mapped_column(Name, default='nova')
    frozen = orm.mapped_column(sa.Boolean, default=False, nullable=False,
                               server_default=sa.false())
    replication_status = orm.mapped_column(sa.String(32))
    active_backend_id = orm.mapped_column(Name)


class VolumeType(Base):
    """``live_name`` is the name, and null once the type is deleted: its index keeps it unique."""

    __tablename__ = 'volume_types'

    id = _id()
    name = orm.mapped_column(Name, nullable=False, index=True)
    live_name = orm.mapped_column(Name, index=True, unique=True)
    description = orm.mapped_column(Name)
    is_public = orm.mapped_column(sa.Boolean, default=True, nullable=False)
    qos_specs_id = orm.mapped_column(Id)
    deleted_at = orm.mapped_column(Time)


class VolumeTypeExtraSpec(Base):
    __tablename__ = 'volume_type_extra_specs'

    volume_type_id = _ref('volume_types.id', primary_key=True)
    key = orm.mapped_column(Name, primary_key=True)
    value = orm.mapped_column(Name)


class Volume(Base):
    """``name_id`` is what the backend's name is built from when it is not the id."""

    __tablename__ = 'volumes'
    __table_args__ = (sa.Index('ix_volumes_project_id_created_at', 'project_id', 'created_at'),
                      sa.Index('ix_volumes_quota', 'project_id', 'deleted_at', 'consumes_quota',
                               'volume_type_id', 'size'),
                      Base.__table_args__)

    id = _id()
    name_id = orm.mapped_column(Id)
    project_id = orm.mapped_column(Name, nullable=False)
    user_id = orm.mapped_column(Name, nullable=False)
    name = orm.mapped_column(Name)
    description = orm.mapped_column(sa.Text)
    size = orm.mapped_column(sa.Integer, nullable=False)
    host = orm.mapped_column(Name, index=True)
    availability_zone = orm.mapped_column(Name)
    status = orm.mapped_column(sa.String(32), nullable=False, index=True)
    attach_status = orm.mapped_column(sa.String(32), nullable=False, default='detached')
    migration_status = orm.mapped_column(sa.String(64))
    volume_type_id = _ref('volume_types.id')
    snapshot_id = orm.mapped_column(Id)
    source_volid = orm.mapped_column(Id)
    provider_location = orm.mapped_column(sa.String(1024))
    bootable = orm.mapped_column(sa.Boolean, default=False, nullable=False)
    multiattach = orm.mapped_column(sa.Boolean, default=False, nullable=False)
    consumes_quota = orm.mapped_column(sa.Boolean, default=True, nullable=False)
    group_id = orm.mapped_column(Id, index=True)
    service_uuid = orm.mapped_column(Id)
    shared_targets = orm.mapped_column(sa.Boolean, default=False)
    request = orm.mapped_column(Document)
    encryption_key_id = orm.mapped_column(Id)
    replication_status = orm.mapped_column(sa.String(32))
    previous_status = orm.mapped_column(sa.String(32))
    launched_at = orm.mapped_column(Time)
    terminated_at = orm.mapped_column(Time)
    deleted_at = orm.mapped_column(Time, index=True)


class VolumeMetadata(Base):
    __tablename__ = 'volume_metadata'

    volume_id = _ref('volumes.id', primary_key=True)
    key = orm.mapped_column(Name, primary_key=True)
    value = orm.mapped_column(Name)


class VolumeAdminMetadata(Base):
    """What consumers are told and owners do not write: ``readonly``, ``attached_mode``."""

    __tablename__ = 'volume_admin_metadata'

    volume_id = _ref('volumes.id', primary_key=True)
    key = orm.mapped_column(Name, primary_key=True)
    value = orm.mapped_column(Name)


class VolumeImageMetadata(Base):
    """Properties of the image that a volume was made from, or stands for."""

    __tablename__ = 'volume_image_metadata'

    volume_id = _ref('volumes.id', primary_key=True)
    key = orm.mapped_column(Name, primary_key=True)
    value = orm.mapped_column(sa.Text)


class Snapshot(Base):
    """``size`` is the volume's size in GiB when the snapshot was taken."""

    __tablename__ = 'snapshots'
    __table_args__ = (sa.Index('ix_snapshots_quota', 'project_id', 'deleted_at', 'consumes_quota',
                               'volume_type_id', 'size'),
                      Base.__table_args__)

    id = _id()
    name_id = orm.mapped_column(Id)
    volume_id = _ref('volumes.id', nullable=False, index=True)
    project_id = orm.mapped_column(Name, nullable=False, index=True)
    user_id = orm.mapped_column(Name, nullable=False)
    name = orm.mapped_column(Name)
    description = orm.mapped_column(sa.Text)
    size = orm.mapped_column(sa.Integer, nullable=False)
    status = orm.mapped_column(sa.String(32), nullable=False)
    progress = orm.mapped_column(Name)
    volume_type_id = _ref('volume_types.id')
    provider_location = orm.mapped_column(sa.String(1024))
    consumes_quota = orm.mapped_column(sa.Boolean, default=True, nullable=False)
    group_snapshot_id = orm.mapped_column(Id, index=True)
    encryption_key_id = orm.mapped_column(Id)
    request = orm.mapped_column(Document)
    deleted_at = orm.mapped_column(Time, index=True)


class SnapshotMetadata(Base):
    __tablename__ = 'snapshot_metadata'

    snapshot_id = _ref('snapshots.id', primary_key=True)
    key = orm.mapped_column(Name, primary_key=True)
    value = orm.mapped_column(Name)


class SnapshotImageMetadata(Base):
    """The image properties of a snapshot's volume when it was taken."""

    __tablename__ = 'snapshot_image_metadata'

    snapshot_id = _ref('snapshots.id', primary_key=True)
    key = orm.mapped_column(Name, primary_key=True)
    value = orm.mapped_column(sa.Text)


class SnapshotAdminMetadata(Base):
    """What the service and its drivers note of a snapshot; its owner neither sees nor writes it.

    Of whom a key is, ``states/assisted.py`` says.
    """

    __tablename__ = 'snapshot_admin_metadata'
    __table_args__ = (sa.UniqueConstraint('snapshot_id', 'key'), Base.__table_args__)

    id = orm.mapped_column(sa.Integer, primary_key=True)
    snapshot_id = _ref('snapshots.id', nullable=False)
    key = orm.mapped_column(Name, nullable=False, index=True)
    value = orm.mapped_column(sa.Text)


class Attachment(Base):
    """``connector`` and ``connection_info`` are documents of os-brick's vocabulary."""

    __tablename__ = 'volume_attachments'

    id = _id()
    volume_id = _ref('volumes.id', nullable=False, index=True)
    project_id = orm.mapped_column(Name, nullable=False)
    instance_id = orm.mapped_column(Id, index=True)
    attached_host = orm.mapped_column(Name)
    mountpoint = orm.mapped_column(Name)
    attach_mode = orm.mapped_column(sa.String(8))
    attach_status = orm.mapped_column(sa.String(32), nullable=False)
    attached_at = orm.mapped_column(Time)
    detached_at = orm.mapped_column(Time)
    connector = orm.mapped_column(Document)
    connection_info = orm.mapped_column(Document)
    deleted_at = orm.mapped_column(Time)


class Message(Base):
    """A user message: what went wrong after the request had been accepted."""

    __tablename__ = 'messages'

    id = _id()
    project_id = orm.mapped_column(Name, nullable=False, index=True)
    request_id = orm.mapped_column(Name)
    resource_type = orm.mapped_column(Name)
    resource_uuid = orm.mapped_column(Id)
    action_id = orm.mapped_column(sa.String(16), nullable=False)
    detail_id = orm.mapped_column(sa.String(16))
    event_id = orm.mapped_column(Name, nullable=False)
    message_level = orm.mapped_column(sa.String(16), nullable=False)
    user_message = orm.mapped_column(sa.Text)
    expires_at = orm.mapped_column(Time)


class VolumeMigration(Base):
    """One migration of one volume: what was asked, what is agreed, how far it is.

    ``requested_policy`` is the word of os-retype; ``attempt`` counts the processes that have
    worked on it: the fencing number of its lease, which ``owner`` holds as long as ``beat`` grows.
    ``doubtful_attempt`` is the last one that began although the owner before it may live; the
    destination's names are free of such owners since ``superseded_attempt``.
    ``bandwidth`` is in bytes per second.  Figures are bytes and cover the whole chain.
    ``claimed_bytes`` and ``claimed_virtual_bytes`` are taken of the destination's pool.
    ``server_id``, ``shadow_volume_id`` and ``compute`` belong to an attached volume.
    """

    __tablename__ = 'volume_migrations'

    id = _id()
    volume_id = _ref('volumes.id', nullable=False, index=True)
    project_id = orm.mapped_column(Name, nullable=False)
    user_id = orm.mapped_column(Name)
    request_id = orm.mapped_column(Name)
    operation = orm.mapped_column(sa.String(16), nullable=False)
    phase = orm.mapped_column(sa.String(32), nullable=False, index=True)
    requested_policy = orm.mapped_column(sa.String(64))
    include_snapshots = orm.mapped_column(sa.Boolean, default=False, nullable=False)
    force_copy = orm.mapped_column(sa.Boolean, default=False, nullable=False)
    verify = orm.mapped_column(sa.String(16))
    method = orm.mapped_column(sa.String(32))
    source_host = orm.mapped_column(Name, index=True)
    destination_host = orm.mapped_column(Name, index=True)
    source_type_id = orm.mapped_column(Id)
    destination_type_id = orm.mapped_column(Id)
    source_name_id = orm.mapped_column(Id)
    destination_name_id = orm.mapped_column(Id)
    source_location = orm.mapped_column(sa.String(1024))
    destination_location = orm.mapped_column(sa.String(1024))
    previous_status = orm.mapped_column(sa.String(32))
    attempt = orm.mapped_column(sa.Integer, default=0, nullable=False)
    checks = orm.mapped_column(Document)
    promises = orm.mapped_column(Document)
    leftovers = orm.mapped_column(Document)
    lock_volume = orm.mapped_column(sa.Boolean, default=False, server_default=sa.false(),
                                    nullable=False)
    yield_to_attach = orm.mapped_column(sa.Boolean, default=False, server_default=sa.false(),
                                        nullable=False)
    bandwidth = orm.mapped_column(sa.BigInteger)
    retry_of = orm.mapped_column(Id)
    owner = orm.mapped_column(Name)
    beat = orm.mapped_column(sa.Integer, default=0, server_default='0', nullable=False)
    doubtful_attempt = orm.mapped_column(sa.Integer, default=0, server_default='0', nullable=False)
    superseded_attempt = orm.mapped_column(sa.Integer, default=0, server_default='0', nullable=False)
    claimed_bytes = orm.mapped_column(sa.BigInteger)
    claimed_virtual_bytes = orm.mapped_column(sa.BigInteger)
    server_id = orm.mapped_column(Id)
    shadow_volume_id = orm.mapped_column(Id, index=True)
    compute = orm.mapped_column(Document)
    progress_note = orm.mapped_column(Name)
    retries = orm.mapped_column(sa.Integer, default=0, server_default='0', nullable=False)
    seconds_paused = orm.mapped_column(sa.Float, default=0, server_default='0', nullable=False)
    paused_at = orm.mapped_column(Time)
    swap_requested_at = orm.mapped_column(Time)
    bytes_total = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_done = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_read = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_written = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_skipped = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_verified = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_per_second = orm.mapped_column(sa.BigInteger)
    percent = orm.mapped_column(sa.Integer)
    progress_updated_at = orm.mapped_column(Time)
    read_back = orm.mapped_column(sa.String(32))
    digest = orm.mapped_column(sa.String(64))
    digest_algorithm = orm.mapped_column(sa.String(64))
    error = orm.mapped_column(sa.Text)
    error_code = orm.mapped_column(Name)
    remedy = orm.mapped_column(sa.Text)
    started_at = orm.mapped_column(Time)
    committed_at = orm.mapped_column(Time)
    finished_at = orm.mapped_column(Time)


class MigrationLink(Base):
    """One snapshot, or the head (``snapshot_id`` null), of a migrating chain, oldest first.

    ``position`` is the checkpoint, in bytes from the link's start: all before it is on disk at
    the destination.  ``sealed_at``: the destination's snapshot exists.
    """

    __tablename__ = 'volume_migration_links'

    migration_id = _ref('volume_migrations.id', primary_key=True)
    number = orm.mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    snapshot_id = orm.mapped_column(Id)
    size_bytes = orm.mapped_column(sa.BigInteger, nullable=False)
    source_name_id = orm.mapped_column(Id, nullable=False)
    source_location = orm.mapped_column(sa.String(1024))
    destination_name_id = orm.mapped_column(Id, nullable=False)
    destination_location = orm.mapped_column(sa.String(1024))
    bytes_total = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_done = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_read = orm.mapped_column(sa.BigInteger, default=0, server_default='0', nullable=False)
    bytes_written = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    bytes_skipped = orm.mapped_column(sa.BigInteger, default=0, server_default='0', nullable=False)
    retries = orm.mapped_column(sa.Integer, default=0, server_default='0', nullable=False)
    position = orm.mapped_column(sa.BigInteger, default=0, nullable=False)
    digest = orm.mapped_column(sa.String(64))
    started_at = orm.mapped_column(Time)
    copied_at = orm.mapped_column(Time)
    sealed_at = orm.mapped_column(Time)
    verified_at = orm.mapped_column(Time)
    source_removed_at = orm.mapped_column(Time)


class PoolLock(Base):
    """Locked by what claims room of a pool (``host@backend#pool``), until it commits."""

    __tablename__ = 'pool_locks'

    host = orm.mapped_column(Name, primary_key=True)


class MigrationDelta(Base):
    """Which 1 MiB blocks of a segment (1,024 blocks) a link wrote, and their digests.

    A bitmap of 128 bytes, then 32 bytes per written block: at most 32,896 bytes.
    """

    __tablename__ = 'volume_migration_deltas'

    migration_id = _ref('volume_migrations.id', primary_key=True)
    number = orm.mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    segment = orm.mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    delta = orm.mapped_column(sa.LargeBinary, nullable=False)
