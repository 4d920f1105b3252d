"""Replications, their members, claims, operations and tombstones"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

revision = '0006_expand'
down_revision = '0005_expand'
branch_labels = None
depends_on = None


def upgrade():
    _replication_claims()
    _replication_operations()
    _indexes_of_replication_operations()
    _replication_tombstones()
    _replications()
    _indexes_of_replications()
    _replication_operation_members()
    _replication_members()


def _replication_claims():
    op.create_table('replication_claims',
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('scope', sa.String(length=16)),
        sa.Column('protected_id', sa.String(length=255)),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME),
        sa.PrimaryKeyConstraint('kind', 'key', name=op.f('pk_replication_claims')),
        mysql_engine='InnoDB', mysql_charset='utf8mb4')


def _replication_operations():
    op.create_table('replication_operations',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('verb', sa.String(length=16), nullable=False),
        sa.Column('scope', sa.String(length=16), nullable=False),
        sa.Column('protected_id', sa.String(length=255)),
        sa.Column('selector', sa.JSON()),
        sa.Column('replication_id', sa.String(length=36)),
        sa.Column('project_id', sa.String(length=255)),
        sa.Column('user_id', sa.String(length=255)),
        sa.Column('request_id', sa.String(length=255)),
        sa.Column('home', sa.String(length=255)),
        sa.Column('target', sa.String(length=255)),
        sa.Column('force', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('dry_run', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('allow_attached', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('reattach', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('consistency', sa.String(length=16)),
        sa.Column('discard', sa.String(length=255)),
        sa.Column('point_id', sa.String(length=36)),
        sa.Column('expires_at', TIME),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('facts', sa.JSON()),
        sa.Column('error', sa.Text()),
        sa.Column('error_code', sa.String(length=255)),
        sa.Column('remedy', sa.Text()),
        sa.Column('owner', sa.String(length=255)),
        sa.Column('attempt', sa.Integer(), server_default='0', nullable=False),
        sa.Column('beat', sa.Integer(), server_default='0', nullable=False),
        sa.Column('doubtful_attempt', sa.Integer(), server_default='0', nullable=False),
        sa.Column('started_at', TIME),
        sa.Column('finished_at', TIME),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_replication_operations')),
        mysql_engine='InnoDB', mysql_charset='utf8mb4')


def _indexes_of_replication_operations():
    op.create_index(op.f('ix_replication_operations_home'), 'replication_operations',
                    ['home'], unique=False)
    op.create_index(op.f('ix_replication_operations_project_id'), 'replication_operations',
                    ['project_id'], unique=False)
    op.create_index(op.f('ix_replication_operations_protected_id'), 'replication_operations',
                    ['protected_id'], unique=False)
    op.create_index(op.f('ix_replication_operations_replication_id'), 'replication_operations',
                    ['replication_id'], unique=False)
    op.create_index(op.f('ix_replication_operations_state'), 'replication_operations',
                    ['state'], unique=False)


def _replication_tombstones():
    op.create_table('replication_tombstones',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('epoch', sa.BigInteger(), nullable=False),
        sa.Column('peer', sa.String(length=255)),
        sa.Column('project_id', sa.String(length=255)),
        sa.Column('handle', sa.JSON()),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_replication_tombstones')),
        sa.UniqueConstraint('volume_id', 'epoch', name=op.f('uq_replication_tombstones_volume_id_epoch')),
        mysql_engine='InnoDB', mysql_charset='utf8mb4')


def _replications():
    op.create_table('replications',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('scope', sa.String(length=16), nullable=False),
        sa.Column('protected_id', sa.String(length=255), nullable=False),
        sa.Column('live_key', sa.String(length=600)),
        sa.Column('project_id', sa.String(length=255)),
        sa.Column('user_id', sa.String(length=255)),
        sa.Column('request_id', sa.String(length=255)),
        sa.Column('home', sa.String(length=255), nullable=False),
        sa.Column('target', sa.String(length=255), nullable=False),
        sa.Column('cross_os', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('mode', sa.String(length=16), nullable=False),
        sa.Column('topology', sa.String(length=32), nullable=False),
        sa.Column('auto_failover', sa.String(length=16), nullable=False),
        sa.Column('state', sa.String(length=32), nullable=False),
        sa.Column('source_side', sa.String(length=255)),
        sa.Column('destination_side', sa.String(length=255)),
        sa.Column('is_shipping', sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column('epoch', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('conditions', sa.JSON()),
        sa.Column('policy', sa.JSON()),
        sa.Column('rpo_seconds', sa.Integer()),
        sa.Column('interval_seconds', sa.Integer(), nullable=False),
        sa.Column('retention', sa.Integer(), nullable=False),
        sa.Column('point_id', sa.String(length=36)),
        sa.Column('last_consistent_at', TIME),
        sa.Column('bytes_pending', sa.BigInteger()),
        sa.Column('bytes_shipped', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('ship_asked_at', TIME),
        sa.Column('breached_at', TIME),
        sa.Column('error', sa.Text()),
        sa.Column('error_code', sa.String(length=255)),
        sa.Column('remedy', sa.Text()),
        sa.Column('owner', sa.String(length=255)),
        sa.Column('attempt', sa.Integer(), server_default='0', nullable=False),
        sa.Column('beat', sa.Integer(), server_default='0', nullable=False),
        sa.Column('doubtful_attempt', sa.Integer(), server_default='0', nullable=False),
        sa.Column('deleted_at', TIME),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_replications')),
        sa.UniqueConstraint('live_key', name=op.f('uq_replications_live_key')),
        mysql_engine='InnoDB', mysql_charset='utf8mb4')


def _indexes_of_replications():
    op.create_index(op.f('ix_replications_deleted_at'), 'replications',
                    ['deleted_at'], unique=False)
    op.create_index(op.f('ix_replications_home'), 'replications',
                    ['home'], unique=False)
    op.create_index(op.f('ix_replications_project_id'), 'replications',
                    ['project_id'], unique=False)
    op.create_index(op.f('ix_replications_protected_id'), 'replications',
                    ['protected_id'], unique=False)
    op.create_index(op.f('ix_replications_state'), 'replications',
                    ['state'], unique=False)


def _replication_operation_members():
    op.create_table('replication_operation_members',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('operation_id', sa.String(length=36), nullable=False),
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('replication_id', sa.String(length=36)),
        sa.Column('result', sa.String(length=16), nullable=False),
        sa.Column('step', sa.String(length=32)),
        sa.Column('former_status', sa.String(length=32)),
        sa.Column('former_replication_status', sa.String(length=32)),
        sa.Column('epoch', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('point_id', sa.String(length=36)),
        sa.Column('last_consistent_at', TIME),
        sa.Column('loss_seconds', sa.Float()),
        sa.Column('location', sa.String(length=1024)),
        sa.Column('clone_volume_id', sa.String(length=36)),
        sa.Column('attachments', sa.JSON()),
        sa.Column('error', sa.Text()),
        sa.Column('error_code', sa.String(length=255)),
        sa.Column('remedy', sa.Text()),
        sa.Column('finished_at', TIME),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME),
        sa.ForeignKeyConstraint(['operation_id'], ['replication_operations.id'], name=op.f('fk_replication_operation_members_operation_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_replication_operation_members')),
        sa.UniqueConstraint('operation_id', 'volume_id', name=op.f('uq_replication_operation_members_operation_id_volume_id')),
        mysql_engine='InnoDB', mysql_charset='utf8mb4')
    op.create_index(op.f('ix_replication_operation_members_volume_id'), 'replication_operation_members',
                    ['volume_id'], unique=False)


def _replication_members():
    op.create_table('replication_members',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('replication_id', sa.String(length=36), nullable=False),
        sa.Column('volume_id', sa.String(length=36), nullable=False),
        sa.Column('point_id', sa.String(length=36)),
        sa.Column('last_consistent_at', TIME),
        sa.Column('epoch', sa.BigInteger(), server_default='0', nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME),
        sa.ForeignKeyConstraint(['replication_id'], ['replications.id'], name=op.f('fk_replication_members_replication_id')),
        sa.ForeignKeyConstraint(['volume_id'], ['volumes.id'], name=op.f('fk_replication_members_volume_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_replication_members')),
        sa.UniqueConstraint('replication_id', 'volume_id', name=op.f('uq_replication_members_replication_id_volume_id')),
        mysql_engine='InnoDB', mysql_charset='utf8mb4')
    op.create_index(op.f('ix_replication_members_volume_id'), 'replication_members',
                    ['volume_id'], unique=False)
