"""Replications begin and end with volumes, types, groups and pools: real services and files."""
# SPDX-License-Identifier: Apache-2.0

import time

import pytest
import replicating

from cinder_ext import exceptions
from cinder_ext.db import group_requests, managed, replications, volume_requests

SELDOM = replicating.SELDOM


@pytest.fixture
def group(replicated, replicating_groups):
    """Of two volumes that hold their number; replicated."""
    group_id, members = replicating_groups.two(
        group_type_id=replicating_groups.group_type(name=f'type-of-{id(replicated)}'))
    replication_id = replicated.enable('group', group_id)
    replicated.becomes(replication_id, 'enabled')
    return group_id, members, replication_id


def _retype(replicated, volume_id, type_id):
    ended = replicated.cloud.migrate(volume_id, destination_type_id=type_id,
                                     requested_policy='never')
    assert ended.phase == 'unneeded', ended.error


def test_deleted_volume_leaves_no_replica_and_no_claim(replicated):
    type_id = replicated.type()
    volume_id, replication_id = replicated.volume(type_id)
    replicated.delete(volume_id)
    replicated.cloud.until(lambda: replicated.has_ended(replication_id), 10)
    assert replicated.side(volume_id, deleted=True).role is None
    assert replications.of_thing(replicated.admin, 'volume', volume_id) == []
    with pytest.raises(exceptions.VolumeNotFound):
        replicated.cloud.row(volume_id)


def test_replica_at_a_silent_target_does_not_keep_a_volume_from_being_deleted(replicated, caplog):
    volume_id, replication_id = replicated.volume()
    replicated.control(cut=True)
    replicated.delete(volume_id)
    replicated.cloud.until(lambda: replicated.has_ended(replication_id), 10)
    assert f'a replica of volume {volume_id} is left at {replicating.DR}' in caplog.text
    replicated.control()
    assert replicated.side(volume_id, deleted=True).role == 'secondary'


def test_volume_that_is_let_go_keeps_its_content_and_leaves_no_replica(replicated):
    volume_id, replication_id = replicated.volume()
    replicated.cloud.write(volume_id, 0, b'mine')
    managed.begin_unmanage(replicated.context, volume_id)
    replicated.cloud.volume_api.unmanage_volume(replicated.context, 'node@alpha#alpha', volume_id)
    replicated.cloud.until(lambda: replicated.has_ended(replication_id), 10)
    assert replicated.side(volume_id, deleted=True).role is None
    assert replicated.side(volume_id, None, deleted=True).role is None
    assert replicated.cloud.read(replicated.cloud.path(volume_id), 0, 4) == b'mine'


def test_volume_follows_its_type(replicated):
    plain = replicated.cloud.types['alpha']
    asks = replicated.type(rpo=4)
    volume_id = replicated.cloud.volume()
    assert replicated.of(volume_id) == []
    _retype(replicated, volume_id, asks)
    replication_id = replicated.becomes_enabled(volume_id)
    assert replicated.get(replication_id).rpo_seconds == 4
    assert replicated.cloud.row(volume_id).replication_status == 'enabled'
    _retype(replicated, volume_id, plain)
    replicated.cloud.until(lambda: replicated.has_ended(replication_id), 10)
    assert replicated.cloud.row(volume_id).replication_status == 'disabled'
    assert replicated.side(volume_id).role is None
    assert replicated.side(volume_id, None).role is None


def test_volume_gets_the_policy_and_the_target_of_another_type(replicated):
    volume_id, replication_id = replicated.volume()
    _retype(replicated, volume_id, replicated.type(rpo=20, retention=7))
    row = replicated.cloud.until(
        lambda: (row := replicated.get(replication_id)).rpo_seconds == 20 and row, 10)
    assert (row.interval_seconds, row.retention, row.policy['retention']) == (10, 7, 7)
    _retype(replicated, volume_id, replicated.type(target=replicating.OFFSITE))
    replicated.cloud.until(lambda: replicated.has_ended(replication_id), 10)
    replicated.api.look(replicated.context)
    other = replicated.becomes_enabled(volume_id)
    assert replicated.get(other).target == replicating.OFFSITE
    assert replicated.side(volume_id, replicating.OFFSITE).role == 'secondary'


def test_extended_volume_ships_its_new_size_and_its_snapshots_travel_along(replicated):
    volume_id, replication_id = replicated.volume()
    replicated.cloud.write(volume_id, 0, b'before')
    snapshot_id = replicated.cloud.snapshot(volume_id)
    replicated.cloud.write(volume_id, 0, b'after!')
    volume_requests.begin_extend(replicated.context, volume_id, 'extend', 2)
    replicated.cloud.volume_api.extend_volume(
        replicated.context, replicated.cloud.row(volume_id).host, volume_id, 2)
    replicated.cloud.until(lambda: replicated.cloud.row(volume_id).size == 2, 10)
    replicated.next_point(replication_id)
    path = replicated.replica(volume_id)
    assert path.stat().st_size == 2 * 1024 ** 3
    assert replicated.cloud.read(path, 0, 6) == b'after!'
    assert replicated.cloud.read(path.with_name(f'snapshot-{snapshot_id}.raw'), 0, 6) == b'before'


def test_members_of_a_group_have_one_point_in_common(replicated, group):
    _group_id, members, replication_id = group
    point = replicated.next_point(replication_id)
    assert {replicated.side(each).points[-1].id for each in members} == {point.point_id}
    assert replicated.condition(replication_id, 'completed') is True


def test_volumes_come_to_a_group_and_leave_it(replicated, replicating_groups, group):
    group_id, members, replication_id = group
    new = replicating_groups.member(group_id)
    replicated.cloud.until(lambda: replicated.cloud.row(new).replication_status == 'enabled', 15)
    point = replicated.next_point(replication_id)
    assert {replicated.side(each).points[-1].id for each in (*members, new)} == {point.point_id}
    group_requests.update(replicated.context, group_id, {}, remove=[new])
    replicated.api.look(replicated.context)
    replicated.cloud.until(lambda: replicated.cloud.row(new).replication_status == 'disabled', 15)
    assert replicated.side(new).role is None
    assert {each.volume_id for each in replications.members(replicated.admin, replication_id)} == {
        *members}
    replicated.next_point(replication_id)


def test_pool_replicates_what_is_in_it_and_one_that_fails_keeps_no_other(replicated):
    first = replicated.cloud.volume()
    replication_id = replicated.enable('pool', 'node@alpha#alpha')
    replicated.becomes(replication_id, 'enabled')
    second = replicated.cloud.volume()
    replicated.cloud.until(lambda: replicated.cloud.row(second).replication_status == 'enabled', 15)
    replicated.control(fail=[second])
    replicated.cloud.write(first, 0, b'goes on')
    replicated.ask_point(replication_id)
    replicated.cloud.until(lambda: replicated.condition(replication_id, 'degraded'), 10)
    replicated.cloud.until(lambda: replicated.read_replica(first, 0, 7) == b'goes on', 10)
    row = replicated.cloud.until(
        lambda: (row := replicated.get(replication_id)).breached_at and row, 10)
    lags = {each.volume_id: each.last_consistent_at
            for each in replications.members(replicated.admin, replication_id)}
    assert row.last_consistent_at == lags[second] < lags[first]
    replicated.control()
    replicated.cloud.until(lambda: not replicated.condition(replication_id, 'degraded'), 10)


def test_interval_that_the_driver_does_not_serve_is_refused_and_said_so(replicated):
    replicated.cloud.volume()
    replication_id = replicated.enable('pool', 'node@alpha#alpha', rpo=2, target=SELDOM)
    replicated.cloud.until(lambda: replicated.condition(replication_id, 'degraded'), 10)
    row = replicated.get(replication_id)
    assert row.state == 'enabling'
    assert 'at most every 60' in row.conditions['degraded']['reason']


def test_empty_backend_is_replicated_from_now_on(replicated):
    replication_id = replicated.enable('backend', 'node@alpha')
    row = replicated.becomes(replication_id, 'enabled')
    time.sleep(row.interval_seconds)
    replicated.api.look(replicated.context)
    replicated.cloud.until(
        lambda: replicated.get(replication_id).last_consistent_at > row.last_consistent_at, 10)
    volume_id = replicated.cloud.volume()
    replicated.cloud.until(
        lambda: replicated.cloud.row(volume_id).replication_status == 'enabled', 15)
