"""What is shipped together, and when."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import types

import pytest

from cinder_ext.volume.replication import units

NOON = datetime.datetime(2030, 1, 1, 12)


def member(volume_id, ago=0, status='available', replication_status='enabled', has_point=True):
    return types.SimpleNamespace(
        volume_id=volume_id, status=status, replication_status=replication_status,
        point_id='point' if has_point else None,
        last_consistent_at=NOON - datetime.timedelta(seconds=ago) if has_point else None)


@pytest.mark.parametrize('scope', ['pool', 'backend'])
def test_each_volume_of_a_wide_scope_has_points_of_its_own(scope):
    found = units.units('r', scope, [member('a'), member('b', ago=5)])
    assert [unit.volume_ids for unit in found] == [('a',), ('b',)]
    assert found[0].since - found[1].since == 5


def test_volumes_of_a_group_are_shipped_together_and_are_as_old_as_the_oldest():
    (found,) = units.units('r', 'group', [member('a', ago=3), member('b')])
    assert found.volume_ids == ('a', 'b')
    assert found.since == units.seconds(NOON) - 3


def test_first_point_of_a_group_has_all_members():
    (found,) = units.units('r', 'group', [member('a', has_point=False), member('b', has_point=False)])
    assert (found.volume_ids, found.since, found.is_seed) == (('a', 'b'), None, False)


def test_volume_that_comes_to_a_group_is_copied_by_itself_first():
    together, seed = units.units('r', 'group', [member('a'), member('b', has_point=False)])
    assert (together.volume_ids, together.is_seed) == (('a',), False)
    assert (seed.volume_ids, seed.is_seed) == (('b',), True)


def test_group_has_no_point_while_a_member_is_being_reverted():
    assert units.units('r', 'group', [member('a'), member('b', status='reverting')]) == []


@pytest.mark.parametrize('status', units.ASIDE)
def test_volume_that_is_decided_about_is_left_out_of_its_pool_and_only_that(status):
    broken = member('a', replication_status=status)
    assert [unit.volume_ids for unit in units.units('r', 'pool', [broken, member('b')])] == [('b',)]
    assert len(units.units('r', 'volume', [broken])) == 1


@pytest.mark.parametrize('status', units.UNSHIPPABLE)
def test_content_that_nobody_wants_back_is_not_shipped(status):
    assert units.units('r', 'volume', [member('a', status=status)]) == []


def test_nothing_is_due_before_its_interval_has_passed_since_the_point_was_taken():
    assert units.due_at(100.0, 5, None, 103.0) == 105.0


def test_first_point_is_due_at_once():
    assert units.due_at(None, 5, None, 103.0) == 103.0


def test_point_that_was_asked_for_after_the_last_one_is_due_at_once():
    assert units.due_at(100.0, 500, 101.0, 103.0) == 103.0
    assert units.due_at(100.0, 500, 99.0, 103.0) == 600.0


def test_clock_that_was_set_back_delays_by_an_interval_at_most():
    assert units.due_at(5000.0, 5, None, 103.0) == 108.0
