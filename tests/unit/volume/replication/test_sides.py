"""What the answers of both sides mean."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.values import Point, Side
from cinder_ext.volume.replication import sides

POINT = Point('a-point', 1.0)
UNIT = types.SimpleNamespace(source=None, destination='dr')
MATE = types.SimpleNamespace(volume=types.SimpleNamespace(id='a-volume'))


def found(source, destination):
    """(role, epoch) of each; a source of None does not answer."""
    return sides.Found(source and Side(*source, exists=True),
                       Side(*destination, points=(POINT,), exists=True))


@pytest.mark.parametrize(('source', 'destination', 'is_there'), [
    (('primary', 0), ('secondary', 0), False), (('primary', 0), ('primary', 1), True),
    (('primary', 2), ('primary', 1), False), (('fenced', 0), ('primary', 1), True),
    (None, ('primary', 1), True), (None, ('secondary', 0), False)])
def test_a_destination_that_is_primary_of_a_newer_epoch_was_promoted_before(
        source, destination, is_there):
    assert found(source, destination).is_there is is_there


@pytest.mark.parametrize(('source', 'destination', 'force', 'fault'), [
    (None, ('secondary', 0), False, exceptions.BackendDown),
    (('primary', 2), ('primary', 1), True, exceptions.SplitBrain),
    (('primary', 0), (None, 0), False, exceptions.NoConsistentPoint),
    (('primary', 0), ('fenced', 0), False, exceptions.SplitBrain)])
def test_what_cannot_be_moved_is_refused_with_the_reason(source, destination, force, fault):
    with pytest.raises(fault):
        sides.check(UNIT, MATE, found(source, destination), force)


def test_a_forced_move_needs_a_point_and_a_planned_one_ships_it():
    bare = sides.Found(Side('primary', 0), Side('secondary', 0))
    sides.check(UNIT, MATE, bare, False)
    with pytest.raises(exceptions.NoConsistentPoint):
        sides.check(UNIT, MATE, bare, True)


@pytest.mark.parametrize(('source', 'force'), [(('primary', 0), False), (None, True)])
def test_what_can_be_moved_is_not_refused(source, force):
    sides.check(UNIT, MATE, found(source, ('secondary', 0)), force)


def test_the_largest_epoch_counts():
    assert found(('fenced', 3), ('secondary', 2)).epoch == 3
    assert found(None, ('secondary', 2)).epoch == 2


def test_a_split_shows_both_epochs():
    fault = sides.split(MATE, UNIT, found(('primary', 3), ('primary', 4)))
    assert (fault.facts['local_side'], fault.facts['local_epoch']) == ('home', 3)
    assert (fault.facts['remote_side'], fault.facts['remote_epoch']) == ('dr', 4)
