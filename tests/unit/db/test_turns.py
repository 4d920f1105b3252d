"""Threads get a lock in the order in which they came, and nobody waits for ever."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading
import time

import pytest

from cinder_ext.db.turns import Turns

WAITERS = 5


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(WAITERS + 1) as made:
        yield made


def _waiting(turns, count):
    while len(turns._waiting) < count:
        time.sleep(0.001)


def test_whoever_came_first_is_first(pool):
    turns, order, asked = Turns(), [], []

    def work(number):
        with turns.turn(10) as has_it:
            order.append((number, has_it))

    with turns.turn(0):
        for number in range(WAITERS):
            asked.append(pool.submit(work, number))
            _waiting(turns, number + 1)
    for each in asked:
        each.result(10)
    assert order == [(number, True) for number in range(WAITERS)]


def test_one_that_comes_again_stands_behind_those_that_wait(pool):
    turns, order = Turns(), []

    def work():
        with turns.turn(10):
            order.append('waiter')

    with turns.turn(0):
        waiter = pool.submit(work)
        _waiting(turns, 1)
    with turns.turn(10):
        order.append('first')
    waiter.result(10)
    assert order == ['waiter', 'first']


def test_who_has_waited_in_vain_goes_on_and_leaves_the_line(pool):
    turns = Turns()
    with turns.turn(0):
        with turns.turn(0.01) as has_it:
            assert not has_it
        assert not turns._waiting
        waiter = pool.submit(lambda: turns.turn(10).__enter__())
        _waiting(turns, 1)
    assert waiter.result(10)


def test_a_turn_ends_with_whatever_happens_in_it():
    turns = Turns()
    with pytest.raises(ValueError), turns.turn(0):
        raise ValueError
    with turns.turn(0) as has_it:
        assert has_it


def test_never_two_at_a_time(pool):
    turns, inside, most = Turns(), [], []
    begin = threading.Barrier(WAITERS)

    def work():
        begin.wait(10)
        for _ in range(200):
            with turns.turn(10):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    for each in [pool.submit(work) for _ in range(WAITERS)]:
        each.result(30)
    assert len(most) == WAITERS * 200
    assert max(most) == 1
