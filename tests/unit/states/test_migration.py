"""The phases of a migration and their projection."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.states import migration

WORDS = {None, 'starting', 'migrating', 'completing', 'success', 'error'}


def test_every_phase_is_shown_as_a_word_that_clients_know():
    assert sorted(migration.SHOWN) == migration.MACHINE.states
    assert set(migration.SHOWN.values()) == WORDS


def test_every_phase_is_active_yielding_to_be_tidied_or_ended():
    kinds = (migration.ACTIVE, (migration.YIELDING,), migration.TIDY, migration.ENDED)
    assert sorted(phase for kind in kinds for phase in kind) == migration.MACHINE.states


def test_what_ended_never_goes_on():
    assert [row.event for row in migration.MACHINE
            if set(row.sources).intersection(migration.ENDED)] == []


def test_after_the_commit_nothing_leads_back():
    after = {*migration.TIDY, migration.FINISHED}
    for row in migration.MACHINE:
        if after.intersection(row.sources):
            assert row.target in after, row.event


def test_an_active_migration_shows_a_word_that_keeps_others_away():
    for phase in migration.ACTIVE:
        assert migration.SHOWN[phase] in ('starting', 'migrating', 'completing')


def test_a_migration_that_yields_keeps_nobody_away():
    assert migration.SHOWN[migration.YIELDING] is None
    assert migration.YIELDING not in migration.ACTIVE
    assert migration.YIELDING in migration.MOVING


@pytest.mark.parametrize('phase', sorted({*migration.MOVING} - {*migration.CALLED_OFF}))
def test_whatever_moves_can_be_reverted(phase):
    assert phase in migration.MACHINE.row('revert').sources


@pytest.mark.parametrize('phase', [migration.SWAPPING, migration.COMMITTING, *migration.TIDY])
def test_past_the_point_of_no_return_nothing_is_cancelled(phase):
    for event in ('cancel', 'yield', 'pause', 'cancel-unplaced'):
        assert phase not in migration.MACHINE.row(event).sources


def test_every_phase_that_has_not_ended_can_end():
    reaches = set(migration.ENDED)
    while more := {source for row in migration.MACHINE if row.target in reaches
                   for source in row.sources} - reaches:
        reaches |= more
    assert sorted(reaches) == migration.MACHINE.states
