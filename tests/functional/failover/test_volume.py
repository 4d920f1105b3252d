"""One volume, there and back again, by every verb."""
# SPDX-License-Identifier: Apache-2.0

import shutil

import pytest
import two_sides
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import attachments, replication_changes, snapshots, transition
from cinder_ext.states import replication as states
from cinder_ext.volume import engine
from cinder_ext.volume.replication import trials

A, B, C = b'a' * 4096, b'b' * 4096, b'c' * 4096


def test_planned_failover_loses_nothing_and_failback_brings_all_home(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.write(volume_id, B, 8192)
    done = stage.operate('failover', replication.id)
    assert done.state == 'succeeded', done
    member = done.members[volume_id]
    assert (member.step, member.loss_seconds, member.epoch) == ('promoted', 0.0, 1)
    assert stage.words(volume_id) == ('available', 'failed-over', 'side:dr')
    assert stage.path(volume_id).startswith(f'{stage.directory}/dr/')
    assert (stage.read(volume_id, 4096), stage.read(volume_id, 4096, 8192)) == (A, B)
    row = stage.replication(replication.id)
    assert (row.state, row.source_side, row.destination_side, row.is_shipping) == (
        'failed-over', 'dr', None, False)

    stage.write(volume_id, C)
    back = stage.operate('failback', replication.id)
    assert back.state == 'succeeded', back
    assert stage.words(volume_id) == ('available', 'enabled', None)
    assert (stage.read(volume_id, 4096), stage.read(volume_id, 4096, 8192)) == (C, B)
    row = stage.replication(replication.id)
    assert (row.state, row.source_side, row.destination_side, row.is_shipping) == (
        'enabled', None, 'dr', True)
    stage.ship(replication.id)


def test_forced_failover_says_what_was_lost_and_home_is_a_split_brain_when_it_was_written_to(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.write(volume_id, B)
    stage.control(cut=True)
    done = stage.operate('failover', replication.id, force=True)
    assert done.state == 'succeeded', done
    member = done.members[volume_id]
    assert member.point_id == replication.point_id
    assert member.last_consistent_at == replication.last_consistent_at
    age = done.row.finished_at - replication.last_consistent_at
    assert 0 < member.loss_seconds <= age.total_seconds()
    assert done.row.facts['loss_seconds'] == member.loss_seconds
    assert done.row.facts['unfenced'] == [volume_id]
    assert stage.read(volume_id, 4096) == A

    stage.control()
    back = stage.operate('failback', replication.id)
    assert back.state == 'failed'
    assert back.members[volume_id].error_code == 'cinder_ext.split_brain'
    assert 'resync' in back.members[volume_id].remedy
    assert stage.words(volume_id) == ('available', 'failed-over', 'side:dr')
    row = stage.replication(replication.id)
    split = row.conditions['split_brain']
    assert (row.state, split['status'], split['local_epoch'], split['remote_epoch']) == (
        'failed-over', True, 1, 0)

    assert stage.operate('resync', replication.id, discard='home').state == 'succeeded'
    assert stage.replication(replication.id).conditions['split_brain']['status'] is False
    back = stage.operate('failback', replication.id)
    assert back.state == 'succeeded', back
    assert (stage.words(volume_id), stage.read(volume_id, 4096)) == (
        ('available', 'enabled', None), A)


def test_resync_may_discard_the_target_and_keep_what_home_has(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.write(volume_id, B)
    stage.control(cut=True)
    assert stage.operate('failover', replication.id, force=True).state == 'succeeded'
    stage.control()
    stage.write(volume_id, C)
    done = stage.operate('resync', replication.id, discard='dr')
    assert done.state == 'succeeded', done
    assert (stage.words(volume_id), stage.read(volume_id, 4096)) == (
        ('available', 'enabled', None), B)
    row = stage.replication(replication.id)
    assert (row.state, row.source_side, row.is_shipping) == ('enabled', None, True)
    stage.ship(replication.id)
    assert stage.operate('failover', replication.id).state == 'succeeded'
    assert stage.read(volume_id, 4096) == B


def test_a_home_that_answers_is_fenced_by_a_forced_failover(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    with open(stage.path(volume_id), 'r+b') as writer:
        done = stage.operate('failover', replication.id, force=True)
        assert (done.state, done.row.facts['unfenced']) == ('succeeded', [])
        writer.write(C)
    assert stage.read(volume_id, 4096) == A
    back = stage.operate('failback', replication.id)
    assert back.state == 'succeeded', back
    assert stage.read(volume_id, 4096) == A


def test_reprotect_ships_the_other_way_and_a_second_one_is_harmless(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.operate('failover', replication.id)
    for _ in range(2):
        assert stage.operate('reprotect', replication.id).state == 'succeeded'
    row = stage.replication(replication.id)
    assert (row.state, row.source_side, row.destination_side, row.is_shipping) == (
        'failed-over', 'dr', None, True)
    stage.write(volume_id, B)
    stage.ship(replication.id)
    assert stage.operate('failback', replication.id).state == 'succeeded'
    assert stage.read(volume_id, 4096) == B


def test_snapshots_go_along_and_those_that_were_taken_too_late_are_named(stage):
    volume_id = stage.volume(A)
    early = stage.snapshot(volume_id)
    stage.write(volume_id, B)
    replication = stage.protect(volume_id)
    late = stage.snapshot(volume_id)
    done = stage.operate('failover', replication.id, force=True)
    rows = {each: snapshots.get(stage.context, each).provider_location for each in (early, late)}
    assert rows == {early: 'side:dr', late: None}
    assert late in done.members[volume_id].remedy
    assert early not in done.members[volume_id].remedy
    with open(stage.directory / 'dr' / 'snapshots' / f'snapshot-{early}.raw', 'rb') as stream:
        assert stream.read(4096) == A


def test_a_planned_failover_that_cannot_ship_is_undone(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.write(volume_id, B)
    stage.control('dr', full=True)
    done = stage.operate('failover', replication.id)
    assert (done.state, done.members[volume_id].error_code) == ('failed', 'cinder_ext.no_space')
    assert stage.words(volume_id) == ('available', 'enabled', None)
    assert stage.replication(replication.id).state == 'enabled'
    assert stage.read(volume_id, 4096) == B
    stage.control('dr')
    assert stage.operate('failover', replication.id).state == 'succeeded'
    assert stage.read(volume_id, 4096) == B


def test_a_planned_failover_of_a_dead_home_is_refused_and_changes_nothing(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.control(cut=True)
    done = stage.operate('failover', replication.id)
    assert (done.state, done.members[volume_id].error_code) == ('failed', 'cinder_ext.backend_down')
    assert stage.words(volume_id) == ('available', 'enabled', None)
    assert stage.replication(replication.id).state == 'enabled'


def test_a_paused_replication_is_paused_again_when_its_failover_is_undone(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    replication_changes.pause(stage.context, replication.id)
    stage.control('dr', full=True)
    assert stage.operate('failover', replication.id).state == 'failed'
    assert stage.replication(replication.id).state == 'paused'


def test_a_forced_failover_that_fails_may_be_repeated(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.control(cut=True)

    def full(_flow, step, state):
        if (step, state) == ('begin-promotion', 'RUNNING'):
            stage.control('dr', cut=True)

    stage.watchers.append(full)
    done = stage.operate('failover', replication.id, force=True)
    assert (done.state, done.members[volume_id].error_code) == ('failed', 'cinder_ext.backend_down')
    assert stage.words(volume_id) == ('available', 'failover-error', None)
    assert stage.replication(replication.id).state == 'failover-error'
    stage.watchers.clear()
    stage.control('dr')
    assert stage.operate('failover', replication.id, force=True).state == 'succeeded'
    assert stage.words(volume_id) == ('available', 'failed-over', 'side:dr')
    assert stage.replication(replication.id).error is None


def test_dry_runs_say_what_would_come_and_change_nothing(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    planned = stage.operate('failover', replication.id, dry_run=True)
    forced = stage.operate('failover', replication.id, dry_run=True, force=True)
    assert (planned.state, planned.members[volume_id].loss_seconds) == ('succeeded', 0.0)
    assert forced.members[volume_id].loss_seconds > 0
    assert forced.members[volume_id].point_id == replication.point_id
    stage.attach(volume_id)
    refused = stage.operate('failover', replication.id, dry_run=True)
    assert (refused.state, refused.members[volume_id].error_code) == (
        'failed', 'cinder_ext.member_attached')
    assert stage.words(volume_id) == ('in-use', 'enabled', None)
    assert stage.replication(replication.id).state == 'enabled'


def test_an_attached_volume_is_left_out_unless_that_is_allowed(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    attachment_id = stage.attach(volume_id, 'a-server')
    refused = stage.operate('failover', replication.id)
    assert (refused.state, stage.words(volume_id)) == ('failed', ('in-use', 'enabled', None))
    assert 'allow_attached' in refused.members[volume_id].error
    done = stage.operate('failover', replication.id, allow_attached=True)
    assert done.state == 'succeeded', done
    said, = done.members[volume_id].attachments
    assert (said['server_id'], said['attachment_id'], said['connection']) == (
        'a-server', attachment_id, 'renewed')
    assert 'attach it again' in said['to_do']
    assert said['is_reattached'] is False
    info = attachments.get(stage.context, attachment_id).connection_info
    assert info['device_path'].startswith(f'{stage.directory}/dr/')
    assert (info['access_mode'], info['qos_specs']) == ('rw', None)
    assert stage.words(volume_id)[0] == 'in-use'


def test_sync_now_ships_a_point_of_what_is_there(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.write(volume_id, B)
    done = stage.operate('sync_now', replication.id)
    assert done.state == 'succeeded', done
    now = stage.replication(replication.id)
    assert now.last_consistent_at > replication.last_consistent_at
    assert now.point_id == done.members[volume_id].point_id
    stage.control(cut=True)
    stage.operate('failover', replication.id, force=True)
    assert stage.read(volume_id, 4096) == B


def test_a_test_is_a_volume_of_its_own_that_expires(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.write(volume_id, B)
    done = stage.operate('test', replication.id, expires_at=timeutils.utcnow())
    assert done.state == 'succeeded', done
    clone_id = done.members[volume_id].clone_volume_id
    clone = stage.row(clone_id)
    assert (clone.consumes_quota, clone.status, clone.provider_location) == (
        False, 'available', 'side:dr')
    assert (stage.read(clone_id, 4096), stage.read(volume_id, 4096)) == (A, B)
    stage.write(clone_id, C)
    stage.ship(replication.id)
    assert trials.expire(stage.context, two_sides.HOST) == [clone_id]
    assert stage.row(clone_id).status == 'deleting'
    assert trials.expire(stage.context, two_sides.HOST) == []


def test_a_dead_home_is_failed_over_by_another_service(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    shutil.rmtree(stage.directory / 'alpha')
    stage.restart(host='other@alpha', starts=False)
    done = stage.operate('failover', replication.id, force=True)
    assert done.state == 'succeeded', done
    assert stage.read(volume_id, 4096) == A


def test_what_failed_over_is_not_failed_over_again(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.operate('failover', replication.id)
    with pytest.raises(exceptions.ReplicationActionRefused):
        stage.ask('failover', replication.id)
    done = stage.operate('failover', scope='volume', protected_id=volume_id)
    assert (done.state, done.members[volume_id].error_code) == (
        'failed', 'cinder_ext.replication_action_refused')


def test_a_home_that_comes_back_without_writes_of_its_own_is_taken_back(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.control(cut=True)
    assert stage.operate('failover', replication.id, force=True).state == 'succeeded'
    stage.control()
    stage.write(volume_id, B)
    for verb in ('reprotect', 'failback'):
        done = stage.operate(verb, replication.id)
        assert done.state == 'succeeded', done
    assert (stage.words(volume_id), stage.read(volume_id, 4096)) == (
        ('available', 'enabled', None), B)


def test_a_reprotect_never_discards_what_home_has_written(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.write(volume_id, B)
    stage.control(cut=True)
    stage.operate('failover', replication.id, force=True)
    stage.control()
    done = stage.operate('reprotect', replication.id)
    assert (done.state, done.members[volume_id].error_code) == ('failed', 'cinder_ext.split_brain')
    home = stage.directory / 'alpha' / 'volumes' / f'volume-{volume_id}.raw'
    with home.open('rb') as stream:
        assert stream.read(4096) == B


def test_a_second_target_waits_while_the_volume_is_at_the_first(tmp_path):
    stage = two_sides.Stage(tmp_path, more_targets=('far',))
    volume_id = stage.volume(A)
    near, far = stage.protect(volume_id), stage.protect(volume_id, target='far')
    assert stage.operate('failover', near.id).state == 'succeeded'
    assert stage.replication(far.id).is_shipping is False
    stage.write(volume_id, B)
    assert stage.operate('failback', near.id).state == 'succeeded'
    row = stage.replication(far.id)
    assert (row.is_shipping, row.state, row.epoch) == (
        True, 'enabled', stage.replication(near.id).epoch)
    stage.ship(far.id)
    done = stage.operate('failover', far.id)
    assert done.state == 'succeeded', done
    assert (stage.words(volume_id)[2], stage.read(volume_id, 4096)) == ('side:far', B)
    stage.stop()


def test_a_target_that_burnt_is_left_for_a_home_that_was_demoted(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.operate('failover', replication.id)
    stage.write(volume_id, B)
    stage.control('dr', lost=True)
    planned = stage.operate('failback', replication.id)
    assert (planned.state, stage.words(volume_id)[1]) == ('failed', 'failed-over')
    done = stage.operate('failback', replication.id, force=True)
    assert done.state == 'succeeded', done
    assert (stage.words(volume_id), stage.read(volume_id, 4096)) == (
        ('available', 'enabled', None), A)
    assert done.members[volume_id].loss_seconds > 0


def test_a_volume_that_is_reset_by_force_meanwhile_ends_the_operation_all_the_same(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)

    def reset(_flow, step, state):
        if (step, state) == ('close-members', 'RUNNING'):
            transition.force(stage.context, states.VOLUME, volume_id, 'error')

    stage.watchers.append(reset)
    done = stage.operate('failover', replication.id)
    assert (done.state, done.members[volume_id].error_code) == (
        'failed', 'cinder_ext.transition_refused')
    assert stage.replication(replication.id).state == 'failover-error'
    stage.watchers.clear()
    done = stage.operate('failover', replication.id)
    assert done.state == 'succeeded', done
    assert (stage.words(volume_id), stage.read(volume_id, 4096)) == (
        ('available', 'failed-over', 'side:dr'), A)


def test_a_service_that_stops_leaves_an_operation_to_its_successor(stage):
    volume_id = stage.volume(A)
    replication = stage.protect(volume_id)
    stage.watchers.append(lambda _flow, step, state: step == 'sync-members' and stage.stopping.set())
    operation_id = stage.ask('failover', replication.id)
    with pytest.raises(engine.Parked):
        stage.go(operation_id)
    assert stage.result(operation_id).state == 'running'
    stage.watchers.clear()
    stage.restart()
    assert stage.go(operation_id).state == 'succeeded'
    assert stage.words(volume_id) == ('available', 'failed-over', 'side:dr')
