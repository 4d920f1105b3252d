"""What users and administrators ask of a migration over HTTP, and what they see of it meanwhile."""
# SPDX-License-Identifier: Apache-2.0

import random
import time

import embedded
import pytest
import rest

MIB = 1024 ** 2
MEMBER = f'alice:{embedded.PROJECT_ID}'
ACTION = '/volumes/{}/action'


@pytest.fixture(scope='module')
def service(tmp_path_factory):
    """Copies run at 8 MiB/s, and figures are stored twice a second."""
    made = embedded.EmbeddedService(tmp_path_factory.mktemp('embedded') / 'state', options={
        'migration': {'progress_seconds': 0.5},
        'alpha': {'file_copy_bytes_per_second': 8 * MIB}})
    with made:
        made.create_types()
        made.api.create_type('beta-with-snapshots', {
            'volume_backend_name': 'beta', 'migration:include_snapshots': '<is> True'})
        made.api.create_type('anywhere', {'vendor_name': 'cinder_ext'})
        yield made


@pytest.fixture
def make(service):
    """make(mebibytes, snapshots=0, volume_type='alpha') -> id of a volume on alpha with such data."""
    noise = random.Random(3)

    def made(mebibytes, snapshots=0, volume_type='alpha'):
        volume_id = service.api.create_volume(1, volume_type='alpha')['id']
        if volume_type != 'alpha':
            # Made with a type that fits anywhere, it would be where there is more room.
            service.api.retype(volume_id, volume_type, 'never')
            service.api.wait_volume(volume_id)
        path = service.state_dir / 'alpha' / 'volumes' / f'volume-{volume_id}.raw'
        with open(path, 'r+b') as stream:
            stream.write(noise.randbytes(mebibytes * MIB))
        for _ in range(snapshots):
            service.api.create_snapshot(volume_id)
        return volume_id
    return made


def watch(api, volume_id, look):
    """Call ``look(volume)`` again and again until the migration has ended; returns the record."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        look(api.volume(volume_id))
        found = api.latest_migration(volume_id)
        if found['phase'] in rest.ENDED_PHASES:
            return found
        time.sleep(0.1)
    raise AssertionError(f'still {found["phase"]}')


def shown(api, volume_id, **how):
    """``migration_progress`` of a volume alone and in the list; they agree or time has passed."""
    alone = api.get(f'/volumes/{volume_id}', **how)['volume']
    listed = api.get('/volumes/detail', **how)['volumes']
    listed = next(item for item in listed if item['id'] == volume_id)
    return [item['migration_progress'] for item in (alone, listed) if 'migration_progress' in item]


def test_progress_grows_and_is_for_administrators_at_3_72_while_it_migrates(service, make):
    api, volume_id, seen, others = service.api, make(28, snapshots=1), [], []
    assert shown(api, volume_id) == []
    api.retype(volume_id, 'beta')

    def look(volume):
        seen.extend(shown(api, volume_id, microversion='3.72'))
        others.extend(shown(api, volume_id, microversion='3.71'))
        others.extend(shown(api, volume_id, token=MEMBER))
        if volume['migration_status'] != 'migrating':
            assert 'migration_progress' not in volume

    record = watch(api, volume_id, look)
    assert record['phase'] == 'finished', record['error']
    assert others == []
    assert all(type(each) is str for each in seen)
    figures = [int(each) for each in seen]
    assert figures == sorted(figures)
    assert max(figures) < 100
    assert len(set(figures)) >= 3
    assert shown(api, volume_id) == []
    assert record['percent'] == 100


@pytest.mark.parametrize(('lock', 'status'), [(False, 'available'), (True, 'maintenance')])
@pytest.mark.parametrize('snapshots', [0, 2])
def test_volume_is_migrated_to_a_named_host(service, make, lock, status, snapshots):
    api, volume_id, seen = service.api, make(12, snapshots, 'anywhere'), set()
    api.migrate(volume_id, 'host@beta#beta', include_snapshots=bool(snapshots), lock_volume=lock)

    def look(volume):
        if volume['migration_status'] in ('starting', 'migrating', 'completing'):
            seen.add(volume['status'])

    record = watch(api, volume_id, look)
    volume = api.volume(volume_id)
    assert record['phase'] == 'finished', record['error']
    assert seen == {status}
    assert (volume['status'], volume['migration_status'], volume['volume_type']) == (
        'available', 'success', 'anywhere')
    assert volume['os-vol-host-attr:host'] == 'host@beta#beta'
    assert len(record['links']) == 1 + snapshots


def test_host_may_be_named_without_its_pool(service, make):
    api, volume_id = service.api, make(1, volume_type='anywhere')
    api.migrate(volume_id, 'host@beta')
    record = watch(api, volume_id, lambda volume: None)
    assert (record['phase'], record['destination']['host']) == ('finished', 'host@beta#beta')


def test_host_that_the_type_does_not_allow_is_refused_and_the_volume_stays(service, make):
    api, volume_id = service.api, make(1)
    api.migrate(volume_id, 'host@beta#beta', lock_volume=True)
    record = watch(api, volume_id, lambda volume: None)
    assert (record['phase'], record['error_code']) == ('failed', 'cinder_ext.no_valid_backend')
    volume = api.volume(volume_id)
    assert (volume['status'], volume['migration_status']) == ('available', 'error')


@pytest.mark.parametrize(('microversion', 'body', 'names'), [
    ('3.0', {}, 'include_snapshots'),
    ('3.72', {}, 'include_snapshots'),
    ('3.74', {'include_snapshots': False}, 'include_snapshots'),
    ('3.72', {'include_snapshots': True}, 'include_snapshots'),
    ('3.74', {'include_snapshots': True, 'host': 'host@nowhere#x'}, 'host@nowhere'),
    ('3.74', {'include_snapshots': True, 'host': 'host@alpha#alpha'}, 'host@alpha#alpha'),
])
def test_migration_that_is_a_bad_request(service, make, microversion, body, names):
    api, volume_id = service.api, make(1, snapshots=1)
    answer = api.request('POST', ACTION.format(volume_id), microversion=microversion, json={
        'os-migrate_volume': {'host': 'host@beta#beta', **body}})
    assert answer.status_code == 400
    assert names in answer.text
    assert api.latest_migration(volume_id) is None
    assert api.volume(volume_id)['status'] == 'available'


def test_members_do_not_migrate(service, make):
    answer = service.api.request('POST', ACTION.format(make(1)), token=MEMBER, json={
        'os-migrate_volume': {'host': 'host@beta#beta'}})
    assert answer.status_code == 403


@pytest.mark.parametrize(('policy', 'snapshots'), [('on-demand', 1), ('never', 0)])
def test_retype_that_would_need_more_than_was_asked_for_tells_the_user(
        service, make, policy, snapshots):
    api, volume_id = service.api, make(1, snapshots)
    answer = api.request('POST', ACTION.format(volume_id), microversion='3.0', json={
        'os-retype': {'new_type': 'beta', 'migration_policy': policy}})
    assert answer.status_code == 202
    record = watch(api, volume_id, lambda volume: None)
    assert record['phase'] == 'refused'
    volume = api.volume(volume_id)
    assert (volume['status'], volume['volume_type'], volume['migration_status']) == (
        'available', 'alpha', None)
    text = next(each['user_message'] for each in api.get('/messages')['messages']
                if each['resource_uuid'] == volume_id)
    assert ('on-demand-include-snapshots' if snapshots else 'migration policy') in text
    assert 'host@' not in text


def test_extra_spec_of_the_new_type_includes_the_snapshots(service, make):
    api, volume_id = service.api, make(1, snapshots=1)
    api.retype(volume_id, 'beta-with-snapshots', 'on-demand')
    record = watch(api, volume_id, lambda volume: None)
    assert (record['phase'], len(record['links'])) == ('finished', 2)
    assert record['include_snapshots'] is True


def test_new_policy_word_is_unknown_before_3_73(service, make):
    answer = service.api.request('POST', ACTION.format(make(1)), microversion='3.72', json={
        'os-retype': {'new_type': 'beta', 'migration_policy': 'on-demand-include-snapshots'}})
    assert answer.status_code == 400


def test_migration_status_is_not_for_members(service, make):
    volume = service.api.get(f'/volumes/{make(1)}', token=MEMBER)['volume']
    assert 'os-vol-mig-status-attr:migstat' not in volume
