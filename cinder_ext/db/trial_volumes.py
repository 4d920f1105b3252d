"""The rows of temporary volumes by which a failover is tested: no quota, in no list of a project."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.db import models, session, transition
from cinder_ext.states import volume as states


@session.writer
def create(context, operation, volume_id, source, location):
    """Record a volume that was made of a point.  Idempotent.

    :param operation: the row of the test
    :param source: models.Volume whose point it was
    :param location: of the new volume
    """
    if context.session.get(models.Volume, volume_id) is not None:
        return
    transition.insert(context, states.MACHINE, {
        'id': volume_id, 'project_id': source.project_id, 'user_id': source.user_id,
        'name': f'replication test of {source.name or source.id}',
        'description': f'replication operation {operation.id}; removed by itself',
        'size': source.size, 'host': source.host, 'availability_zone': source.availability_zone,
        'volume_type_id': None, 'bootable': source.bootable, 'consumes_quota': False,
        'provider_location': location, 'encryption_key_id': source.encryption_key_id,
        'launched_at': source.launched_at}, states.AVAILABLE, also={'attach_status': 'detached'})
