"""A migration in the hands of an administrator at the ``openstack`` command, from try to retry."""
# SPDX-License-Identifier: Apache-2.0

import random

import embedded
import osc_commands
import pytest
import rest

MIB = 1024 ** 2


@pytest.fixture(scope='module')
def service(tmp_path_factory):
    """Figures are stored twice a second, so that short copies have some."""
    made = embedded.EmbeddedService(tmp_path_factory.mktemp('embedded') / 'state', options={
        'migration': {'progress_seconds': 0.5}})
    with made:
        made.create_types()
        yield made


@pytest.fixture(scope='module')
def openstack(service):
    made = osc_commands.Openstack(service.client_environment(), ['volume', 'migration'])
    yield made
    made.close()


@pytest.fixture
def volume(service):
    """volume(name, mebibytes, snapshots=0): id of a volume on alpha with some random data."""
    def make(name, mebibytes, snapshots=0):
        volume_id = service.api.create_volume(1, name=name, volume_type='alpha')['id']
        path = service.state_dir / 'alpha' / 'volumes' / f'volume-{volume_id}.raw'
        with open(path, 'r+b') as stream:
            stream.write(random.Random(7).randbytes(mebibytes * MIB))
        for _ in range(snapshots):
            service.api.create_snapshot(volume_id)
        return volume_id
    return make


def test_it_is_tried_before_it_is_begun(service, openstack, volume):
    volume_id = volume('tried', 2, snapshots=1)
    found = openstack('create --type beta --include-snapshots --dry-run tried')
    assert (found['passed'], found['destination_host']) == (True, 'host@beta#beta')
    assert 'passed: destination-answers' in found['checks']
    without = openstack('create --type beta --dry-run tried')
    assert without['passed'] is False
    assert 'FAILED: snapshots-included' in without['checks']
    assert service.api.latest_migration(volume_id) is None
    assert service.api.volume(volume_id)['status'] == 'available'


def test_it_is_slowed_paused_resumed_cancelled_and_retried(service, openstack, volume):
    volume_id = volume('steered', 40)
    made = openstack('create --type beta --bandwidth 2M --verification written steered')
    assert (made['bandwidth'], made['verify'], made['paused']) == (2 * MIB, 'written', False)
    service.api.wait_migration(made['id'], ('copying',), timeout=30)
    openstack.do('pause steered')
    shown = openstack('show steered')
    assert (shown['phase'], shown['paused']) == ('paused', True)
    openstack.do('set --bandwidth 1M steered')
    openstack.do(f"resume {made['id']}")
    shown = openstack(f"show {made['id']}")
    assert (shown['phase'], shown['bandwidth']) == ('copying', MIB)
    assert shown['seconds_paused'] > 0
    openstack.do('cancel --wait steered')
    cancelled = service.api.migration(made['id'])
    assert (cancelled['phase'], cancelled['error'], cancelled['leftovers']) == ('cancelled', None, [])
    moved = service.api.volume(volume_id)
    assert (moved['status'], moved['migration_status'], moved['os-vol-host-attr:host']) == (
        'available', None, 'host@alpha#alpha')
    retried = openstack('retry steered')
    assert (retried['retry_of'], retried['bandwidth']) == (made['id'], MIB)
    openstack.do('set --no-bandwidth steered')
    record = service.api.wait_migration(retried['id'])
    assert record['phase'] == 'finished', record['error']
    listed = openstack('list --volume steered --status ended --long')
    assert [row['Phase'] for row in listed] == ['finished', 'cancelled']
    limited = openstack(f"list --volume steered --limit 1 --marker {record['id']} --sort created_at")
    assert [row['ID'] for row in limited] == [made['id']]
    head, = record['links']
    assert head['bytes_written'] == 40 * MIB == record['bytes']['written']
    assert head['bytes_read'] == record['bytes']['read'] >= 40 * MIB
    assert head['rate_bytes_per_second'] > 0
    assert head['started_at'] <= head['copied_at']


def test_what_the_phase_does_not_allow_is_refused_with_the_reason(openstack, volume):
    volume('moved', 1)
    assert openstack('create --type beta --wait moved')['phase'] == 'finished'
    for action in ('cancel', 'pause', 'resume', 'retry', 'cleanup retry', 'acknowledge',
                   'set --bandwidth 1M'):
        said = openstack.refused(f'{action} moved')
        assert 'the volume is at its destination already' in said, action
        assert 'HTTP 409' in said


def test_one_that_refuses_does_not_keep_the_others_from_it(service, openstack, volume):
    volume('done', 1)
    openstack('create --type beta --wait done')
    going = volume('going', 8)
    openstack('create --type beta --bandwidth 1M going')
    said = openstack.refused('cancel --wait done going nothing')
    assert '2 of 3 migrations: cancel failed' in said
    assert service.api.latest_migration(going)['phase'] == 'cancelled'


@pytest.fixture
def litter(service, openstack, volume):
    """litter(name): a migrated volume whose source cannot be removed; the path that resists."""
    def make(name):
        volume_id = volume(name, 8)
        made = openstack(f'create --type beta --bandwidth 4M --verification off {name}')
        rest.wait_for(lambda: service.api.migration(made['id'])['bytes']['done'], 'the first bytes')
        path = service.state_dir / 'alpha' / 'volumes' / f'volume-{volume_id}.raw'
        path.rename(path.with_suffix('.aside'))
        path.mkdir()
        record = service.api.wait_migration(made['id'], ('leftovers', *rest.ENDED_PHASES))
        assert record['phase'] == 'leftovers', record['error']
        return path
    return make


def test_what_was_left_is_removed_when_its_backend_is_mended(service, openstack, litter):
    path = litter('mended')
    shown = openstack('show mended')
    assert shown['leftovers'].startswith('volume ')
    assert 'at host@alpha#alpha: ' in shown['leftovers']
    assert service.api.volume(shown['volume_id'])['os-vol-host-attr:host'] == 'host@beta#beta'
    path.rmdir()
    openstack.do('cleanup retry mended')
    record = service.api.wait_migration(shown['id'])
    assert (record['phase'], record['leftovers']) == ('finished', [])


def test_what_was_left_may_be_acknowledged(service, openstack, litter):
    path = litter('acknowledged')
    openstack.do('acknowledge acknowledged')
    shown = openstack('show acknowledged')
    assert shown['phase'] == 'finished'
    assert shown['leftovers'].endswith('(acknowledged)')
    record, = service.api.migration(shown['id'])['leftovers']
    assert record['acknowledged'] is True
    said = openstack.refused('cleanup retry acknowledged')
    assert 'HTTP 409' in said
    assert path.is_dir()
