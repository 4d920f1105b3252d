"""A migration that a client of the last upstream version starts is what that client expects of it.

The stock ``openstack`` command starts it, and requests at 3.71 look at everything meanwhile.
"""
# SPDX-License-Identifier: Apache-2.0

import random

import embedded
import osc_commands
import pytest
import rest
from stock import MEMBER, STOCK, Stock, assert_only_known_words_came

MIB = 1024 ** 2
HOSTS = ['host@alpha#alpha', 'host@beta#beta']


@pytest.fixture(scope='module')
def service(tmp_path_factory):
    made = embedded.EmbeddedService(tmp_path_factory.mktemp('embedded') / 'state', options={
        'alpha': {'file_copy_bytes_per_second': 8 * MIB}})
    with made:
        made.create_types()
        made.api.create_type('anywhere', {'vendor_name': 'cinder_ext'})
        yield made


@pytest.fixture(scope='module')
def openstack(service):
    made = osc_commands.Openstack(service.client_environment(), ['--os-volume-api-version', STOCK])
    yield made
    made.close()


@pytest.fixture
def stock(service):
    def make(mebibytes, volume_type='alpha', name=None, snapshots=0):
        made = service.api.create_volume(1, volume_type=volume_type, name=name)
        backend = made['os-vol-host-attr:host'].partition('#')[2]
        path = service.state_dir / backend / 'volumes' / f"volume-{made['id']}.raw"
        with open(path, 'r+b') as stream:
            stream.write(random.Random(5).randbytes(mebibytes * MIB))
        for _ in range(snapshots):
            service.api.create_snapshot(made['id'])
        return Stock(service, made['id'])
    return make


def test_migrate_volume_to_a_host(service, openstack, stock):
    moving = stock(12, 'anywhere', 'to-a-host')
    start = moving.seen[0][0]['os-vol-host-attr:host']
    there, = set(HOSTS) - {start}
    openstack.do(f'volume migrate --host {there} to-a-host')
    moving.until('success', 'error')
    assert_only_known_words_came(moving)
    assert moving.history('os-vol-host-attr:host') == [start, there]
    assert moving.history('status') == ['available']
    assert moving.history('volume_type') == ['anywhere']
    assert openstack('volume show to-a-host')['os-vol-host-attr:host'] == there


def test_migrate_volume_that_is_locked(stock):
    moving = stock(12, 'anywhere')
    start = moving.seen[0][0]['os-vol-host-attr:host']
    there, = set(HOSTS) - {start}
    answer = moving.act('os-migrate_volume', {'host': there, 'lock_volume': True})
    assert (answer.status_code, answer.content) == (202, b'')
    moving.until('success', 'error')
    assert_only_known_words_came(moving)
    assert moving.history('status') == ['available', 'maintenance', 'available']
    assert moving.history('os-vol-host-attr:host') == [start, there]


def test_migrate_volume_to_where_its_type_does_not_fit(stock):
    staying = stock(1)
    assert staying.act('os-migrate_volume', {'host': HOSTS[1]}).status_code == 202
    staying.until('error')
    assert staying.history('status') == ['available']
    assert staying.history('os-vol-host-attr:host') == [HOSTS[0]]


def test_retype_on_demand(openstack, stock):
    moving = stock(12, name='on-demand')
    openstack.do('volume set --type beta --retype-policy on-demand on-demand')
    moving.until('success', 'error')
    assert_only_known_words_came(moving)
    assert moving.history('os-vol-host-attr:host') == HOSTS
    assert moving.history('status') == ['available', 'retyping', 'available']
    assert moving.history('volume_type') == ['alpha', 'beta']
    assert openstack('volume show on-demand')['type'] == 'beta'


def test_retype_that_moves_nothing(stock):
    staying = stock(1)
    assert staying.act('os-retype', {'new_type': 'anywhere'}).status_code == 202
    rest.wait_for(lambda: staying.look()['status'] == 'available', 'the retype')
    assert staying.history('volume_type') == ['alpha', 'anywhere']
    assert staying.history('os-vol-host-attr:host') == [HOSTS[0]]
    assert staying.seen[-1][0]['migration_status'] is None


def test_it_survives_a_kill(service, stock):
    moving = stock(24)
    assert moving.act('os-retype', {
        'new_type': 'beta', 'migration_policy': 'on-demand'}).status_code == 202
    moving.until('migrating')
    service.kill()
    service.start()
    moving.until('success', 'error')
    assert_only_known_words_came(moving)
    assert moving.history('os-vol-host-attr:host') == HOSTS


def test_what_is_refused_while_it_runs_is_a_bad_request(service, stock):
    moving = stock(24)
    assert moving.act('os-retype', {
        'new_type': 'beta', 'migration_policy': 'on-demand'}).status_code == 202
    snapshot = {'snapshot': {'volume_id': moving.id, 'force': True}}
    answers = [
        moving.act('os-migrate_volume', {'host': HOSTS[1]}),
        moving.act('os-retype', {'new_type': 'anywhere'}),
        moving.act('os-extend', {'new_size': 2}),
        moving.act('os-force_delete', {}),
        service.api.request('DELETE', f'/volumes/{moving.id}', microversion=STOCK),
        service.api.request('POST', '/snapshots', snapshot, microversion=STOCK)]
    assert moving.look()['status'] == 'retyping', 'it was over too soon'
    assert [each.status_code for each in answers] == [400] * len(answers)
    assert all('Invalid volume' in each.json()['badRequest']['message'] for each in answers)
    moving.until('success')


@pytest.mark.parametrize(('action', 'values', 'status'), [
    ('os-migrate_volume', {'host': HOSTS[1]}, 400),
    ('os-migrate_volume', {'host': HOSTS[1], 'include_snapshots': True}, 400),
    ('os-migrate_volume', {'host': HOSTS[0]}, 400),
    ('os-migrate_volume', {'host': 'host@nowhere#x'}, 400),
    ('os-migrate_volume', {}, 400),
    ('os-retype', {'new_type': 'alpha', 'migration_policy': 'on-demand'}, 400),
    ('os-retype', {'new_type': 'beta', 'migration_policy': 'on-demand-include-snapshots'}, 400),
    ('os-retype', {'new_type': 'nothing', 'migration_policy': 'on-demand'}, 404),
], ids=['has-snapshots', 'new-flag', 'is-there', 'no-host', 'no-words', 'same-type', 'new-word',
        'no-type'])
def test_request_that_upstream_refuses_is_refused_with_its_code(stock, action, values, status):
    volume = stock(1, snapshots=1)
    assert volume.act(action, values).status_code == status
    assert volume.look() == volume.seen[0][0]


def test_members_do_not_migrate_and_nobody_sees_the_resource(service, stock):
    volume = stock(1)
    assert volume.act('os-migrate_volume', {'host': HOSTS[1]}, token=MEMBER).status_code == 403
    path = '/volumes/99999999-9999-4999-8999-999999999999/action'
    unknown = service.api.request('POST', path, {'os-migrate_volume': {'host': HOSTS[1]}},
                                  microversion=STOCK)
    assert unknown.status_code == 404
    for path in ('/volume-migrations', '/volume-migrations/1'):
        assert service.api.request('GET', path, microversion=STOCK).status_code == 404
