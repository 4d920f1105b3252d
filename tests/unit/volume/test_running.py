"""Turns of work."""
# SPDX-License-Identifier: Apache-2.0

import threading

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
        assert entered.wait(60)
        order.append('first')
    thread.join(60)
    assert order == ['first', 'second']


def test_sweep_does_not_wait_for_a_turn():
    running = Running()
    with running.turn('a'), running.turn('a', wait=False) as is_mine:
        assert is_mine is False
    with running.turn('a', wait=False) as is_mine:
        assert is_mine is True


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
