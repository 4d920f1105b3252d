"""The dry run: what a migration would meet is told, and nothing is written or changed."""
# SPDX-License-Identifier: Apache-2.0

import pytest
import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import (
    models,
    quotas,
    services,
    session,
    type_encryptions,
    volume_types,
    volumes,
)
from cinder_ext.states import checks
from cinder_ext.volume.migration.preview import PreviewEndpoint
from cinder_ext.volume.snapshots.endpoint import SnapshotEndpoint


def rows():
    """All rows of all tables, without the heartbeats."""
    with session.get_engine().connect() as connection:
        return {table.name: sorted(map(repr, connection.execute(sa.select(table)).all()))
                for table in models.Base.metadata.sorted_tables if table.name != 'services'}


def files(cloud):
    return sorted((str(path), path.stat().st_size, path.stat().st_mtime_ns)
                  for path in cloud.directory.glob('*/*/*.raw'))


@pytest.fixture
def preview(cloud):
    """preview(volume_id, **columns): the answer, after which everything is as it was."""
    def ask(volume_id, **columns):
        before = rows(), files(cloud)
        found = cloud.scheduler_api.preview_migration(cloud.context, {
            'volume_id': volume_id, 'operation': 'migrate', 'include_snapshots': False, **columns})
        assert (rows(), files(cloud)) == before
        return found
    return ask


def anywhere(cloud):
    """A volume at alpha that may be at any backend; returns its id."""
    volume_id = cloud.volume()
    volumes.update(cloud.context, volume_id, {'volume_type_id': None})
    return volume_id


def failed(found):
    return [check['name'] for check in found['checks'] if check['passed'] is False]


def test_migration_that_could_be_begun(cloud, preview):
    volume_id = anywhere(cloud)
    cloud.write(volume_id, 0, b'x' * 4096)
    cloud.snapshot(volume_id)
    found = preview(volume_id, destination_host='node@beta#beta', include_snapshots=True)
    assert failed(found) == []
    assert found['passed'] is True
    assert found['destination_host'] == 'node@beta#beta'
    assert found['method'] in ('changed-ranges', 'allocated-ranges')
    assert found['bytes_total'] > 0
    assert all(set(check) == {'name', 'passed', 'detail', 'remedy'} for check in found['checks'])
    names = [check['name'] for check in found['checks']]
    assert names[:2] == ['destination', 'source-answers']
    assert {'volume-status', 'destination-answers', 'physical-capacity'} <= set(names)


def test_the_migration_itself_agrees(cloud, preview):
    volume_id = anywhere(cloud)
    cloud.snapshot(volume_id)
    wanted = {'destination_host': 'node@beta#beta', 'include_snapshots': True}
    told = preview(volume_id, **wanted)
    record = cloud.migrate(volume_id, lock=None, operation='migrate', **wanted)
    assert record.phase == 'finished'
    assert (record.destination_host, record.method, record.bytes_total) == (
        told['destination_host'], told['method'], told['bytes_total'])
    assert [check['name'] for check in record.checks] == [
        check['name'] for check in told['checks']][2:]


def test_every_check_of_the_table_is_made_in_its_order(cloud, preview):
    volume_id = cloud.volume()
    cloud.snapshot(volume_id)
    found = preview(volume_id, operation='retype', include_snapshots=True,
                    destination_type_id=cloud.types['beta'])
    assert [check['name'] for check in found['checks']] == [kind.name for kind in checks.ALL]
    assert found['passed']


def test_checks_that_cannot_be_made_are_listed_all_the_same(cloud, preview):
    nowhere = volume_types.create(cloud.context, {'name': 'x'}, {'volume_backend_name': 'x'}).id
    found = preview(cloud.volume(), operation='retype', destination_type_id=nowhere)
    names = [check['name'] for check in found['checks']]
    assert names[:2] == ['destination', 'destination']
    assert names[1:] == [kind.name for kind in checks.ALL]
    unknown = {check['name'] for check in found['checks'] if check['passed'] is None}
    assert {'destination-answers', 'virtual-capacity'} <= unknown
    assert 'source-readable' not in unknown


def test_every_backend_says_why_it_is_no_destination(cloud, preview):
    nowhere = volume_types.create(cloud.context, {'name': 'x'}, {'volume_backend_name': 'x'}).id
    found = preview(cloud.volume(), operation='retype', destination_type_id=nowhere)
    assert found['passed'] is False
    assert (found['destination_host'], found['method']) == (None, None)
    assert [check['detail'] for check in found['checks'] if check['name'] == 'destination'] == [
        'node@alpha#alpha: the volume is there already',
        'node@beta#beta: its volume_backend_name is beta, the volume type asks for x']
    # The volume is examined all the same.
    assert 'volume-status' in [check['name'] for check in found['checks']]


def test_all_that_is_wrong_is_told_at_once(cloud, preview):
    volume_id = anywhere(cloud)
    cloud.snapshot(volume_id)
    services.set_disabled(cloud.context, 'cinder-volume', 'node@beta', True, 'repair')
    found = preview(volume_id, destination_host='node@beta#beta')
    assert set(failed(found)) == {'destination', 'snapshots-included'}
    remedies = {check['name']: check['remedy'] for check in found['checks']}
    assert 'include_snapshots' in remedies['snapshots-included']


@pytest.mark.parametrize(('specs', 'fits'), [
    ({'provisioning:min_vol_size': '1', 'provisioning:max_vol_size': '1'}, True),
    ({'provisioning:min_vol_size': '2'}, False), ({'provisioning:max_vol_size': '0'}, False)])
def test_volume_without_a_type_gets_one_whose_limits_it_keeps(cloud, preview, specs, fits):
    limited = volume_types.create(cloud.context, {'name': 'limited'},
                                  {'volume_backend_name': 'beta', **specs}).id
    volume_id = anywhere(cloud)
    found = preview(volume_id, operation='retype', destination_type_id=limited)
    assert failed(found) == ([] if fits else ['type-size-limits'])
    record = cloud.migrate(volume_id, requested_policy='on-demand', destination_type_id=limited)
    row = cloud.row(volume_id)
    assert (record.phase, row.volume_type_id) == (('finished', limited) if fits else ('failed', None))
    assert row.status == 'available'


def test_volume_without_a_type_stays_without_when_it_is_migrated(cloud, preview):
    volume_id = anywhere(cloud)
    found = preview(volume_id, destination_host='node@beta')
    assert (found['passed'], found['destination_host']) == (True, 'node@beta#beta')
    record = cloud.migrate(volume_id, lock=None, operation='migrate', destination_host='node@beta')
    assert record.phase == 'finished'
    assert cloud.row(volume_id).volume_type_id is None


def test_quota_of_the_destination_type_is_told_with_the_snapshots(cloud, preview):
    volume_id = cloud.volume()
    cloud.snapshot(volume_id)
    quotas.set_limits(cloud.context, 'project', {
        quotas.of_type('gigabytes', cloud.types['beta']): 1})
    found = preview(volume_id, operation='retype', include_snapshots=True,
                    destination_type_id=cloud.types['beta'])
    assert failed(found) == ['quota']
    assert 'gigabytes_beta: 0 GiB are in use, 2 GiB more' in next(
        check['detail'] for check in found['checks'] if check['name'] == 'quota')


def encrypted(cloud, name, provider, backend=None):
    specs = {'volume_backend_name': backend} if backend else {}
    type_id = volume_types.create(cloud.context, {'name': name}, specs).id
    type_encryptions.create(cloud.context, type_id, {
        'provider': provider, 'cipher': 'aes-xts-plain64', 'key_size': 256,
        'control_location': 'front-end'})
    return type_id


def test_ciphertext_is_copied_raw_and_another_encryption_is_refused(cloud, preview):
    volume_id = anywhere(cloud)
    volumes.update(cloud.context, volume_id, {
        'volume_type_id': encrypted(cloud, 'a', 'luks'), 'encryption_key_id': volume_id})
    cloud.write(volume_id, 4096, b'ciphertext')
    others = [encrypted(cloud, 'b', 'luks2', 'beta'), cloud.types['beta']]
    for type_id in others:
        found = preview(volume_id, operation='retype', destination_type_id=type_id)
        assert failed(found) == ['encryption']
    record = cloud.migrate(volume_id, requested_policy='on-demand', destination_type_id=others[0])
    assert (record.phase, record.error_code) == ('failed', 'cinder_ext.preflight_failed')
    assert cloud.row(volume_id).status == 'available'

    record = cloud.migrate(volume_id, lock=None, operation='migrate', destination_host='node@beta')
    assert record.phase == 'finished', record.error
    assert 'the ciphertext is copied as it is (luks)' in next(
        check['detail'] for check in record.checks if check['name'] == 'encryption')
    row = cloud.row(volume_id)
    assert row.encryption_key_id == volume_id
    assert cloud.read(cloud.path(row.name_id, 'beta'), 4096, 10) == b'ciphertext'


def test_retype_that_the_present_backend_serves_moves_nothing(cloud, preview):
    thin = volume_types.create(cloud.context, {'name': 'thin'},
                               {'capabilities:thin_provisioning_support': '<is> True'}).id
    found = preview(cloud.volume(), operation='retype', destination_type_id=thin)
    assert (found['passed'], found['destination_host'], found['bytes_total']) == (
        True, 'node@alpha#alpha', 0)
    assert 'no byte has to move' in found['checks'][0]['detail']


def test_retype_that_may_not_move(cloud, preview):
    found = preview(cloud.volume(), operation='retype', requested_policy='never',
                    destination_type_id=cloud.types['beta'])
    assert failed(found) == ['move-allowed']
    assert found['destination_host'] == 'node@beta#beta'


def test_source_without_a_service_is_a_failed_check(make_cloud):
    cloud = make_cloud(more='[DEFAULT]\nrpc_response_timeout = 2\n')
    cloud.start()
    volume_id = anywhere(cloud)
    cloud.backends._services[0].stop()
    found = cloud.scheduler_api.preview_migration(
        cloud.context, {'volume_id': volume_id, 'destination_host': 'node@beta'})
    assert failed(found) == ['source-answers']
    assert found['passed'] is False


def test_source_of_a_version_before_is_a_failed_check(cloud, preview, monkeypatch):
    volume_id = anywhere(cloud)
    for endpoint in (PreviewEndpoint, SnapshotEndpoint):
        monkeypatch.setattr(endpoint.target, 'version', '1.0')
    found = preview(volume_id, destination_host='node@beta')
    assert failed(found) == ['source-answers']
    assert 'version' in found['checks'][-1]['detail']


def test_volume_that_is_not_there(cloud, preview):
    with pytest.raises(exceptions.VolumeNotFound):
        preview('6f1a2f0e-0000-4000-8000-000000000000', destination_host='node@beta')
