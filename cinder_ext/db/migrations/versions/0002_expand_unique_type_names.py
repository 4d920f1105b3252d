"""Names of volume types are unique while the types live"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from alembic import op

revision = '0002_expand'
down_revision = '0001_expand'
branch_labels = None
depends_on = None

_TYPES = sa.table('volume_types', sa.column('id'), sa.column('name'), sa.column('live_name'),
                  sa.column('created_at'), sa.column('deleted_at'))


def upgrade():
    op.add_column('volume_types', sa.Column('live_name', sa.String(length=255), nullable=True))
    _fill()
    op.create_index(op.f('ix_volume_types_live_name'), 'volume_types', ['live_name'], unique=True)


def _fill():
    """Give every type that lives its name; of several with one name the oldest.

    The others were made by a race.  They stay, and serve by their ids.
    """
    connection, taken = op.get_bind(), set()
    rows = connection.execute(
        sa.select(_TYPES.c.id, _TYPES.c.name).where(_TYPES.c.deleted_at.is_(None))
        .order_by(_TYPES.c.created_at, _TYPES.c.id)).all()
    for row in rows:
        # As collations that know no case compare them.
        if row.name.casefold() not in taken:
            taken.add(row.name.casefold())
            connection.execute(sa.update(_TYPES).where(_TYPES.c.id == row.id)
                               .values(live_name=row.name))
