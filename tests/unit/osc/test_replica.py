"""What the commands of replicas ask for, and what they show."""
# SPDX-License-Identifier: Apache-2.0

import json
import logging
import types

import pytest
from osc_lib import exceptions

from cinder_ext.osc import replica, replication_client

VOLUME = '6f0d3f0a-4c1e-4a61-9d0c-0a0b3b7f1f01'
MANIFEST = {'volume': {'id': VOLUME, 'name': 'data'}, 'epoch': 3, 'to_cloud': 'b',
            'handle': {'name_id': VOLUME}, 'point': {'id': 'p'}}
EXPORTED = {'manifest': MANIFEST, 'role': 'primary', 'released': True}
IMPORTED = {'point': {'id': 'p', 'taken_at': '2026-03-01T10:00:00.000000Z', 'age_seconds': 4.0},
            'volumes': [{'id': VOLUME, 'result': 'imported', 'role': 'primary', 'epoch': 3,
                         'other_sides': {'beta-dr': 'unknown'}, 'missing_snapshots': [],
                         'name_id': VOLUME}]}


class _Service:
    """The Block Storage API behind openstacksdk's proxy, as far as these commands see it."""

    def __init__(self, answer):
        self.asked, self._answer = [], answer

    def find_volume(self, name, **_how):
        return types.SimpleNamespace(id=VOLUME)

    def request(self, path, method, microversion, raise_exc, json):
        self.asked.append((method, path, microversion, json))
        return types.SimpleNamespace(status_code=200, content=b'x', json=lambda: self._answer)


def _run(kind, answer, *words):
    service = _Service(answer)
    manager = types.SimpleNamespace(volume_replication=replication_client.Replications(service))
    app = types.SimpleNamespace(client_manager=manager, LOG=logging.getLogger(__name__))
    command = kind(app, None)
    return command.take_action(command.get_parser('openstack').parse_args(words)), service.asked


def test_an_export_shows_the_manifest():
    shown, asked = _run(replica.ExportReplica, {'export-replica': EXPORTED}, 'data')
    assert asked == [('POST', f'/volumes/{VOLUME}/export-replica', '3.76', {'export-replica': {}})]
    shown = dict(zip(*shown, strict=True))
    assert json.loads(shown['manifest']) == MANIFEST
    assert (shown['role'], shown['epoch'], shown['handle']) == ('primary', 3, VOLUME)


def test_a_manifest_goes_to_a_file_and_comes_from_it(tmp_path):
    path = tmp_path / 'manifest.json'
    shown, asked = _run(replica.ExportReplica, {'export-replica': EXPORTED}, 'data', '--target', 'dr',
                        '--clear-existing', '--output', str(path))
    assert asked[0][3] == {'export-replica': {'target': 'dr', 'clear_existing': True}}
    assert 'manifest' not in shown[0]
    _shown, asked = _run(replica.ImportReplica, {'import-replica': IMPORTED}, 'host@beta',
                         '--manifest', str(path))
    assert asked == [('POST', '/volumes/import-replica', '3.76', {
        'import-replica': {'backend': 'host@beta', 'manifest': MANIFEST}})]


def test_an_import_says_at_what_point_the_volumes_stand(caplog):
    shown, asked = _run(
        replica.ImportReplica, {'import-replica': IMPORTED}, 'host@beta', '--handle', VOLUME,
        '--promote', '--force', '--new-id', '--alone', '--type', 'gold=silver', '--project-id', 'p')
    assert asked[0][3]['import-replica'] == {
        'backend': 'host@beta', 'handle': VOLUME, 'promote': True, 'force': True, 'new_id': True,
        'group': False, 'volume_types': {'gold': 'silver'}, 'project_id': 'p'}
    assert shown == (('id', 'result', 'role', 'epoch', 'other_sides', 'missing_snapshots'),
                     [[VOLUME, 'imported', 'primary', 3, {'beta-dr': 'unknown'}, []]])
    assert '2026-03-01T10:00:00.000000Z, 4.0 seconds ago' in caplog.text


@pytest.mark.parametrize('content', [None, 'no JSON'], ids=['missing', 'other'])
def test_a_file_that_holds_no_manifest_is_named(tmp_path, content):
    path = tmp_path / 'manifest.json'
    if content is not None:
        path.write_text(content)
    with pytest.raises(exceptions.CommandError, match='holds no manifest'):
        _run(replica.ImportReplica, {}, 'host@beta', '--manifest', str(path))
