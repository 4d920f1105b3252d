"""What the scheduler decides, and what a refusal says to operators and to users."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.db import messages, quotas, services, snapshots, volume_types
from cinder_ext.states import messages as words


def test_volume_of_a_type_that_no_backend_serves_is_in_error_and_says_why(cloud):
    nowhere = volume_types.create(cloud.context, {'name': 'x'}, {'volume_backend_name': 'x'}).id
    volume_id = cloud.volume('error', volume_type_id=nowhere)
    assert cloud.row(volume_id).host is None
    [(action, detail, text)] = cloud.told(volume_id)
    assert (action, detail) == (words.SCHEDULE_ALLOCATE_VOLUME, words.NO_BACKEND_AVAILABLE)
    assert 'its volume_backend_name is alpha, the volume type asks for x' in text
    assert 'node@' not in text


def test_volume_larger_than_any_backend_can_promise_is_in_error(cloud):
    quotas.set_limits(cloud.context, 'project', {'gigabytes': -1})
    volume_id = cloud.volume('error', size=10 ** 7)
    [(_, _, text)] = cloud.told(volume_id)
    assert 'are provisioned' in text


def test_volume_in_a_zone_without_backends_is_in_error(cloud):
    volume_id = cloud.volume('error', availability_zone='elsewhere')
    [(_, _, text)] = cloud.told(volume_id)
    assert 'its availability zone is nova, not elsewhere' in text


def test_volume_of_a_type_with_zones_goes_to_one_of_them(cloud):
    elsewhere, here = (volume_types.create(
        cloud.context, {'name': zones}, {'RESKEY:availability_zones': zones}).id
        for zones in ('east,west', 'east,nova'))
    assert cloud.row(cloud.volume(volume_type_id=here)).availability_zone == 'nova'
    [(_, _, text)] = cloud.told(cloud.volume('error', volume_type_id=elsewhere))
    assert 'its availability zone is nova, not east or west' in text


def test_expired_messages_are_removed_by_the_scheduler(make_cloud):
    cloud = make_cloud(more='[DEFAULT]\nmessage_reap_interval = 1\n')
    messages.keep_for(-1)
    try:
        messages.create(cloud.context, 'project', 'req-1', 'VOLUME', 'old', words.EXTEND_VOLUME,
                        words.DRIVER_FAILED_EXTEND)
    finally:
        messages.keep_for(cloud.conf.message_ttl)
    messages.create(cloud.context, 'project', 'req-1', 'VOLUME', 'new', words.EXTEND_VOLUME,
                    words.DRIVER_FAILED_EXTEND)
    cloud.start_scheduler()
    cloud.until(lambda: not cloud.told('old'))
    assert cloud.told('new')


def test_disabled_backend_gets_nothing(cloud):
    services.set_disabled(cloud.context, 'cinder-volume', 'node@alpha', True, 'repair')
    volume_id = cloud.volume(volume_type_id=None)
    assert cloud.row(volume_id).host == 'node@beta#beta'


def test_volume_from_a_snapshot_goes_where_the_snapshot_is(cloud):
    source_id = cloud.volume(volume_type_id=cloud.types['beta'])
    snapshot_id = cloud.snapshot(source_id)
    copy_id = cloud.volume(volume_type_id=None, snapshot_id=snapshot_id)
    assert cloud.row(copy_id).host == 'node@beta#beta'


def test_volume_from_a_snapshot_that_is_gone_is_in_error(cloud):
    source_id = cloud.volume()
    snapshot_id = cloud.snapshot(source_id)
    snapshots.mark_deleted(cloud.context, snapshot_id)
    cloud.volume('error', snapshot_id=snapshot_id)


def test_retype_that_the_present_backend_serves_copies_nothing(cloud):
    volume_id = cloud.volume()
    snapshot_id = cloud.snapshot(volume_id)
    other = volume_types.create(cloud.context, {'name': 'thin'},
                                {'capabilities:thin_provisioning_support': '<is> True'}).id
    record = cloud.migrate(volume_id, destination_type_id=other)
    assert (record.phase, record.destination_host) == ('unneeded', 'node@alpha#alpha')
    row = cloud.row(volume_id)
    assert (row.status, row.volume_type_id, row.migration_status) == ('available', other, None)
    assert snapshots.get(cloud.context, snapshot_id).volume_type_id == other
    assert cloud.path(volume_id).exists()


@pytest.mark.parametrize('policy', [None, 'never'])
def test_retype_that_needs_a_move_nobody_asked_for_leaves_the_volume_as_it_was(cloud, policy):
    volume_id = cloud.volume()
    record = cloud.migrate(volume_id, requested_policy=policy,
                           destination_type_id=cloud.types['beta'])
    row = cloud.row(volume_id)
    assert (record.phase, record.error_code) == ('refused', 'cinder_ext.move_not_asked_for')
    assert 'its volume_backend_name is alpha, the volume type asks for beta' in record.error
    assert (row.status, row.migration_status) == ('available', None)
    assert (row.host, row.volume_type_id) == ('node@alpha#alpha', cloud.types['alpha'])
    assert cloud.told(volume_id) == [(words.RETYPE_VOLUME, words.MOVE_NOT_ASKED_FOR, None)]


def test_on_demand_retype_with_snapshots_names_the_word_to_use(cloud):
    volume_id = cloud.volume()
    cloud.snapshot(volume_id)
    record = cloud.migrate(volume_id, requested_policy='on-demand',
                           destination_type_id=cloud.types['beta'])
    assert (record.phase, record.error_code) == ('refused', 'cinder_ext.snapshots_not_included')
    assert 'on-demand-include-snapshots' in record.remedy
    assert cloud.row(volume_id).status == 'available'
    [(action, detail, _)] = cloud.told(volume_id)
    assert 'on-demand-include-snapshots' in words.shown(action, detail)


def test_on_demand_retype_without_snapshots_moves(cloud):
    volume_id = cloud.volume()
    cloud.write(volume_id, 4096, b'moved')
    record = cloud.migrate(volume_id, requested_policy='on-demand',
                           destination_type_id=cloud.types['beta'])
    row = cloud.row(volume_id)
    assert (record.phase, row.host, row.status) == ('finished', 'node@beta#beta', 'available')
    assert cloud.read(cloud.path(row.name_id, 'beta'), 4096, 5) == b'moved'


def test_retype_to_a_type_that_no_backend_serves_lists_the_reason_for_each(cloud):
    volume_id = cloud.volume()
    nowhere = volume_types.create(cloud.context, {'name': 'x'}, {'volume_backend_name': 'x'}).id
    record = cloud.migrate(volume_id, requested_policy='on-demand', destination_type_id=nowhere)
    assert (record.phase, record.error_code) == ('refused', 'cinder_ext.no_valid_backend')
    assert [check['detail'] for check in record.checks] == [
        'node@alpha#alpha: the volume is there already',
        'node@beta#beta: its volume_backend_name is beta, the volume type asks for x']
    assert cloud.told(volume_id) == [(words.RETYPE_VOLUME, words.NO_DESTINATION, None)]


def test_migration_goes_to_the_named_backend(cloud):
    volume_id = cloud.volume(volume_type_id=None)
    present = cloud.row(volume_id).host
    other = 'node@beta' if present == 'node@alpha#alpha' else 'node@alpha'
    record = cloud.migrate(volume_id, lock='lock', operation='migrate', destination_host=other)
    assert record.phase == 'finished'
    row = cloud.row(volume_id)
    assert (row.host.partition('#')[0], row.status) == (other, 'available')
    assert row.migration_status == 'success'


def test_migration_to_a_backend_that_is_not_there_fails_and_releases_the_volume(cloud):
    volume_id = cloud.volume()
    record = cloud.migrate(volume_id, lock='lock', operation='migrate',
                           destination_host='node@gamma#gamma')
    row = cloud.row(volume_id)
    assert (record.phase, row.status, row.migration_status) == ('failed', 'available', 'error')
    assert 'another host was named' in record.error
    assert cloud.told(volume_id) == [(words.MIGRATE_VOLUME, words.NO_DESTINATION, None)]


def test_migration_against_the_volumes_type_fails(cloud):
    volume_id = cloud.volume()
    record = cloud.migrate(volume_id, lock=None, operation='migrate',
                           destination_host='node@beta#beta')
    assert record.phase == 'failed'
    assert any('the volume type asks for alpha' in check['detail'] for check in record.checks)
    assert cloud.row(volume_id).status == 'available'


def test_pools_are_shown_with_what_they_have_left(cloud):
    pool = next(each for each in cloud.pools(True) if each['name'] == 'node@alpha#alpha')
    found = pool['capabilities']
    assert found['volume_backend_name'] == found['pool_name'] == 'alpha'
    assert found['backend_state'] == 'up'
    assert 0 < found['free_capacity_gb'] <= found['total_capacity_gb']
    cloud.volume(size=7)
    cloud.until(lambda: next(
        each for each in cloud.pools(True) if each['name'] == 'node@alpha#alpha'
    )['capabilities']['provisioned_capacity_gb'] == found['provisioned_capacity_gb'] + 7)


def test_pools_can_be_looked_for(cloud):
    named = cloud.scheduler_api.get_pools(cloud.context, False, {'name': 'node@beta#beta'})
    assert named == [{'name': 'node@beta#beta'}]
    assert cloud.scheduler_api.get_pools(cloud.context, False, {'vendor_name': 'x'}) == []
