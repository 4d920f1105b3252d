"""Options, ownership, attached volumes and figures of volume migrations"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')

revision = '0004_expand'
down_revision = '0003_expand'
branch_labels = None
depends_on = None


def upgrade():
    for column in (
            sa.Column('lock_volume', sa.Boolean(), server_default=sa.false(), nullable=False),
            sa.Column('yield_to_attach', sa.Boolean(), server_default=sa.false(), nullable=False),
            sa.Column('bandwidth', sa.BigInteger()),
            sa.Column('retry_of', sa.String(length=36)),
            sa.Column('owner', sa.String(length=255)),
            sa.Column('beat', sa.Integer(), server_default='0', nullable=False),
            sa.Column('doubtful_attempt', sa.Integer(), server_default='0', nullable=False),
            sa.Column('superseded_attempt', sa.Integer(), server_default='0', nullable=False),
            sa.Column('claimed_bytes', sa.BigInteger()),
            sa.Column('claimed_virtual_bytes', sa.BigInteger()),
            sa.Column('server_id', sa.String(length=36)),
            sa.Column('shadow_volume_id', sa.String(length=36)),
            sa.Column('compute', sa.JSON()),
            sa.Column('progress_note', sa.String(length=255)),
            sa.Column('retries', sa.Integer(), server_default='0', nullable=False),
            sa.Column('seconds_paused', sa.Float(), server_default='0', nullable=False),
            sa.Column('paused_at', TIME),
            sa.Column('swap_requested_at', TIME)):
        op.add_column('volume_migrations', column)
    op.create_index(op.f('ix_volume_migrations_shadow_volume_id'), 'volume_migrations',
                    ['shadow_volume_id'], unique=False)
    for column in (
            sa.Column('bytes_read', sa.BigInteger(), server_default='0', nullable=False),
            sa.Column('bytes_skipped', sa.BigInteger(), server_default='0', nullable=False),
            sa.Column('retries', sa.Integer(), server_default='0', nullable=False),
            sa.Column('started_at', TIME)):
        op.add_column('volume_migration_links', column)
    op.create_table('pool_locks',
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('created_at', TIME, nullable=False),
        sa.Column('updated_at', TIME),
        sa.PrimaryKeyConstraint('host', name=op.f('pk_pool_locks')),
        mysql_engine='InnoDB', mysql_charset='utf8mb4')
