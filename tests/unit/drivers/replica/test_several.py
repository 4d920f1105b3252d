"""Several at once, and what the fault of one does."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import pytest

from cinder_ext.drivers.replica import several


def test_results_come_in_order():
    assert several.each_of(lambda number: number * 2, range(50)) == list(range(0, 100, 2))
    assert several.each_of(str, []) == []


def test_they_run_at_once():
    together = threading.Barrier(several.AT_ONCE, timeout=10)
    assert len(set(several.each_of(lambda _number: together.wait(), range(several.AT_ONCE)))) > 1


def test_a_fault_is_raised_when_nothing_runs_any_more_and_the_rest_is_left():
    begun, running = [], []

    def fail(number):
        begun.append(number)
        running.append(number)
        try:
            if number == 3:
                raise ValueError(number)
            time.sleep(0.001)
        finally:
            running.remove(number)

    with pytest.raises(ValueError, match='3'):
        several.each_of(fail, range(1000))
    assert running == []
    assert len(begun) < 500
