"""One lease for several threads: with an ownership that counts."""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from cinder_ext.db import lease
from cinder_ext.volume.replication import holds


class Counting:
    """Stands for volume.ownership.Ownership; gives one fence after the other."""

    def __init__(self, is_free=True):
        self.is_free, self.taken, self.given_back = is_free, 0, 0

    @contextlib.contextmanager
    def held(self, context, record_id, kind):
        assert kind == lease.REPLICATION
        self.taken += self.is_free
        yield lease.Fence(record_id, self.taken, kind) if self.is_free else None
        self.given_back += self.is_free


def test_the_first_takes_the_lease_and_the_last_gives_it_back():
    owner = Counting()
    made = holds.Holds(owner, lease.REPLICATION)
    with made.held(None, 'r') as first:
        with made.held(None, 'r') as second:
            assert first is second
        assert (owner.taken, owner.given_back) == (1, 0)
    assert owner.given_back == 1
    with made.held(None, 'r') as third:
        assert third.attempt == 2


def test_records_have_leases_of_their_own():
    owner = Counting()
    made = holds.Holds(owner, lease.REPLICATION)
    with made.held(None, 'r') as one, made.held(None, 's') as other:
        assert (one.record_id, other.record_id) == ('r', 's')


def test_nobody_gets_what_another_process_owns():
    made = holds.Holds(Counting(is_free=False), lease.REPLICATION)
    with made.held(None, 'r') as found:
        assert found is None


def test_lease_that_was_lost_is_taken_anew():
    owner = Counting()
    made = holds.Holds(owner, lease.REPLICATION)
    with made.held(None, 'r') as first:
        first.lose()
        with made.held(None, 'r') as second:
            assert (second.attempt, second.is_lost) == (2, False)


def test_held_records_are_not_forgotten():
    owner = Counting()
    made = holds.Holds(owner, lease.REPLICATION)
    with made.held(None, 'r'):
        made.forget(set())
        with made.held(None, 'r'):
            assert owner.taken == 1
