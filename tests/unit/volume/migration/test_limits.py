"""Buckets and places."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading
import time

import pytest

from cinder_ext.volume import engine
from cinder_ext.volume.migration import limits


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_unit_larger_than_the_rate_is_paid_back():
    clock = Clock()
    bucket = limits.Bucket(lambda: 10, clock)
    assert bucket.take(40) == 0
    assert bucket.take(1) == 4
    clock.now += 3
    assert bucket.take(1) == 1
    clock.now += 1
    assert bucket.take(40) == 0


def test_what_is_not_used_is_kept_for_a_moment_only():
    clock = Clock()
    bucket = limits.Bucket(lambda: 100, clock)
    clock.now += 3600
    assert bucket.take(125) == 0
    assert bucket.take(1) == 1


def test_a_higher_limit_shortens_what_is_owed():
    clock, rates = Clock(), [1]
    bucket = limits.Bucket(lambda: rates[0], clock)
    bucket.take(1000)
    assert bucket.take(1) == 1000
    rates[0] = 100
    assert bucket.take(1) == 10
    rates[0] = 0
    assert bucket.take(10 ** 9) == 0
    rates[0] = 1
    assert bucket.take(1) == 0


def test_threads_share_one_limit():
    bucket = limits.Bucket(lambda: 20000)
    end = time.monotonic() + 0.5

    def work(_number):
        taken = 0
        while time.monotonic() < end:
            if wait := bucket.take(100):
                time.sleep(min(wait, 0.01))
            else:
                taken += 100
        return taken

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        # At most a moment's credit more than half a second of the rate.
        assert 1000 <= sum(pool.map(work, range(4))) <= 15500


class Crowd:
    """Workers at places, which hold theirs until they are told."""

    def __init__(self, limit):
        self.limit = limit
        self.stopping = threading.Event()
        self.places = limits.Places(lambda: self.limit, self.stopping)
        self.working, self.parked, self.may_go, self.needless = [], [], set(), set()
        self.threads = []

    def add(self, key):
        thread = threading.Thread(target=self._work, args=(key,), daemon=True)
        self.threads.append(thread)
        thread.start()
        self.until(lambda: key in self.working or any(
            each['key'] == key and not each['is_asked'] for each in self.places._waiting))

    def _work(self, key):
        try:
            with self.places.place(key, lambda: key not in self.needless):
                self.working.append(key)
                self.until(lambda: key in self.may_go)
                self.working.remove(key)
        except engine.Parked:
            self.parked.append(key)

    @staticmethod
    def until(claim):
        deadline = time.monotonic() + 60
        while not claim():
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def crowd():
    made = Crowd(2)
    yield made
    made.stopping.set()
    made.may_go.update('abcdefgh')
    for thread in made.threads:
        thread.join(60)
        assert not thread.is_alive()


def test_places_are_given_in_the_order_of_coming(crowd):
    for key in 'abcd':
        crowd.add(key)
    assert crowd.working == ['a', 'b']
    for leaver, working in (('b', ['a', 'c']), ('a', ['c', 'd'])):
        crowd.may_go.add(leaver)
        crowd.until(lambda working=working: crowd.working == working)


def test_a_limit_is_raised_and_lowered_meanwhile(crowd):
    for key in 'abcd':
        crowd.add(key)
    crowd.limit = 3
    crowd.until(lambda: crowd.working == ['a', 'b', 'c'])
    crowd.limit = 1
    crowd.may_go.update('ab')
    crowd.until(lambda: crowd.working == ['c'])
    time.sleep(0.6)
    assert crowd.working == ['c']
    crowd.may_go.add('c')
    crowd.until(lambda: crowd.working == ['d'])


def test_who_needs_no_place_any_more_goes_on_without(crowd):
    for key in 'abc':
        crowd.add(key)
    crowd.needless.add('c')
    crowd.places.look_again('c')
    crowd.until(lambda: crowd.working == ['a', 'b', 'c'])
    crowd.may_go.add('c')
    crowd.until(lambda: crowd.working == ['a', 'b'])
    crowd.add('d')
    assert crowd.working == ['a', 'b']


def test_a_stop_wakes_who_waits(crowd):
    for key in 'abc':
        crowd.add(key)
    crowd.stopping.set()
    crowd.places.wake()
    crowd.until(lambda: crowd.parked == ['c'])
