"""Replication in the hands of an administrator at the ``openstack`` command: enabled, watched, failed
over and back.
"""
# SPDX-License-Identifier: Apache-2.0

import json

import embedded
import osc_commands
import pytest
import rest

POOL = 'host@alpha#alpha'


@pytest.fixture(scope='module')
def service(tmp_path_factory):
    state = tmp_path_factory.mktemp('embedded')
    (state / 'dr').mkdir()
    made = embedded.EmbeddedService(state / 'state', options={
        'replication': {'cloud': 'a', 'peer_keys': 'b:a key that both clouds have'}})
    made.write_files()
    # An option that is repeated is beyond configparser.
    made.config_file.write_text(made.config_file.read_text().replace('[alpha]\n', f"""[alpha]
replication_device = backend_id:alpha-dr,path:{state}/dr,modes:async,availability_zone:elsewhere
replication_device = backend_id:beta-of-b,path:{state}/state/beta,modes:async,cross_os:true,peer:b
"""))
    with made:
        made.create_types()
        yield made


class Commands:
    """Those that begin with one word, of a client that is started once for all of them."""

    def __init__(self, client, word):
        self._client, self._word = client, word

    def __call__(self, line):
        return self._client(f'{self._word} {line}')

    def do(self, line):
        return self._client.do(f'{self._word} {line}')

    def refused(self, line):
        return self._client.refused(f'{self._word} {line}')


@pytest.fixture(scope='module')
def client(service):
    made = osc_commands.Openstack(service.client_environment(), ['volume'])
    yield made
    made.close()


@pytest.fixture
def openstack(client):
    return Commands(client, 'replication')


@pytest.fixture
def replica(client):
    return Commands(client, 'replica')


def _volume(service, name):
    """A volume on alpha with its name as its content."""
    volume_id = service.api.create_volume(1, name=name, volume_type='alpha')['id']
    _write(service, volume_id, name)
    return volume_id


def _write(service, volume_id, text):
    attachment_id, path = service.api.attach(volume_id)
    with open(path, 'r+b') as stream:
        stream.write(text.encode().ljust(4096))
    service.api.detach(attachment_id, volume_id)


def _read(service, volume_id):
    attachment_id, path = service.api.attach(volume_id)
    with open(path, 'rb') as stream:
        found = stream.read(4096).decode().strip()
    service.api.detach(attachment_id, volume_id)
    return path, found


def _protection(service, volume_id):
    return service.api.volume(volume_id)['replication']


def test_a_pool_is_replicated_failed_over_and_back(service, openstack):
    inside, outside = _volume(service, 'inside'), service.api.create_volume(
        1, name='outside', volume_type='beta')['id']
    made = openstack(f'enable --rpo 4 --retention 2 {POOL}')
    assert (made['scope'], made['protected_id'], made['target'], made['state']) == (
        'pool', POOL, 'alpha-dr', 'enabling')
    assert (made['interval_seconds'], made['policy']) == (2, 'rpo_seconds 4, retention 2')
    rest.wait_for(lambda: openstack(f'show {POOL}')['state'] == 'enabled', 'the first point')
    shown = _protection(service, inside)
    assert (shown['scope'], shown['mode'], shown['target']) == ('pool', 'async', 'alpha-dr')
    assert 0 <= shown['lag_seconds'] < 30
    assert _protection(service, outside) is None
    row, = openstack('list --scope pool --long')
    assert (row['ID'], row['Protected'], row['State'], row['Role']) == (
        made['id'], POOL, 'enabled', 'primary')
    assert 'is not replicated' in openstack.refused('show --scope volume outside')
    _write(service, inside, 'later')

    tried = openstack(f'failover --dry-run --wait {POOL}')
    assert (tried['state'], tried['dry_run']) == ('succeeded', True)
    assert _protection(service, inside)['state'] == 'enabled'
    moved = openstack(f"failover --wait {made['id']}")
    assert moved['members'].startswith(f'{inside}: done')
    assert _protection(service, inside)['state'] == 'failed-over'
    assert openstack(f'show {POOL}')['source'] == 'alpha-dr'
    path, found = _read(service, inside)
    assert (found, '/dr/' in path) == ('later', True)

    openstack(f'reprotect --wait {POOL}')
    _write(service, inside, 'last')
    openstack(f'failback --wait {POOL}')
    path, found = _read(service, inside)
    assert (found, '/state/alpha/' in path) == ('last', True)
    assert _protection(service, inside)['state'] == 'enabled'
    verbs = [row['Verb'] for row in openstack(f"operation list --replication {made['id']}")]
    assert verbs == ['failback', 'reprotect', 'failover', 'failover']
    rows = openstack('operation list --volume inside --action failback')
    assert openstack(f"operation show {rows[0]['ID']}")['state'] == 'succeeded'

    openstack.do(f'disable {POOL}')
    rest.wait_for(lambda: openstack('list') == [], 'the end of the replication')
    assert _protection(service, inside) is None


def test_a_volume_is_paused_synced_and_tested(service, openstack):
    volume_id = _volume(service, 'alone')
    made = openstack('enable --scope volume --schedule "every 1 hours" alone')
    assert (made['rpo_seconds'], made['interval_seconds']) == (None, 3600)
    rest.wait_for(lambda: openstack('show alone')['state'] == 'enabled', 'the first point')
    first = openstack('show alone')['last_consistent_point']
    assert openstack('pause alone')['state'] == 'paused'
    assert 'HTTP 409' in openstack.refused('sync alone')
    assert openstack('resume alone')['state'] == 'enabled'
    openstack('sync --wait alone')
    assert openstack('show alone')['last_consistent_point'] != first
    _write(service, volume_id, 'after')
    tried = openstack(f'test --point {first} --expire 60 --wait alone')
    member, = service.api.get(f"/replication-operations/{tried['id']}")['operation']['members']
    clone = service.api.volume(member['clone_volume_id'])
    assert clone['status'] == 'available'
    assert _read(service, clone['id'])[1] == 'alone'
    assert 'is no side of replication' in openstack.refused('resync --discard nowhere alone')
    said = openstack.refused('failover --volume alone --host host@beta')
    assert 'is not replicated by itself, or not as the selector says' in said
    openstack(f'failover --volume alone --host {POOL} --dry-run --wait')


def test_a_volume_is_shown_to_another_cloud_and_looked_at_there(
        service, openstack, replica, tmp_path):
    _volume(service, 'travelling')
    assert 'is not replicated to another cloud' in replica.refused('export travelling')
    openstack('enable --scope volume --target beta-of-b travelling')
    rest.wait_for(lambda: openstack('show travelling')['state'] == 'enabled', 'the first point')
    shown = replica(f'export --target beta-of-b --output {tmp_path}/manifest travelling')
    assert (shown['role'], shown['released']) == ('secondary', False)
    assert json.loads(replica('export travelling')['manifest'])['volume']['name'] == 'travelling'
    # The backend here has the other cloud's array for its own, and is another cloud to nobody.
    for named in (f'--manifest {tmp_path}/manifest', f"--handle {_id(service, 'travelling')}"):
        said = replica.refused(f'import host@beta --dry-run --type alpha=beta {named}')
        assert 'HTTP 4' in said, said


def _id(service, name):
    found, = service.api.get(f'/volumes?name={name}')['volumes']
    return found['id']
