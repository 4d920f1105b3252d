"""Things are done when they are due: with real threads, and a plan of the test's."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import pytest

from cinder_ext.volume.replication import pacer

SECONDS = 10


class Work:
    """Tasks that the test holds up, and what was begun."""

    def __init__(self):
        self.tasks, self.begun, self.looks = [], [], 0
        self.gates = {}
        self.changed = threading.Condition()

    def plan(self):
        self.looks += 1
        return list(self.tasks)

    def add(self, key, due_in=0.0, group='g', is_alone=False, again=60.0, is_held=False):
        gate = self.gates[key] = threading.Event()
        if not is_held:
            gate.set()

        def run():
            with self.changed:
                self.begun.append(key)
                self.changed.notify_all()
            gate.wait(SECONDS)
            return again() if callable(again) else time.time() + again

        self.tasks.append(pacer.Task((key,), group, time.time() + due_in, run, is_alone))

    def await_begun(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.begun) >= count, SECONDS), self.begun
        return self.begun


@pytest.fixture
def work():
    made = Work()
    yield made
    for gate in made.gates.values():
        gate.set()


@pytest.fixture
def start(work):
    made = []

    def start(limit=8):
        made.append(pacer.Pacer(work.plan, lambda: limit, threading.Event(), 'test'))
        made[0].start()
        return made[0]

    yield start
    for gate in work.gates.values():
        gate.set()
    assert made[0].stop()


def test_what_is_due_longest_comes_first_and_no_more_than_the_limit_runs(work, start):
    work.add('late', due_in=-1, is_held=True)
    work.add('later', due_in=-5, is_held=True)
    work.add('latest', due_in=-9, is_held=True)
    start(limit=1)
    for number, key in enumerate(('latest', 'later', 'late')):
        assert work.await_begun(number + 1)[-1] == key
        work.gates[key].set()


def test_what_is_not_due_waits_and_does_not_for_the_next_look(work, start):
    work.add('soon', due_in=0.3)
    began = time.monotonic()
    start()
    work.await_begun(1)
    assert 0.25 <= time.monotonic() - began < pacer.LOOK_SECONDS


def test_task_runs_again_when_it_said_without_another_look(work, start):
    work.add('often', again=0.05)
    start()
    work.await_begun(4)
    assert work.looks == 1


def test_none_has_it_looked_at_anew(work, start):
    work.add('changed', again=work.tasks.clear)
    start()
    work.await_begun(1)
    deadline = time.monotonic() + SECONDS
    while work.looks < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert work.looks == 2
    assert work.begun == ['changed']


def test_task_that_is_alone_waits_for_its_group_and_lets_nothing_before_it(work, start):
    work.add('point', is_held=True)
    made = start()
    work.await_begun(1)
    work.add('end', is_alone=True)
    work.add('other point', due_in=-5)
    work.add('elsewhere', group='h')
    made.poke()
    assert work.await_begun(2) == ['point', 'elsewhere']
    work.gates['point'].set()
    assert work.await_begun(4)[2:] == ['end', 'other point']


def test_fault_of_a_task_is_survived_and_it_is_tried_at_a_later_look(work, start):
    work.add('faulty', again=lambda: 1 / 0)
    work.add('sound', due_in=0.05, group='h')
    made = start()
    work.await_begun(2)
    made.poke()
    assert work.await_begun(3)[2] == 'faulty'


def test_nothing_is_begun_once_it_is_stopped(work):
    made = pacer.Pacer(work.plan, lambda: 8, threading.Event(), 'test')
    work.add('running', is_held=True)
    made.start()
    work.await_begun(1)
    work.add('next')
    assert made.stop(timeout_seconds=0.1) is False
    work.gates['running'].set()
    assert made.stop() is True
    assert work.begun == ['running']
