"""Tables of types, groups, quotas, transfers and image properties"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
INNODB = {'mysql_charset': 'utf8mb4', 'mysql_engine': 'InnoDB'}

revision = '0003_expand'
down_revision = '0002_expand'
branch_labels = None
depends_on = None


def upgrade():
    _columns()
    _volume_tables()
    _type_tables()
    _group_tables()
    _project_tables()


def _times():
    return (sa.Column('created_at', TIME, nullable=False), sa.Column('updated_at', TIME))


def _columns():
    op.add_column('services', sa.Column('frozen', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('services', sa.Column('replication_status', sa.String(length=32)))
    op.add_column('services', sa.Column('active_backend_id', sa.String(length=255)))
    op.add_column('snapshots', sa.Column('encryption_key_id', sa.String(length=36)))
    op.add_column('snapshots', sa.Column('request', sa.JSON()))
    op.create_index(op.f('ix_snapshots_group_snapshot_id'), 'snapshots', ['group_snapshot_id'], unique=False)
    op.add_column('volumes', sa.Column('encryption_key_id', sa.String(length=36)))
    op.add_column('volumes', sa.Column('replication_status', sa.String(length=32)))
    op.add_column('volumes', sa.Column('previous_status', sa.String(length=32)))
    op.create_index(op.f('ix_volumes_group_id'), 'volumes', ['group_id'], unique=False)
    for table in ('volumes', 'snapshots'):
        op.create_index(f'ix_{table}_quota', table,
                        ['project_id', 'deleted_at', 'consumes_quota', 'volume_type_id', 'size'],
                        unique=False)


def _type_tables():
    op.create_table('qos_specs',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('consumer', sa.String(length=16), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_qos_specs')),
        sa.UniqueConstraint('name', name=op.f('uq_qos_specs_name')),
        **INNODB)
    op.create_table('qos_specs_values',
        sa.Column('qos_specs_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.String(length=255)),
        *_times(),
        sa.ForeignKeyConstraint(['qos_specs_id'], ['qos_specs.id'], name=op.f('fk_qos_specs_values_qos_specs_id')),
        sa.PrimaryKeyConstraint('qos_specs_id', 'key', name=op.f('pk_qos_specs_values')),
        **INNODB)
    op.create_table('volume_type_projects',
        sa.Column('volume_type_id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        *_times(),
        sa.ForeignKeyConstraint(['volume_type_id'], ['volume_types.id'], name=op.f('fk_volume_type_projects_volume_type_id')),
        sa.PrimaryKeyConstraint('volume_type_id', 'project_id', name=op.f('pk_volume_type_projects')),
        **INNODB)
    op.create_index(op.f('ix_volume_type_projects_project_id'), 'volume_type_projects', ['project_id'], unique=False)
    op.create_table('volume_type_encryptions',
        sa.Column('volume_type_id', sa.String(length=36), nullable=False),
        sa.Column('encryption_id', sa.String(length=36), nullable=False),
        sa.Column('provider', sa.String(length=255), nullable=False),
        sa.Column('cipher', sa.String(length=255)),
        sa.Column('key_size', sa.Integer()),
        sa.Column('control_location', sa.String(length=255), nullable=False),
        *_times(),
        sa.ForeignKeyConstraint(['volume_type_id'], ['volume_types.id'], name=op.f('fk_volume_type_encryptions_volume_type_id')),
        sa.PrimaryKeyConstraint('volume_type_id', name=op.f('pk_volume_type_encryptions')),
        **INNODB)
    op.create_table('default_volume_types',
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('volume_type_id', sa.String(length=36), nullable=False),
        *_times(),
        sa.ForeignKeyConstraint(['volume_type_id'], ['volume_types.id'], name=op.f('fk_default_volume_types_volume_type_id')),
        sa.PrimaryKeyConstraint('project_id', name=op.f('pk_default_volume_types')),
        **INNODB)


def _group_tables():
    op.create_table('group_types',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('live_name', sa.String(length=255)),
        sa.Column('description', sa.String(length=255)),
        sa.Column('is_public', sa.Boolean(), nullable=False),
        sa.Column('deleted_at', TIME),
        *_times(),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_group_types')),
        **INNODB)
    op.create_index(op.f('ix_group_types_live_name'), 'group_types', ['live_name'], unique=True)
    op.create_index(op.f('ix_group_types_name'), 'group_types', ['name'], unique=False)
    op.create_table('group_type_specs',
        sa.Column('group_type_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.String(length=255)),
        *_times(),
        sa.ForeignKeyConstraint(['group_type_id'], ['group_types.id'], name=op.f('fk_group_type_specs_group_type_id')),
        sa.PrimaryKeyConstraint('group_type_id', 'key', name=op.f('pk_group_type_specs')),
        **INNODB)
    op.create_table('groups',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255)),
        sa.Column('description', sa.Text()),
        sa.Column('host', sa.String(length=255)),
        sa.Column('availability_zone', sa.String(length=255)),
        sa.Column('group_type_id', sa.String(length=36), nullable=False),
        sa.Column('status', sa.String(length=32), nullable=False),
        sa.Column('replication_status', sa.String(length=32)),
        sa.Column('group_snapshot_id', sa.String(length=36)),
        sa.Column('source_group_id', sa.String(length=36)),
        sa.Column('request', sa.JSON()),
        sa.Column('deleted_at', TIME),
        *_times(),
        sa.ForeignKeyConstraint(['group_type_id'], ['group_types.id'], name=op.f('fk_groups_group_type_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_groups')),
        **INNODB)
    op.create_index(op.f('ix_groups_deleted_at'), 'groups', ['deleted_at'], unique=False)
    op.create_index(op.f('ix_groups_host'), 'groups', ['host'], unique=False)
    op.create_index('ix_groups_project_id_created_at', 'groups', ['project_id', 'created_at'], unique=False)
    op.create_table('group_volume_types',
        sa.Column('group_id', sa.String(length=36), nullable=False),
        sa.Column('volume_type_id', sa.String(length=36), nullable=False),
        *_times(),
        sa.ForeignKeyConstraint(['group_id'], ['groups.id'], name=op.f('fk_group_volume_types_group_id')),
        sa.ForeignKeyConstraint(['volume_type_id'], ['volume_types.id'], name=op.f('fk_group_volume_types_volume_type_id')),
        sa.PrimaryKeyConstraint('group_id', 'volume_type_id', name=op.f('pk_group_volume_types')),
        **INNODB)
    op.create_table('group_snapshots',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('group_id', sa.String(length=36), nullable=False),
        sa.Column('group_type_id', sa.String(length=36)),
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('user_id', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255)),
        sa.Column('description', sa.Text()),
        sa.Column('status', sa.String(length=32), nullable=False),
        sa.Column('deleted_at', TIME),
        *_times(),
        sa.ForeignKeyConstraint(['group_id'], ['groups.id'], name=op.f('fk_group_snapshots_group_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_group_snapshots')),
        **INNODB)
    op.create_index(op.f('ix_group_snapshots_deleted_at'), 'group_snapshots', ['deleted_at'], unique=False)
    op.create_index(op.f('ix_group_snapshots_group_id'), 'group_snapshots', ['group_id'], unique=False)
    op.create_index(op.f('ix_group_snapshots_project_id'), 'group_snapshots', ['project_id'], unique=False)


def _project_tables():
    op.create_table('quotas',
        sa.Column('project_id', sa.String(length=255), nullable=False),
        sa.Column('resource', sa.String(length=255), nullable=False),
        sa.Column('hard_limit', sa.Integer(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint('project_id', 'resource', name=op.f('pk_quotas')),
        **INNODB)
    op.create_table('quota_classes',
        sa.Column('class_name', sa.String(length=255), nullable=False),
        sa.Column('resource', sa.String(length=255), nullable=False),
        sa.Column('hard_limit', sa.Integer(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint('class_name', 'resource', name=op.f('pk_quota_classes')),
        **INNODB)
    op.create_table('project_locks',
        sa.Column('project_id', sa.String(length=255), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint('project_id', name=op.f('pk_project_locks')),
        **INNODB)
    op.create_table('transfers',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255)),
        sa.Column('salt', sa.String(length=255), nullable=False),
        sa.Column('key_hash', sa.String(length=255), nullable=False),
        sa.Column('no_snapshots', sa.Boolean(), nullable=False),
        sa.Column('source_project_id', sa.String(length=255), nullable=False),
        sa.Column('destination_project_id', sa.String(length=255)),
        sa.Column('accepted', sa.Boolean(), nullable=False),
        sa.Column('deleted_at', TIME),
        *_times(),
        sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_transfers_volume_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_transfers')),
        **INNODB)
    op.create_index(op.f('ix_transfers_source_project_id'), 'transfers', ['source_project_id'], unique=False)
    op.create_index(op.f('ix_transfers_volume_id'), 'transfers', ['volume_id'], unique=False)


def _volume_tables():
    op.create_table('volume_admin_metadata',
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.String(length=255)),
        *_times(),
        sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_volume_admin_metadata_volume_id')),
        sa.PrimaryKeyConstraint('volume_id', 'key', name=op.f('pk_volume_admin_metadata')),
        **INNODB)
    op.create_table('volume_image_metadata',
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.Text()),
        *_times(),
        sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_volume_image_metadata_volume_id')),
        sa.PrimaryKeyConstraint('volume_id', 'key', name=op.f('pk_volume_image_metadata')),
        **INNODB)
    op.create_table('snapshot_image_metadata',
        sa.Column('snapshot_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.Text()),
        *_times(),
        sa.ForeignKeyConstraint(['snapshot_id'], ['snapshots.id'], name=op.f('fk_snapshot_image_metadata_snapshot_id')),
        sa.PrimaryKeyConstraint('snapshot_id', 'key', name=op.f('pk_snapshot_image_metadata')),
        **INNODB)
