"""A manifest for tests, and a configuration with keys."""
# SPDX-License-Identifier: Apache-2.0

import copy

from cinder_ext.conf import options
from cinder_ext.objects import manifest_schema

VOLUME_ID = '6f0d3f0a-4c1e-4a61-9d0c-0a0b3b7f1f01'
POINT_ID = '0e9a3c52-3b1f-4f5c-8a5b-6f1d0a7c9e02'
SNAPSHOT_ID = '2b7c6a11-95d4-4b3e-8f0e-1c2d3e4f5a03'
GROUP_ID = '4d5e6f70-8192-4a3b-8c4d-5e6f70819204'
KEY = 'a key of both clouds'

_DOCUMENT = {
    'format': manifest_schema.FORMAT, 'version': 1, 'from_cloud': 'a', 'to_cloud': 'b',
    'issued_at': '2026-03-01T10:00:00.000000Z', 'epoch': 1,
    'point': {'id': POINT_ID, 'taken_at': None},
    'handle': {'backend_id': 'alpha-dr', 'name_id': VOLUME_ID}, 'members': [VOLUME_ID],
    'replication': {'scope': 'volume', 'mode': 'async', 'rpo_seconds': 10},
    'volume': {
        'id': VOLUME_ID, 'name': 'data', 'description': None, 'size': 1, 'project_id': 'project',
        'user_id': 'user', 'availability_zone': 'nova',
        'created_at': '2026-02-01T10:00:00.000000Z', 'bootable': False, 'multiattach': False,
        'encrypted': False, 'metadata': {'a': 'ä'}, 'admin_metadata': {}, 'image_metadata': {}},
    'type': {'name': 'gold', 'extra_specs': {'replication_enabled': '<is> True'}, 'qos': None},
    'snapshots': [], 'group': None,
}


def document(**changes):
    """A manifest of cloud a for cloud b, not signed; ``volume__name=...`` reaches inside."""
    made = copy.deepcopy(_DOCUMENT)
    for path, value in changes.items():
        *rooms, name = path.split('__')
        place = made
        for room in rooms:
            place = place[room]
        place[name] = value
    return made


def conf(cloud='b', keys=None):
    """Options of a cloud that shares KEY with the other one."""
    made = options.new()
    options.parse(made, [])
    made.set_override('cloud', cloud, 'replication')
    made.set_override('peer_keys', {'a' if cloud == 'b' else 'b': KEY} if keys is None else keys,
                      'replication')
    return made
