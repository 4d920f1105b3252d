"""Groups, pools, backends and selectors; members that fail."""
# SPDX-License-Identifier: Apache-2.0

import replication_rows
import two_sides

from cinder_ext.db import replications

HOST, POOL = two_sides.HOST, two_sides.POOL


def content(number):
    return bytes([number + 1]) * 4096


def volumes_of(stage, count, **columns):
    return [stage.volume(content(number), **columns) for number in range(count)]


def of_group(stage, count=3):
    """(ids of a group's volumes, its replication)."""
    group_id = replication_rows.make_group(stage.context, host=POOL)
    ids = volumes_of(stage, count, group_id=group_id)
    return ids, stage.protect(group_id, 'group')


def test_all_members_of_a_group_stand_at_one_point(stage):
    ids, replication = of_group(stage)
    stage.write(ids[0], b'late')
    done = stage.operate('failover', replication.id)
    assert done.state == 'succeeded', done
    assert len({row.point_id for row in done.members.values()}) == 1
    assert [stage.read(each, 4) for each in ids] == [b'late', content(1)[:4], content(2)[:4]]
    assert {stage.words(each) for each in ids} == {('available', 'failed-over', 'side:dr')}
    back = stage.operate('failback', replication.id)
    assert back.state == 'succeeded', back
    assert {stage.words(each) for each in ids} == {('available', 'enabled', None)}


def test_a_forced_group_stands_at_the_newest_point_that_all_have(stage):
    ids, replication = of_group(stage)
    common = stage.replication(replication.id).point_id
    one = stage.members(replication.id)[0]
    stage.driver.ship([one], None, 'dr', '00000000-0000-4000-8000-000000000001', 3)
    done = stage.operate('failover', replication.id, force=True)
    assert {row.point_id for row in done.members.values()} == {common}


def test_a_member_of_a_group_that_fails_keeps_all_at_home(stage):
    ids, replication = of_group(stage)
    stage.control('dr', fail=[ids[1]])
    done = stage.operate('failover', replication.id)
    assert (done.state, set(done.results.values())) == ('failed', {'failed'})
    assert ids[1] in done.members[ids[0]].error
    assert {stage.words(each) for each in ids} == {('available', 'enabled', None)}
    assert [stage.read(each, 4096) for each in ids] == [content(number) for number in range(3)]
    assert stage.replication(replication.id).state == 'enabled'


def test_an_attached_member_of_a_group_keeps_all_at_home_but_not_when_it_is_forced(stage):
    ids, replication = of_group(stage)
    stage.attach(ids[2])
    done = stage.operate('failover', replication.id)
    assert (done.state, set(done.results.values())) == ('failed', {'failed'})
    assert {stage.words(each)[1] for each in ids} == {'enabled'}
    forced = stage.operate('failover', replication.id, force=True)
    assert (forced.state, forced.results[ids[2]]) == ('partial', 'failed')
    assert stage.replication(replication.id).state == 'failover-error'
    assert stage.words(ids[0])[1] == 'failed-over'


def test_a_group_may_be_moved_member_by_member(stage):
    ids, replication = of_group(stage)
    stage.control('dr', fail=[ids[1]])
    done = stage.operate('failover', replication.id, consistency='best-effort')
    assert (done.state, done.results) == (
        'partial', {ids[0]: 'done', ids[1]: 'failed', ids[2]: 'done'})
    assert stage.words(ids[1])[2] is None
    stage.control('dr')
    again = stage.operate('failover', replication.id, consistency='best-effort')
    assert again.state == 'succeeded', again
    assert {stage.words(each) for each in ids} == {('available', 'failed-over', 'side:dr')}
    assert [stage.read(each, 4096) for each in ids] == [content(number) for number in range(3)]
    assert stage.replication(replication.id).state == 'failed-over'


def test_a_wide_scope_of_narrow_replications_takes_best_effort(stage):
    ids = volumes_of(stage, 2)
    for each in ids:
        stage.protect(each)
    strict = stage.operate('failover', scope='pool', protected_id=POOL)
    assert (strict.state, strict.row.error_code) == (
        'failed', 'cinder_ext.replication_action_refused')
    assert 'best-effort' in strict.row.error
    assert {stage.words(each)[1] for each in ids} == {'enabled'}
    done = stage.operate('failover', scope='pool', protected_id=POOL, consistency='best-effort')
    assert done.state == 'succeeded', done
    assert {stage.words(each)[1] for each in ids} == {'failed-over'}


def test_a_pool_goes_volume_by_volume_and_comes_back(stage):
    ids = volumes_of(stage, 3)
    replication = stage.protect(POOL, 'pool')
    stage.control('dr', fail=[ids[0]])
    done = stage.operate('failover', replication.id)
    assert (done.state, done.results[ids[0]], done.results[ids[1]]) == ('partial', 'failed', 'done')
    assert stage.replication(replication.id).state == 'failover-error'
    stage.control('dr')
    assert stage.operate('failover', replication.id).state == 'succeeded'
    assert stage.replication(replication.id).state == 'failed-over'
    assert stage.operate('failback', replication.id).state == 'succeeded'
    assert {stage.words(each) for each in ids} == {('available', 'enabled', None)}
    assert [stage.read(each, 4096) for each in ids] == [content(number) for number in range(3)]


def test_a_failback_after_half_a_failover_brings_all_home(stage):
    ids = volumes_of(stage, 3)
    replication = stage.protect(POOL, 'pool')
    stage.control('dr', fail=[ids[0]])
    assert stage.operate('failover', replication.id).state == 'partial'
    stage.control('dr')
    back = stage.operate('failback', replication.id)
    assert back.state == 'succeeded', back
    assert {stage.words(each) for each in ids} == {('available', 'enabled', None)}
    assert [stage.read(each, 4096) for each in ids] == [content(number) for number in range(3)]


def test_a_backend_leaves_what_is_not_replicated_in_error_and_finds_its_active_side(stage):
    ids = volumes_of(stage, 2)
    plain, used = stage.volume(content(7)), stage.volume(content(8))
    stage.attach(used)
    for each in ids:
        stage.protect(each)
    done = stage.operate('failover', scope='backend', protected_id=HOST, consistency='best-effort')
    assert done.state == 'succeeded', done
    assert done.results == {ids[0]: 'done', ids[1]: 'done', plain: 'skipped', used: 'skipped'}
    assert (stage.words(plain)[0], stage.words(used)[0]) == ('error', 'error')
    service = stage.service
    assert (service.replication_status, service.active_backend_id) == ('failed-over', 'dr')

    stage.restart()
    new = stage.volume(b'new')
    assert (stage.directory / 'dr' / 'volumes' / f'volume-{new}.raw').exists()
    assert [stage.read(each, 4096) for each in ids] == [content(0), content(1)]

    back = stage.operate('failback', scope='backend', protected_id=HOST, consistency='best-effort')
    assert back.state == 'succeeded', back
    assert (stage.words(plain)[0], stage.words(used)[0]) == ('available', 'in-use')
    assert {stage.words(each) for each in ids} == {('available', 'enabled', None)}
    service = stage.service
    assert (service.replication_status, service.active_backend_id) == ('enabled', None)
    assert stage.read(plain, 4096) == content(7)


def test_a_backend_without_a_volume_that_could_move_is_not_failed_over(stage):
    volume_id = stage.volume(content(0))
    stage.protect(volume_id)
    plain = stage.volume()
    stage.control('dr', cut=True)
    done = stage.operate('failover', scope='backend', protected_id=HOST, consistency='best-effort')
    assert done.state == 'failed', done
    assert (stage.service.replication_status, stage.service.active_backend_id) == (
        'failover-error', None)
    assert (stage.words(plain)[0], stage.words(volume_id)) == (
        'available', ('available', 'enabled', None))


def test_the_native_replication_of_a_backend_is_used(stage):
    ids = volumes_of(stage, 2)
    replication = stage.protect(HOST, 'backend')
    done = stage.operate('failover', scope='backend', protected_id=HOST)
    assert done.state == 'succeeded', done
    assert set(done.results) == set(ids)
    assert stage.replication(replication.id).state == 'failed-over'


def test_a_selector_is_a_list_of_volumes_each_for_itself(stage):
    ids = volumes_of(stage, 3)
    for each in ids[:2]:
        stage.protect(each)
    done = stage.operate('failover', scope='volume', selector={'volume_ids': ids[1:]})
    assert (done.state, done.results) == ('partial', {ids[1]: 'done', ids[2]: 'failed'})
    assert 'not replicated' in done.members[ids[2]].error
    assert stage.words(ids[0])[1] == 'enabled'


def test_a_volume_of_a_replicated_group_is_not_moved_alone(stage):
    ids, replication = of_group(stage)
    done = stage.operate('failover', scope='volume', protected_id=ids[0])
    assert (done.state, done.results) == ('failed', {ids[0]: 'failed'})
    assert replication.id in done.members[ids[0]].error
    assert stage.words(ids[0])[1] == 'enabled'


def test_a_group_is_tested_as_of_one_moment(stage):
    ids, replication = of_group(stage)
    done = stage.operate('test', replication.id)
    assert done.state == 'succeeded', done
    clones = [done.members[each].clone_volume_id for each in ids]
    assert [stage.read(each, 4096) for each in clones] == [content(number) for number in range(3)]
    assert {stage.words(each)[1] for each in ids} == {'enabled'}


def test_a_volume_without_a_point_is_left_behind_and_keeps_nobody_from_coming_home(stage):
    old = stage.volume(content(0))
    replication = stage.protect(POOL, 'pool')
    new = stage.volume(content(1))
    replications.sync_members(stage.context, replication.id)
    done = stage.operate('failover', replication.id)
    assert (done.state, done.results) == ('partial', {old: 'done', new: 'failed'})
    assert stage.words(new)[1] == 'enabling'
    back = stage.operate('failback', replication.id)
    assert (back.state, back.results) == ('succeeded', {old: 'done', new: 'skipped'})
    assert stage.replication(replication.id).state == 'enabled'
    assert (stage.read(old, 4096), stage.read(new, 4096)) == (content(0), content(1))


def test_a_target_that_the_backend_does_not_have_changes_nothing(stage):
    plain = stage.volume()
    done = stage.operate('failover', scope='backend', protected_id=HOST, target='nowhere')
    assert (done.state, done.row.error_code) == ('failed', 'cinder_ext.invalid_input')
    assert (stage.words(plain)[0], stage.service.active_backend_id) == ('available', None)
