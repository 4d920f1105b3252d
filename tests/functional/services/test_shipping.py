"""Points of volumes reach the other side by themselves: real services, files and messages."""
# SPDX-License-Identifier: Apache-2.0

import statistics
import time

import replicating

from cinder_ext.db import replication_changes, replications

MIB = 1024 ** 2


def test_volume_of_a_replicated_type_is_replicated_from_its_creation(replicated):
    volume_id, replication_id = replicated.volume()
    row = replicated.get(replication_id)
    assert (row.scope, row.target, row.rpo_seconds, row.interval_seconds) == (
        'volume', replicating.DR, 2, 1)
    assert replicated.cloud.row(volume_id).replication_status == 'enabled'
    replicated.cloud.write(volume_id, 4096, b'written')
    point = replicated.next_point(replication_id)
    assert replicated.cloud.read(replicated.replica(volume_id), 4096, 7) == b'written'
    assert replicated.side(volume_id).points[-1].id == point.point_id
    assert replicated.condition(replication_id, 'replicating') is True
    assert not replicated.condition(replication_id, 'degraded')


def test_points_come_at_their_interval_and_not_after_each_other_s_arrival(replicated):
    volume_id, replication_id = replicated.volume()
    # The second half of a point is on its way for 0.8 of the second until the next one.
    replicated.control(bytes_per_second=5 * MIB)
    seen, until = [], time.monotonic() + 5
    while len(seen) < 4 and time.monotonic() < until:
        row = replicated.get(replication_id)
        if row.last_consistent_at not in seen:
            seen.append(row.last_consistent_at)
            replicated.cloud.write(volume_id, 0, bytes([len(seen)]) * (8 * MIB))
        time.sleep(0.05)
    pauses = [(after - before).total_seconds()
              for before, after in zip(seen, seen[1:], strict=False)]
    assert len(pauses) >= 3
    assert replicated.get(replication_id).bytes_shipped >= 8 * MIB * (len(pauses) - 1)
    # Where the way is added to the interval it is 1.8 s.
    assert statistics.median(pauses) < 1.4, pauses


def test_paused_replication_ships_nothing_and_goes_on_when_resumed(replicated):
    _volume_id, replication_id = replicated.volume()
    replication_changes.pause(replicated.admin, replication_id)
    time.sleep(0.2)
    before = replicated.get(replication_id).last_consistent_at
    time.sleep(1.2)
    assert replicated.get(replication_id).last_consistent_at == before
    replication_changes.resume(replicated.admin, replication_id)
    replicated.cloud.until(lambda: replicated.get(replication_id).last_consistent_at > before, 10)


def test_cut_link_is_said_once_also_by_a_successor_and_healed_when_a_point_arrives_in_time(replicated):
    volume_id, replication_id = replicated.volume()
    replicated.control(cut=True)
    row = replicated.cloud.until(
        lambda: (row := replicated.get(replication_id)).breached_at and row, 15)
    assert row.state == 'enabled'
    assert replicated.condition(replication_id, 'degraded') is True
    replicated.cloud.stop()
    replicated.cloud.start()
    # It is looked at in each period, of one second.
    time.sleep(1.2)
    assert len(replicated.told(volume_id)) == 1
    replicated.control()
    replicated.cloud.until(lambda: replicated.get(replication_id).breached_at is None, 15)
    assert replicated.condition(replication_id, 'degraded') is False
    assert len(replicated.told(volume_id)) == 1


def test_full_target_is_tried_again_until_it_has_room(replicated):
    volume_id, replication_id = replicated.volume()
    replicated.control(full=True)
    replicated.cloud.write(volume_id, 0, b'late')
    replicated.ask_point(replication_id)
    replicated.cloud.until(lambda: replicated.condition(replication_id, 'degraded'), 10)
    replicated.control()
    replicated.next_point(replication_id)
    assert replicated.cloud.read(replicated.replica(volume_id), 0, 4) == b'late'


def test_lost_target_is_filled_anew(replicated):
    volume_id, replication_id = replicated.volume()
    replicated.cloud.write(volume_id, 0, b'again')
    room = replicated.cloud.directory / replicating.DR
    room.rename(room.with_name('lost'))
    room.mkdir()
    replicated.next_point(replication_id)
    assert replicated.get(replication_id).state == 'enabled'
    assert replicated.cloud.read(replicated.replica(volume_id), 0, 5) == b'again'


def test_split_brain_stops_the_shipping_and_fences_the_side_that_was_superseded(replicated):
    volume_id, replication_id = replicated.volume()
    volume = replicated.cloud.row(volume_id)
    member = replicating.member_of(volume)
    replicated.driver().promote(member, replicating.DR, 7)
    replicated.ask_point(replication_id)
    row = replicated.becomes(replication_id, 'error')
    said = row.conditions['split_brain']
    assert (said['status'], said['local_epoch'], said['remote_epoch']) == (True, row.epoch, 7)
    assert replicated.cloud.row(volume_id).replication_status == 'error'
    replicated.cloud.until(lambda: replicated.side(volume_id, None).role == 'fenced', 5)
    assert replicated.side(volume_id).role == 'primary'
    assert row.remedy


def test_service_goes_on_after_its_end_and_ships_what_was_written_meanwhile(replicated):
    volume_id, replication_id = replicated.volume()
    replicated.cloud.stop()
    replicated.cloud.write(volume_id, 0, b'meanwhile')
    replicated.cloud.start()
    replicated.next_point(replication_id)
    assert replicated.cloud.read(replicated.replica(volume_id), 0, 9) == b'meanwhile'


def test_two_targets_are_shipped_to_by_themselves(replicated):
    volume_id, replication_id = replicated.volume()
    other = replications.create(replicated.admin, replicating.policy(rpo_seconds=2), volume_id,
                                replicating.OFFSITE)
    replicated.api.look(replicated.context)
    replicated.becomes(other.id, 'enabled')
    replicated.control(cut=True)
    replicated.cloud.write(volume_id, 0, b'both')
    replicated.next_point(other.id)
    assert replicated.cloud.read(replicated.replica(volume_id, replicating.OFFSITE), 0, 4) == b'both'
    assert replicated.get(replication_id).state == 'enabled'
