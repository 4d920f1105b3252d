"""Turns of work."""
# SPDX-License-Identifier: Apache-2.0

import threading
from concurrent import futures

from cinder_ext.volume.running import Running


def test_second_worker_waits_for_the_first():
    running, order = Running(), []
    entered = threading.Event()

    def second():
        entered.set()
        with running.turn('a'):
            order.append('second')

    with running.turn('a'):
        thread = threading.Thread(target=second)
        thread.start()
        assert entered.wait(5)
        order.append('first')
    thread.join(5)
    assert order == ['first', 'second']


def _sweep(running, resource_id):
    """Whether another thread is given the turn, without waiting."""
    def work():
        with running.turn(resource_id, wait=False) as is_mine:
            return is_mine

    with futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(5)


def test_sweep_does_not_wait_for_a_turn():
    running = Running()
    with running.turn('a'):
        assert _sweep(running, 'a') is False
    assert _sweep(running, 'a') is True


def test_worker_takes_its_own_turn_again():
    running = Running()
    with running.turn('a'):
        with running.turn('a') as is_mine:
            assert is_mine is True
        assert _sweep(running, 'a') is False
    assert _sweep(running, 'a') is True


def test_different_resources_do_not_wait_for_one_another():
    running = Running()
    with running.turn('a'), running.turn('b', wait=False) as is_mine:
        assert is_mine is True


def test_turn_is_given_back_when_the_work_fails():
    running = Running()
    try:
        with running.turn('a'):
            raise ValueError
    except ValueError:
        pass
    with running.turn('a', wait=False) as is_mine:
        assert is_mine is True
