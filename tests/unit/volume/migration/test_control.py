"""Stopping and slowing copies."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import pytest

from cinder_ext.volume import engine
from cinder_ext.volume.migration import control, limits


def _limited(rate, stopping=None, look=lambda: None):
    return control.Control(stopping or threading.Event(), look, [limits.Bucket(rate)])


def test_no_limit_does_not_wait():
    began = time.monotonic()
    made = _limited(lambda: 0)
    for _ in range(1000):
        made.check(2 ** 22)
    assert time.monotonic() - began < 10


def test_limit_holds_over_several_units():
    made = _limited(lambda: 1000)
    began = time.monotonic()
    for _ in range(4):
        made.check(100)
    assert 0.29 <= time.monotonic() - began < 10


def test_every_bucket_is_paid():
    slow, fast = limits.Bucket(lambda: 1000), limits.Bucket(lambda: 100000)
    made = control.Control(threading.Event(), buckets=[fast, slow])
    began = time.monotonic()
    for _ in range(4):
        made.check(100)
    assert 0.29 <= time.monotonic() - began < 10
    assert slow.take(1) > 0


def test_stop_is_noticed_in_the_middle_of_a_wait():
    stopping = threading.Event()
    made = _limited(lambda: 1, stopping)
    made.check(3600)
    threading.Timer(0.1, stopping.set).start()
    began = time.monotonic()
    with pytest.raises(engine.Parked):
        made.check(1)
    assert time.monotonic() - began < 10


def test_orders_are_asked_for_in_the_middle_of_a_wait():
    asked = []

    def look():
        asked.append(time.monotonic())
        if len(asked) == 5:
            raise engine.Parked

    made = _limited(lambda: 1, look=look)
    made.check(3600)
    began = time.monotonic()
    with pytest.raises(engine.Parked):
        made.check(1)
    assert time.monotonic() - began < 10
    assert len(asked) == 5


def test_limit_that_is_lifted_counts_from_the_next_look():
    rates = [1]
    made = _limited(lambda: rates[0])
    made.check(3600)
    threading.Timer(0.2, lambda: rates.append(rates.pop() * 0)).start()
    began = time.monotonic()
    made.check(1)
    assert 0.1 < time.monotonic() - began < 10


def test_stopping_comes_before_everything():
    stopping = threading.Event()
    stopping.set()
    asked = []
    with pytest.raises(engine.Parked):
        _limited(lambda: 0, stopping, lambda: asked.append(1)).obey()
    assert asked == []
