"""A service that is killed anywhere in an operation of replication: its successor ends it, whole."""
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import random

import pytest
import replication_rows
import two_sides
import warm

from cinder_ext.states import replication as states

SCRIPT = pathlib.Path(two_sides.__file__).with_name('mortal_operation.py')
LONG = bool(os.environ.get('CINDER_EXT_LONG'))

PROMOTE = ['promote-members', 'demote-source', 'connect-servers', 'close-members', 'close-operation']
STEPS = {
    'failover': ['own-failure', 'take-members', 'fence-members', 'sync-members', 'begin-promotion',
                 *PROMOTE],
    'forced': ['own-failure', 'take-members', 'fence-members', 'choose-points', 'begin-promotion',
               'promote-members', 'connect-servers', 'close-members', 'close-operation'],
    'failback': ['own-failure', 'prepare-home', 'ship-home', 'take-members', 'fence-members',
                 'sync-members', 'begin-promotion', *PROMOTE],
    'reprotect': ['own-failure', 'turn-members', 'close-operation'],
    'resync': ['own-failure', 'resync-members', 'close-operation'],
    'sync_now': ['own-failure', 'ship-members', 'close-operation'],
    'test': ['own-failure', 'clone-members', 'close-operation'],
}


def content(number, letter):
    return bytes([number + 1]) * 2048 + letter * 2048


class Story:
    """A group of three and a volume that is replicated by itself, through any number of kills."""

    def __init__(self, directory):
        self.stage = two_sides.Stage(directory)
        self.kills = 0
        group_id = replication_rows.make_group(self.stage.context, host=two_sides.POOL)
        self.ids = [self.stage.volume(content(number, b'a'), group_id=group_id)
                    for number in range(3)]
        self.group = self.stage.protect(group_id, 'group').id

    def write(self, letter):
        for number, volume_id in enumerate(self.ids):
            self.stage.write(volume_id, content(number, letter))

    def run(self, operation_id, kill_at='', place='home'):
        """A process works on an operation; whether it was killed."""
        stage = self.stage
        process = warm.Process([str(SCRIPT), str(stage.directory), operation_id, place],
                               {**os.environ, 'KILL_AT': kill_at}, stage.directory / 'console')
        code = process.wait(60)
        assert code in (0, 3, -9), (stage.directory / 'console').read_text()[-4000:]
        self.kills += code == -9
        return code == -9

    def killed_at_each(self, points, verb, place='home', **columns):
        """An operation at each of whose steps a process dies; Result."""
        operation_id = self.stage.ask(verb, self.group, **columns)
        for point in points:
            if not self.run(operation_id, point, place):
                # The one before has died when this one was done, and before that was known.
                assert self.result(operation_id).state not in states.OPEN, point
        return self.ends(operation_id, place)

    def killed_at_random(self, seed, verb, most, place='home', **columns):
        operation_id, moments = self.stage.ask(verb, self.group, **columns), random.Random(seed)
        for _ in range(most):
            if not self.run(operation_id, f'event:{moments.randrange(10, 90)}', place):
                break
        return self.ends(operation_id, place)

    def ends(self, operation_id, place='home'):
        self.run(operation_id, place=place)
        return self.result(operation_id)

    def result(self, operation_id):
        return self.stage.result(operation_id)

    def is_at(self, side, letter, word):
        """All volumes are whole and used on one side, and nothing of a flow is stored."""
        stage = self.stage
        location = None if side is None else f'side:{side}'
        assert {stage.words(each) for each in self.ids} == {('available', word, location)}
        assert [stage.read(each, 4096) for each in self.ids] == [
            content(number, letter) for number in range(3)]
        sides = [stage.driver.side(each.volume, side) for each in stage.members(self.group)]
        assert {each.role for each in sides} == {'primary'}
        row = stage.replication(self.group)
        assert (row.state, row.source_side) == (word, side)
        assert row.epoch == max(each.epoch for each in sides)

    def close(self):
        self.stage.stop()


@pytest.fixture
def story(tmp_path, record_property):
    made = Story(tmp_path)
    yield made
    record_property('kills', made.kills)
    made.close()


def points(verb, *kinds):
    return [f'step:{step}:{kind}' for step in STEPS[verb] for kind in kinds]


KINDS = ('RUNNING', 'SUCCESS')
THERE = points('failover', *KINDS) if LONG else [
    'step:take-members:SUCCESS', 'step:fence-members:SUCCESS', 'step:sync-members:SUCCESS',
    'step:promote-members:RUNNING', 'step:promote-members:SUCCESS', 'step:close-members:SUCCESS']
BACK = points('failback', *KINDS) if LONG else [
    'step:prepare-home:SUCCESS', 'step:ship-home:SUCCESS', 'step:sync-members:RUNNING',
    'step:begin-promotion:SUCCESS', 'step:promote-members:SUCCESS', 'step:demote-source:SUCCESS']
"""The steps after which most has changed at the arrays; all of them with --long."""


def test_killed_at_the_steps_of_a_planned_failover_and_of_the_way_back(story):
    story.write(b'b')
    done = story.killed_at_each(THERE, 'failover')
    assert done.state == 'succeeded', done
    story.is_at('dr', b'b', 'failed-over')
    story.write(b'c')
    back = story.killed_at_each(BACK, 'failback')
    assert back.state == 'succeeded', back
    story.is_at(None, b'c', 'enabled')
    assert story.kills >= len(THERE) + len(BACK) - 2


def test_killed_at_every_step_of_a_forced_failover_by_a_service_of_another_host(story):
    story.write(b'b')
    story.stage.control(cut=True)
    steps = points('forced', *KINDS) if LONG else points('forced', 'SUCCESS')[1:6]
    done = story.killed_at_each(steps, 'failover', 'away', force=True)
    assert done.state == 'succeeded', done
    story.is_at('dr', b'a', 'failed-over')
    assert all(row.loss_seconds > 0 for row in done.members.values())
    assert story.kills >= 4


def test_killed_while_a_failover_is_undone(story):
    """A target that is full: the members are put back, through kills, and home goes on."""
    story.write(b'b')
    story.stage.control('dr', full=True)
    done = story.killed_at_each(
        ['step:sync-members:RUNNING', 'event:40', 'event:60', 'step:begin-promotion:RUNNING'],
        'failover')
    assert done.state == 'failed', done
    story.stage.control('dr')
    story.is_at(None, b'b', 'enabled')
    assert story.kills >= 2


@pytest.mark.parametrize('seed', range(12) if LONG else (3,))
def test_killed_around_commits_and_renames(story, seed):
    story.write(b'b')
    done = story.killed_at_random(seed, 'failover', 30 if LONG else 4)
    assert done.state == 'succeeded', done
    story.is_at('dr', b'b', 'failed-over')
    story.write(b'c')
    back = story.killed_at_random(seed, 'failback', 30 if LONG else 4)
    assert back.state == 'succeeded', back
    story.is_at(None, b'c', 'enabled')
    assert story.kills >= 4


@pytest.mark.parametrize('verb', ['reprotect', 'resync', 'sync_now', 'test'])
def test_killed_at_every_step_of_the_other_verbs(story, verb):
    if not LONG and verb in ('reprotect', 'sync_now'):
        steps = points(verb, 'SUCCESS')[1:2]
    else:
        steps = points(verb, *KINDS) if LONG else points(verb, 'RUNNING')[1:]
    if verb in ('reprotect', 'resync'):
        story.stage.control(cut=verb == 'resync')
        done = story.stage.operate('failover', story.group, force=verb == 'resync')
        assert done.state == 'succeeded', done
        story.stage.control()
    done = story.killed_at_each(steps, verb, **({'discard': 'home'} if verb == 'resync' else {}))
    assert done.state == 'succeeded', done
    assert story.kills >= len(steps) - 1
    if verb == 'test':
        clones = [row.clone_volume_id for row in done.members.values()]
        assert len(set(clones)) == 3
        assert sorted(story.stage.read(each, 4096) for each in clones) == [
            content(number, b'a') for number in range(3)]
    if verb in ('reprotect', 'resync'):
        back = story.stage.operate('failback', story.group)
        assert back.state == 'succeeded', back
    story.is_at(None, b'a', 'enabled')
