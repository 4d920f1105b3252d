"""Where what is to be replicated is placed, with a backend that replicates and one that does not.

Alpha has two targets, which serve the mode async; the first one is another cloud's.  Beta has none.
"""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    replication_claims,
    replications,
    services,
    session,
    transition,
    volume_types,
)
from cinder_ext.states import replication as states

ENABLED = {'replication_enabled': '<is> True'}
ALPHA, BETA = 'node@alpha#alpha', 'node@beta#beta'


@pytest.fixture
def cloud(make_cloud, tmp_path):
    devices = []
    for name, cross_os in (('sky', 'true'), ('far', 'false')):
        (tmp_path / name).mkdir()
        devices.append(f'replication_device = backend_id:{name},path:{tmp_path}/{name},modes:async,'
                       f'cross_os:{cross_os},peer:b\n')
    found = make_cloud(more='[alpha]\n' + ''.join(devices))
    found.start()
    return found


@pytest.fixture
def type_of(cloud):
    """type_of(**specs): the id of a new volume type; underscores of replication_ are colons."""
    def make(name='wanted', **specs):
        return volume_types.create(cloud.context, {'name': name}, {
            **ENABLED, **{key.replace('__', ':'): value for key, value in specs.items()}}).id
    return make


@session.writer
def record_whole(context, scope, protected_id, state=states.ENABLING):
    replication_claims.claim(context, scope, protected_id, ALPHA)
    transition.insert(context, states.MACHINE, {
        'scope': scope, 'protected_id': protected_id, 'home': 'node@alpha', 'target': 'far',
        'mode': 'async', 'topology': 'active-passive', 'auto_failover': 'none',
        'interval_seconds': 10, 'retention': 3}, state)


def why(cloud, volume_id):
    [(_action, _detail, text)] = cloud.told(volume_id)
    return text


def test_pools_say_how_they_replicate_and_name_no_path(cloud):
    shown = {pool['name']: pool['capabilities'] for pool in cloud.pools(detail=True)}
    assert shown[BETA]['replication_enabled'] is False
    alpha = shown[ALPHA]
    assert (alpha['replication_enabled'], alpha['replication_type'], alpha['replication_count'],
            alpha['replication_targets'], alpha['cross_os']) == (
                True, ['async'], 2, ['sky', 'far'], True)
    assert alpha['replication_target_details'] == [
        {'backend_id': name, 'modes': ['async'], 'cross_os': cross_os, 'availability_zone': None}
        for name, cross_os in (('sky', True), ('far', False))]
    assert str(cloud.directory) not in str(shown)


@pytest.mark.parametrize('specs', [
    {}, {'replication_type': '<in> async'}, {'replication_count': '>= 2'},
    {'replication_mode': 'async'}, {'replication__target': 'far', 'replication__mode': 'async'}],
    ids=lambda specs: '-'.join(specs).replace(':', '-') or 'plain')
def test_volume_that_is_to_be_replicated_goes_where_that_is_possible(cloud, type_of, specs):
    volume_id = cloud.volume(volume_type_id=type_of(**specs))
    assert cloud.row(volume_id).host == ALPHA
    [row] = replications.of_thing(cloud.context, 'volume', volume_id)
    assert (row.home, row.target, row.mode, row.cross_os) == ('node@alpha', 'far', 'async', False)
    with pytest.raises(exceptions.ReplicationConflict) as caught:
        replication_claims.claim(cloud.context, 'pool', ALPHA, ALPHA)
    assert volume_id in caught.value.message


@pytest.mark.parametrize(('specs', 'reason'), [
    ({'replication__mode': 'sync'}, 'it cannot replicate sync'),
    ({'replication_mode': 'sync'}, 'it cannot replicate sync'),
    ({'replication__target': 'mars'}, 'it has no replication target mars'),
    ({'replication__scope': 'pool'}, 'its pool is not replicated as a whole'),
    ({'replication__scope': 'group'}, 'the volume is in no group'),
    ({'replication__scope': 'galaxy'}, 'galaxy'),
    ({'replication_type': '<in> sync'}, 'it cannot replicate sync'),
], ids=['mode', 'bare', 'target', 'pool', 'group', 'unknown', 'type'])
def test_volume_whose_replication_nobody_serves_is_in_error_and_says_why(
        cloud, type_of, specs, reason):
    volume_id = cloud.volume('error', volume_type_id=type_of(**specs))
    assert reason in why(cloud, volume_id)
    assert 'node@' not in why(cloud, volume_id)


@pytest.mark.parametrize(('scope', 'place'), [('pool', ALPHA), ('backend', 'node@alpha')],
                         ids=['pool', 'backend'])
def test_volume_of_its_own_is_not_placed_where_all_is_replicated(cloud, type_of, scope, place):
    record_whole(cloud.context, scope, place)
    volume_id = cloud.volume('error', volume_type_id=type_of())
    assert (f'its whole {scope} is replicated, replication of scope volume is asked for'
            in why(cloud, volume_id))
    assert cloud.row(cloud.volume()).host == ALPHA
    mine = type_of('mine', replication__scope=scope)
    assert cloud.row(cloud.volume(volume_type_id=mine)).host == ALPHA


def test_pool_that_is_failed_over_gets_nothing_new(cloud):
    record_whole(cloud.context, 'pool', ALPHA, states.FAILED_OVER)
    assert 'its pool is failed over' in why(cloud, cloud.volume('error'))


def test_claim_that_was_made_after_the_choice_decides(cloud, type_of):
    replication_claims.claim(cloud.context, 'pool', ALPHA, ALPHA)
    volume_id = cloud.record_volume(volume_type_id=type_of())
    # The claim has no record yet: the scheduler meets it only when it places the volume.
    cloud.scheduler_api.create_volume(cloud.context, volume_id)
    cloud.becomes(volume_id, 'error')
    assert 'something there is replicated in a way that excludes it' in why(cloud, volume_id)


def test_group_that_is_to_be_replicated_goes_where_that_is_possible(work):
    type_id = work.group_type({'consistent_group_replication_enabled': '<is> True'})
    work.cloud.types['open'] = volume_types.create(work.context, {'name': 'open'}, ENABLED).id
    group_id = work.group(group_type_id=type_id, types=('open',))
    assert work.host(group_id) == ALPHA
    work.group('error', group_type_id=type_id, types=('beta',))
    record_whole(work.context, 'pool', ALPHA)
    refused = work.group('error', group_type_id=type_id, types=('open',))
    [(_action, _detail, text)] = work.cloud.told(refused)
    assert 'its whole pool is replicated, replication of scope group is asked for' in text


def test_retype_to_a_type_that_the_backend_replicates_is_done_in_place(cloud, type_of):
    volume_id = cloud.volume()
    record = cloud.migrate(volume_id, destination_type_id=type_of(), requested_policy='never')
    assert (record.phase, cloud.row(volume_id).host) == ('unneeded', ALPHA)
    cloud.until(lambda: cloud.row(volume_id).replication_status == 'enabled')
    record = cloud.migrate(volume_id, destination_type_id=cloud.types['alpha'],
                           requested_policy='never')
    assert record.phase == 'unneeded'
    cloud.until(lambda: cloud.row(volume_id).replication_status == 'disabled')


def test_retype_where_it_is_not_replicated_says_why(cloud, type_of):
    volume_id = cloud.volume(volume_type_id=cloud.types['beta'])
    record = cloud.migrate(volume_id, destination_type_id=type_of(), requested_policy='never')
    assert record.phase == 'refused'
    assert 'it replicates nothing' in record.error
    assert cloud.row(volume_id).status == 'available'


def test_volume_that_is_failed_over_gets_no_other_replication(cloud, type_of):
    volume_id = cloud.volume(volume_type_id=type_of())
    cloud.until(lambda: cloud.row(volume_id).replication_status == 'enabled')
    for event in ('fail-over', 'failed-over'):
        transition.move(cloud.context, states.VOLUME, volume_id, event)
    wanted = {'destination_type_id': cloud.types['alpha'], 'requested_policy': 'on-demand'}
    told = cloud.scheduler_api.preview_migration(cloud.context, {
        'volume_id': volume_id, 'operation': 'retype', **wanted})
    record = cloud.migrate(volume_id, **wanted)
    assert record.phase == 'refused'
    [check] = record.checks
    assert (check['name'], check['passed']) == ('replication-changes', False)
    assert 'replication_status is failed-over' in check['detail']
    assert told['passed'] is False
    assert [each['name'] for each in told['checks'] if not each['passed']] == ['replication-changes']


def test_replicated_volume_is_not_migrated_and_the_check_says_so(cloud, type_of):
    volume_id = cloud.volume(volume_type_id=type_of())
    cloud.until(lambda: cloud.row(volume_id).replication_status == 'enabled')
    found = cloud.scheduler_api.preview_migration(cloud.context, {
        'volume_id': volume_id, 'operation': 'retype', 'requested_policy': 'on-demand',
        'destination_type_id': cloud.types['beta'], 'include_snapshots': True})
    failed = [check for check in found['checks'] if check['passed'] is False]
    assert [check['name'] for check in failed] == ['not-replicated']
    assert 'Disable the replication first' in failed[0]['remedy']


def test_backend_that_is_failed_over_is_disabled_and_replicates_nothing_new(cloud, type_of):
    services.set_disabled(cloud.context, 'cinder-volume', 'node@alpha', True, 'failed-over')
    assert 'its volume service is disabled' in why(cloud, cloud.volume('error'))


def test_migration_of_a_replicated_volume_is_not_begun(cloud, type_of):
    volume_id = cloud.volume(volume_type_id=type_of())
    cloud.until(lambda: cloud.row(volume_id).replication_status == 'enabled')
    with pytest.raises(exceptions.InvalidState) as caught:
        cloud.migrate(volume_id, lock=None, operation='migrate', destination_host=BETA)
    assert 'it is replicated (replication_status enabled)' in caught.value.message
    assert cloud.row(volume_id).migration_status is None
