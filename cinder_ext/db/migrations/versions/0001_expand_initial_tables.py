"""Initial tables"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

revision = '0001_expand'
down_revision = None
branch_labels = ('expand',)
depends_on = None


def upgrade():
    op.create_table('messages',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('request_id', sa.String(length=255), nullable=True),
        sa.Column('resource_type', sa.String(length=255), nullable=True),
        sa.Column('resource_uuid', sa.String(length=36), nullable=True),
        sa.Column('action_id', sa.String(length=16), nullable=False),
        sa.Column('detail_id', sa.String(length=16), nullable=True),
        sa.Column('event_id', sa.String(length=255), nullable=False),
        sa.Column('message_level', sa.String(length=16), nullable=False),
        sa.Column('user_message', sa.Text(), nullable=True),
        sa.Column('expires_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_messages')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    with op.batch_alter_table('messages', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_messages_project_id'), ['project_id'], unique=False)

    op.create_table('services',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('binary', sa.String(length=255), nullable=False),
        sa.Column('topic', sa.String(length=255), nullable=True),
        sa.Column('report_count', sa.Integer(), nullable=False),
        sa.Column('disabled', sa.Boolean(), nullable=False),
        sa.Column('disabled_reason', sa.String(length=255), nullable=True),
        sa.Column('availability_zone', sa.String(length=255), nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_services')),
        sa.UniqueConstraint('host', 'binary', name=op.f('uq_services_host_binary')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    op.create_table('volume_types',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('description', sa.String(length=255), nullable=True),
        sa.Column('is_public', sa.Boolean(), nullable=False),
        sa.Column('qos_specs_id', sa.String(length=36), nullable=True),
        sa.Column('deleted_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_types')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    with op.batch_alter_table('volume_types', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_volume_types_name'), ['name'], unique=False)

    op.create_table('volume_type_extra_specs',
        sa.Column('volume_type_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.String(length=255), nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['volume_type_id'], ['volume_types.id'], name=op.f('fk_volume_type_extra_specs_volume_type_id')),
        sa.PrimaryKeyConstraint('volume_type_id', 'key', name=op.f('pk_volume_type_extra_specs')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    op.create_table('volumes',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('name_id', sa.String(length=36), nullable=True),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=True),
        sa.Column('description', sa.Text(), nullable=True),
        sa.Column('size', sa.Integer(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=True),
        sa.Column('availability_zone', sa.String(length=255), nullable=True),
        sa.Column('status', sa.String(length=32), nullable=False),
        sa.Column('attach_status', sa.String(length=32), nullable=False),
        sa.Column('migration_status', sa.String(length=64), nullable=True),
        sa.Column('volume_type_id', sa.String(length=36), nullable=True),
        sa.Column('snapshot_id', sa.String(length=36), nullable=True),
        sa.Column('source_volid', sa.String(length=36), nullable=True),
        sa.Column('provider_location', sa.String(length=1024), nullable=True),
        sa.Column('bootable', sa.Boolean(), nullable=False),
        sa.Column('multiattach', sa.Boolean(), nullable=False),
        sa.Column('consumes_quota', sa.Boolean(), nullable=False),
        sa.Column('group_id', sa.String(length=36), nullable=True),
        sa.Column('service_uuid', sa.String(length=36), nullable=True),
        sa.Column('shared_targets', sa.Boolean(), nullable=True),
        sa.Column('request', sa.JSON(), nullable=True),
        sa.Column('launched_at', TIME, nullable=True),
        sa.Column('terminated_at', TIME, nullable=True),
        sa.Column('deleted_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['volume_type_id'], ['volume_types.id'], name=op.f('fk_volumes_volume_type_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_volumes')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    with op.batch_alter_table('volumes', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_volumes_deleted_at'), ['deleted_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_volumes_host'), ['host'], unique=False)
        batch_op.create_index('ix_volumes_project_id_created_at', ['project_id', 'created_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_volumes_status'), ['status'], unique=False)

    op.create_table('snapshots',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('name_id', sa.String(length=36), nullable=True),
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=True),
        sa.Column('description', sa.Text(), nullable=True),
        sa.Column('size', sa.Integer(), nullable=False),
        sa.Column('status', sa.String(length=32), nullable=False),
        sa.Column('progress', sa.String(length=255), nullable=True),
        sa.Column('volume_type_id', sa.String(length=36), nullable=True),
        sa.Column('provider_location', sa.String(length=1024), nullable=True),
        sa.Column('consumes_quota', sa.Boolean(), nullable=False),
        sa.Column('group_snapshot_id', sa.String(length=36), nullable=True),
        sa.Column('deleted_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_snapshots_volume_id')),
        sa.ForeignKeyConstraint(['volume_type_id'], ['volume_types.id'], name=op.f('fk_snapshots_volume_type_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_snapshots')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    with op.batch_alter_table('snapshots', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_snapshots_deleted_at'), ['deleted_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_snapshots_project_id'), ['project_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_snapshots_volume_id'), ['volume_id'], unique=False)

    op.create_table('volume_attachments',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('instance_id', sa.String(length=36), nullable=True),
        sa.Column('attached_host', sa.String(length=255), nullable=True),
        sa.Column('mountpoint', sa.String(length=255), nullable=True),
        sa.Column('attach_mode', sa.String(length=8), nullable=True),
        sa.Column('attach_status', sa.String(length=32), nullable=False),
        sa.Column('attached_at', TIME, nullable=True),
        sa.Column('detached_at', TIME, nullable=True),
        sa.Column('connector', sa.JSON(), nullable=True),
        sa.Column('connection_info', sa.JSON(), nullable=True),
        sa.Column('deleted_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_volume_attachments_volume_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_attachments')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    with op.batch_alter_table('volume_attachments', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_volume_attachments_instance_id'), ['instance_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_volume_attachments_volume_id'), ['volume_id'], unique=False)

    op.create_table('volume_metadata',
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.String(length=255), nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_volume_metadata_volume_id')),
        sa.PrimaryKeyConstraint('volume_id', 'key', name=op.f('pk_volume_metadata')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    op.create_table('volume_migrations',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=True),
        sa.Column('request_id', sa.String(length=255), nullable=True),
        sa.Column('operation', sa.String(length=16), nullable=False),
        sa.Column('phase', sa.String(length=32), nullable=False),
        sa.Column('requested_policy', sa.String(length=64), nullable=True),
        sa.Column('include_snapshots', sa.Boolean(), nullable=False),
        sa.Column('force_copy', sa.Boolean(), nullable=False),
        sa.Column('verify', sa.String(length=16), nullable=True),
        sa.Column('method', sa.String(length=32), nullable=True),
        sa.Column('source_host', sa.String(length=255), nullable=True),
        sa.Column('destination_host', sa.String(length=255), nullable=True),
        sa.Column('source_type_id', sa.String(length=36), nullable=True),
        sa.Column('destination_type_id', sa.String(length=36), nullable=True),
        sa.Column('source_name_id', sa.String(length=36), nullable=True),
        sa.Column('destination_name_id', sa.String(length=36), nullable=True),
        sa.Column('source_location', sa.String(length=1024), nullable=True),
        sa.Column('destination_location', sa.String(length=1024), nullable=True),
        sa.Column('previous_status', sa.String(length=32), nullable=True),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('checks', sa.JSON(), nullable=True),
        sa.Column('promises', sa.JSON(), nullable=True),
        sa.Column('leftovers', sa.JSON(), nullable=True),
        sa.Column('bytes_total', sa.BigInteger(), nullable=False),
        sa.Column('bytes_done', sa.BigInteger(), nullable=False),
        sa.Column('bytes_read', sa.BigInteger(), nullable=False),
        sa.Column('bytes_written', sa.BigInteger(), nullable=False),
        sa.Column('bytes_skipped', sa.BigInteger(), nullable=False),
        sa.Column('bytes_verified', sa.BigInteger(), nullable=False),
        sa.Column('bytes_per_second', sa.BigInteger(), nullable=True),
        sa.Column('percent', sa.Integer(), nullable=True),
        sa.Column('progress_updated_at', TIME, nullable=True),
        sa.Column('read_back', sa.String(length=32), nullable=True),
        sa.Column('digest', sa.String(length=64), nullable=True),
        sa.Column('digest_algorithm', sa.String(length=64), nullable=True),
        sa.Column('error', sa.Text(), nullable=True),
        sa.Column('error_code', sa.String(length=255), nullable=True),
        sa.Column('remedy', sa.Text(), nullable=True),
        sa.Column('started_at', TIME, nullable=True),
        sa.Column('committed_at', TIME, nullable=True),
        sa.Column('finished_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_volume_migrations_volume_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_volume_migrations')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    with op.batch_alter_table('volume_migrations', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_volume_migrations_destination_host'), ['destination_host'], unique=False)
        batch_op.create_index(batch_op.f('ix_volume_migrations_phase'), ['phase'], unique=False)
        batch_op.create_index(batch_op.f('ix_volume_migrations_source_host'), ['source_host'], unique=False)
        batch_op.create_index(batch_op.f('ix_volume_migrations_volume_id'), ['volume_id'], unique=False)

    op.create_table('snapshot_metadata',
        sa.Column('snapshot_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.String(length=255), nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['snapshot_id'], ['snapshots.id'], name=op.f('fk_snapshot_metadata_snapshot_id')),
        sa.PrimaryKeyConstraint('snapshot_id', 'key', name=op.f('pk_snapshot_metadata')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    op.create_table('volume_migration_deltas',
        sa.Column('migration_id', sa.String(length=36), nullable=False),
        sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('segment', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('delta', sa.LargeBinary(), nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['migration_id'], ['volume_migrations.id'], name=op.f('fk_volume_migration_deltas_migration_id')),
        sa.PrimaryKeyConstraint('migration_id', 'number', 'segment', name=op.f('pk_volume_migration_deltas')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
    op.create_table('volume_migration_links',
        sa.Column('migration_id', sa.String(length=36), nullable=False),
        sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('snapshot_id', sa.String(length=36), nullable=True),
        sa.Column('size_bytes', sa.BigInteger(), nullable=False),
        sa.Column('source_name_id', sa.String(length=36), nullable=False),
        sa.Column('source_location', sa.String(length=1024), nullable=True),
        sa.Column('destination_name_id', sa.String(length=36), nullable=False),
        sa.Column('destination_location', sa.String(length=1024), nullable=True),
        sa.Column('bytes_total', sa.BigInteger(), nullable=False),
        sa.Column('bytes_done', sa.BigInteger(), nullable=False),
        sa.Column('bytes_written', sa.BigInteger(), nullable=False),
        sa.Column('position', sa.BigInteger(), nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=True),
        sa.Column('copied_at', TIME, nullable=True),
        sa.Column('sealed_at', TIME, nullable=True),
        sa.Column('verified_at', TIME, nullable=True),
        sa.Column('source_removed_at', TIME, nullable=True),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME, nullable=True),
        sa.ForeignKeyConstraint(['migration_id'], ['volume_migrations.id'], name=op.f('fk_volume_migration_links_migration_id')),
        sa.PrimaryKeyConstraint('migration_id', 'number', name=op.f('pk_volume_migration_links')),
        mysql_charset='utf8mb4',
        mysql_engine='InnoDB'
    )
