"""Names and order of the steps: what is stored and resumed."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest
from taskflow import task

from cinder_ext.volume.replication import flow, steps

VERBS = ('failover', 'failback', 'reprotect', 'resync', 'sync_now', 'test')


def work(verb='failover', force=False, dry_run=False, is_promoting=False):
    return types.SimpleNamespace(verb=verb, force=force, dry_run=dry_run, is_promoting=is_promoting)


def names(built):
    return [step.name for step, _ in built.iter_nodes()]


def built(made):
    return [build(made) for _, build in flow.of(made)]


def test_a_planned_failover_fences_ships_and_promotes():
    prepare, promote = built(work())
    assert names(prepare) == ['own-failure', 'take-members', 'fence-members', 'sync-members',
                              'begin-promotion']
    assert names(promote) == ['promote-members', 'demote-source', 'connect-servers', 'close-members',
                              'close-operation']


def test_a_forced_one_chooses_points_and_leaves_the_dead_alone():
    prepare, promote = built(work(force=True))
    assert names(prepare) == ['own-failure', 'take-members', 'fence-members', 'choose-points',
                              'begin-promotion']
    assert names(promote) == ['promote-members', 'connect-servers', 'close-members',
                              'close-operation']


def test_the_way_back_ships_before_the_volumes_are_taken():
    prepare, promote = built(work('failback'))
    assert names(prepare) == ['own-failure', 'prepare-home', 'ship-home', 'take-members',
                              'fence-members', 'sync-members', 'begin-promotion']
    assert names(promote) == names(built(work())[1])


def test_forced_both_directions_are_the_same():
    assert [names(each) for each in built(work('failback', force=True))] == [
        names(each) for each in built(work(force=True))]


@pytest.mark.parametrize(('verb', 'step'), [
    ('reprotect', 'turn-members'), ('resync', 'resync-members'), ('sync_now', 'ship-members'),
    ('test', 'clone-members')])
def test_the_other_verbs_have_one_step_of_their_own(verb, step):
    only, = built(work(verb))
    assert names(only) == ['own-failure', step, 'close-operation']


@pytest.mark.parametrize('verb', VERBS)
def test_a_dry_run_of_any_verb_only_looks(verb):
    only, = built(work(verb, dry_run=True))
    assert names(only) == ['own-failure', 'examine-members', 'close-operation']


@pytest.mark.parametrize('verb', ['failover', 'failback'])
def test_what_promotes_goes_on_with_the_flow_that_goes_forward(verb):
    only, = built(work(verb, is_promoting=True))
    assert names(only)[0] == 'promote-members'


@pytest.mark.parametrize('verb', VERBS)
def test_each_flow_is_stored_by_a_name_of_its_own_that_it_has(verb):
    for name, build in flow.FLOWS[verb]:
        assert build(work(verb)).name == name
    others = {name for other in VERBS if other != verb for name, _ in flow.FLOWS[other]}
    assert others.isdisjoint({name for name, _ in flow.FLOWS[verb]} - {flow.PROMOTE})


@pytest.mark.parametrize('force', [False, True])
@pytest.mark.parametrize('verb', VERBS)
def test_steps_need_nothing_from_each_other(verb, force):
    """So a step that is resumed finds all that it needs in the records."""
    for each in built(work(verb, force)):
        assert (each.requires, each.provides) == (frozenset(), frozenset())
        for step, _ in each.iter_nodes():
            assert (step.requires, step.provides) == (frozenset(), frozenset()), step.name


def test_what_promotes_is_never_undone_and_each_undoing_asks_the_record_first():
    def reverts(made):
        return {type(step).revert for step, _ in made.iter_nodes()}
    for verb in ('failover', 'failback'):
        prepare, promote = built(work(verb))
        assert reverts(prepare) == {steps.UndoableStep.revert}
        assert reverts(promote) == {task.Task.revert}
