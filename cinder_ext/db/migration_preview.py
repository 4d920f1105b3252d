"""The record that a migration would have: for what looks at one before it is begun."""
# SPDX-License-Identifier: Apache-2.0

from oslo_utils import uuidutils

from cinder_ext.db import models, session, volumes

_ASKED = ('volume_id', 'operation', 'requested_policy', 'destination_host', 'destination_type_id',
          'include_snapshots', 'verify', 'lock_volume', 'force_copy', 'bandwidth',
          'yield_to_attach')
"""Columns that the caller decides; nothing else of a request is believed."""

_DEFAULTS = {'operation': 'migrate', 'include_snapshots': False, 'force_copy': False,
             'lock_volume': False, 'yield_to_attach': False, 'leftovers': None, 'bytes_total': 0,
             'attempt': 0}


@session.reader
def record_of(context, request):
    """A models.VolumeMigration that no session knows: it is never written.

    :param request: columns that the caller decides; volume_id at least
    :raises VolumeNotFound: there is no such volume
    """
    volume = volumes.get(context, request['volume_id'])
    asked = {name: request[name] for name in _ASKED if request.get(name) is not None}
    return models.VolumeMigration(
        id=uuidutils.generate_uuid(), **{**_DEFAULTS, **asked},
        project_id=volume.project_id, user_id=context.user_id, request_id=context.request_id,
        previous_status=volume.status, source_host=volume.host,
        source_type_id=volume.volume_type_id, source_name_id=volume.name_id or volume.id,
        source_location=volume.provider_location,
        destination_name_id=uuidutils.generate_uuid())
