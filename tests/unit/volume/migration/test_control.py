"""Stopping and slowing copies."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import pytest

from cinder_ext.volume import engine
from cinder_ext.volume.migration import control


def test_no_limit_does_not_wait():
    began = time.monotonic()
    for _ in range(1000):
        control.Control(threading.Event()).check(2 ** 22)
    assert time.monotonic() - began < 1


def test_limit_holds_over_several_units():
    made = control.Control(threading.Event(), lambda: 1000)
    began = time.monotonic()
    for _ in range(4):
        made.check(100)
    assert 0.29 <= time.monotonic() - began < 1


def test_stop_is_noticed_in_the_middle_of_a_wait():
    stopping = threading.Event()
    made = control.Control(stopping, lambda: 1)
    made.check(3600)
    threading.Timer(0.1, stopping.set).start()
    began = time.monotonic()
    with pytest.raises(engine.Parked):
        made.check(1)
    assert time.monotonic() - began < 2


def test_limit_that_is_lifted_counts_from_the_next_unit():
    rates = iter([10, 10, 0, 0])
    made = control.Control(threading.Event(), lambda: next(rates))
    began = time.monotonic()
    for _ in range(4):
        made.check(1)
    assert time.monotonic() - began < 1
