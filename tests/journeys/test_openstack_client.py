"""The ``openstack`` command, as it comes from PyPI and with our plugin, against the service."""
# SPDX-License-Identifier: Apache-2.0

import json
import subprocess
import sys

import pytest

OPENSTACK = 'import sys; from openstackclient.shell import main; sys.exit(main())'


@pytest.fixture
def openstack(service):
    """Run one line of the client; its standard output, decoded when it is JSON."""
    def run(line, as_json=True, fails=False):
        words = [*line.split(), *(['-f', 'json'] if as_json else [])]
        done = subprocess.run([sys.executable, '-c', OPENSTACK, *words], capture_output=True,
                              text=True, timeout=60, env=service.client_environment(), check=False)
        assert (done.returncode != 0) == fails, done.stderr
        if fails:
            return done.stderr
        return json.loads(done.stdout) if as_json else done.stdout + done.stderr
    return run


def test_stock_client_creates_snapshots_retypes_and_shows(openstack, service):
    assert {item['Name'] for item in openstack('volume type list')} == {'alpha', 'beta'}
    volume = openstack('volume create --type alpha --size 1 plain')
    service.api.wait_volume(volume['id'])
    openstack('volume set --type beta --retype-policy on-demand plain', as_json=False)
    service.api.wait_migration(service.api.latest_migration(volume['id'])['id'])
    shown = openstack('volume show plain')
    assert shown['os-vol-host-attr:host'] == 'host@beta#beta'
    assert (shown['status'], shown['type'], shown['id']) == ('available', 'beta', volume['id'])
    snapshot = openstack('volume snapshot create --volume plain plain-1')
    assert service.api.wait_snapshot(snapshot['id'])['volume_id'] == volume['id']


def test_plugin_moves_a_volume_with_its_snapshots(openstack, service):
    volume = service.api.create_volume(1, name='chain', volume_type='alpha')
    attachment_id, device = service.api.attach(volume['id'])
    with open(device, 'r+b') as stream:
        stream.write(b'one' * 1000000)
    service.api.detach(attachment_id, volume['id'])
    snapshot = service.api.create_snapshot(volume['id'], 'chain-1')
    started = openstack('volume migration create --type beta --include-snapshots chain')
    assert started['volume_id'] == volume['id']
    watched = openstack('volume migration show --watch chain', as_json=False)
    assert 'finished' in watched
    assert '100 %' in watched
    listed, = openstack('volume migration list --volume chain --long')
    assert (listed['ID'], listed['Phase'], listed['Percent']) == (started['id'], 'finished', 100)
    by_id = openstack(f"volume migration show {started['id']}")
    assert by_id['destination'] == 'host@beta#beta (type beta)'
    assert by_id['include_snapshots'] is True
    assert snapshot['id'] in by_id['links']
    assert service.api.volume(volume['id'])['os-vol-host-attr:host'] == 'host@beta#beta'


def test_plugin_moves_to_a_named_host_and_waits(openstack, service):
    service.api.create_type('anywhere', {})
    volume = service.api.create_volume(1, name='there', volume_type='anywhere')
    here = volume['os-vol-host-attr:host']
    there = {'host@alpha#alpha': 'host@beta#beta', 'host@beta#beta': 'host@alpha#alpha'}[here]
    said = openstack(f'volume migration create --host {there} --lock-volume --wait there',
                     as_json=False)
    assert 'finished' in said
    moved = service.api.volume(volume['id'])
    assert moved['os-vol-host-attr:host'] == there
    assert moved['status'] == 'available'


def test_plugin_says_what_the_service_says_when_it_refuses(openstack, service):
    service.api.create_volume(1, name='same', volume_type='alpha')
    said = openstack('volume migration create --host host@alpha#alpha same', fails=True)
    assert 'is on host@alpha#alpha already' in said
    said = openstack('volume migration show same', fails=True)
    assert 'has never been migrated' in said
