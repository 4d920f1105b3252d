"""Admin metadata of snapshots"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

revision = '0005_expand'
down_revision = '0004_expand'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('snapshot_admin_metadata',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('snapshot_id', sa.String(length=36), nullable=False),
        sa.Column('key', sa.String(length=255), nullable=False),
        sa.Column('value', sa.Text()),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME),
        sa.ForeignKeyConstraint(['snapshot_id'], ['snapshots.id'],
                                name=op.f('fk_snapshot_admin_metadata_snapshot_id')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_snapshot_admin_metadata')),
        sa.UniqueConstraint('snapshot_id', 'key',
                            name=op.f('uq_snapshot_admin_metadata_snapshot_id_key')),
        mysql_engine='InnoDB', mysql_charset='utf8mb4')
    op.create_index(op.f('ix_snapshot_admin_metadata_key'), 'snapshot_admin_metadata', ['key'],
                    unique=False)
