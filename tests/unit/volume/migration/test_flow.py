"""Names and order of the steps: what is stored and resumed."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest
from taskflow import task

from cinder_ext.volume.migration import flow, plan, tasks

SNAPSHOTS = 2


def work(verify='written', is_attached=False):
    links = [plan.Link(number, f's{number}' if number < SNAPSHOTS else None, 1, f'from{number}',
                       'volume', f'to{number}', 'new') for number in range(SNAPSHOTS + 1)]
    return types.SimpleNamespace(links=links, verify=verify, is_attached=is_attached,
                                 copied_links=links[:-1] if is_attached else links)


def names(built):
    return [step.name for step, _ in built.iter_nodes()]


def test_move_builds_the_chain_oldest_first_and_ends_with_the_commit():
    built = flow.move(work())
    assert built.name == 'move'
    assert names(built) == [
        'own-failure', 'create-target', 'copy-links', 'verify-chain', 'swap-records']


def test_move_without_verification_has_no_such_step():
    assert names(flow.move(work('off')))[-2:] == ['copy-links', 'swap-records']


def test_tidy_removes_the_source_between_its_beginning_and_its_end():
    built = flow.tidy(work())
    assert built.name == 'tidy'
    assert names(built) == ['begin-tidy', 'remove-source', 'finish-migration']


def test_of_an_attached_volume_the_server_moves_the_live_content():
    assert names(flow.move(work(is_attached=True))) == [
        'own-failure', 'create-target', 'copy-links', 'verify-chain', 'swap-server']
    assert names(flow.tidy(work(is_attached=True))) == [
        'begin-tidy', 'release-source', 'remove-source', 'finish-migration']


def test_removal_goes_from_the_newest_snapshot_to_the_oldest_then_the_volume():
    assert [link.number for link in plan.newest_first(work().links)] == [1, 0, 2]


@pytest.mark.parametrize('is_attached', [False, True])
@pytest.mark.parametrize('build', [flow.move, flow.tidy])
def test_steps_need_nothing_from_each_other(build, is_attached):
    """So a step that is resumed finds all that it needs in the record."""
    built = build(work(is_attached=is_attached))
    assert (built.requires, built.provides) == (frozenset(), frozenset())
    for step, _ in built.iter_nodes():
        assert (step.requires, step.provides) == (frozenset(), frozenset()), step.name


def test_only_move_can_be_undone_and_each_step_asks_the_record_first():
    def reverts(built):
        return {type(step).revert for step, _ in built.iter_nodes()}
    assert reverts(flow.move(work())) == {tasks.MoveStep.revert}
    assert reverts(flow.tidy(work())) == {task.Task.revert}
    assert reverts(flow.move(work(is_attached=True))) == {tasks.MoveStep.revert}
    assert reverts(flow.tidy(work(is_attached=True))) == {task.Task.revert}


def test_nothing_is_removed_before_there_is_a_plan():
    assert plan.newest_first([]) == []
