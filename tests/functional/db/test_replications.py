"""Replications: created with their claims, members and first points."""
# SPDX-License-Identifier: Apache-2.0

from replication_rows import BACKEND, DR, protect, ship

from cinder_ext.db import replications, volumes


def _word(ctxt, volume_id):
    return volumes.get(ctxt, volume_id).replication_status


def test_a_volume_is_enabling_until_its_first_point(make_volume, ctxt):
    volume_id = make_volume()
    row = protect(ctxt, volume_id, rpo_seconds=10)
    assert (row.state, row.scope, row.protected_id, row.home, row.target) == (
        'enabling', 'volume', volume_id, BACKEND, DR)
    assert (row.mode, row.rpo_seconds, row.interval_seconds, row.retention) == ('async', 10, 5, 3)
    assert (row.project_id, row.source_side, row.destination_side) == ('project', None, DR)
    assert [each.volume_id for each in replications.members(ctxt, row.id)] == [volume_id]
    assert _word(ctxt, volume_id) == 'enabling'
    point_id = ship(ctxt, row, bytes_shipped=7, epoch=1)
    row = replications.get(ctxt, row.id)
    assert (row.state, row.point_id, row.bytes_shipped, row.epoch) == ('enabled', point_id, 7, 1)
    member, = replications.members(ctxt, row.id)
    assert (member.point_id, member.last_consistent_at) == (point_id, row.last_consistent_at)
    assert _word(ctxt, volume_id) == 'enabled'
