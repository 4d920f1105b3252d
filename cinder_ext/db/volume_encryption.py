"""What a volume type says of the encryption of its volumes."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext.db import session, type_models

COLUMNS = ('control_location', 'cipher', 'key_size', 'provider')


@session.reader
def of_type(context, type_id):
    """How volumes of a type are encrypted: a dictionary of COLUMNS, empty when they are not."""
    if type_id is None:
        return {}
    table = type_models.VolumeTypeEncryption
    found = context.session.execute(
        sa.select(*(getattr(table, name) for name in COLUMNS))
        .where(table.volume_type_id == type_id)).first()
    return {} if found is None else dict(found._mapping)
