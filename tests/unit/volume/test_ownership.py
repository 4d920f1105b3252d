"""The proof of a death, and how long a candidate waits: with real locks and a clock of the test."""
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import sys

import pytest

from cinder_ext.conf import options
from cinder_ext.db.lease import Standing
from cinder_ext.volume import ownership

OTHER = """
import sys
from cinder_ext.volume import ownership
print(ownership.Identity(sys.argv[1]).name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path / 'owners')


@pytest.fixture
def identity(directory):
    made = ownership.Identity(directory)
    yield made
    made.close()


@pytest.fixture
def other(directory):
    """Another process and what it calls itself."""
    process = subprocess.Popen([sys.executable, '-c', OTHER, directory], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_process_that_lives_is_not_dead_and_one_that_was_killed_is(identity, other):
    process, name = other
    assert identity.is_dead(name) is False
    process.kill()
    process.wait(10)
    assert identity.is_dead(name) is True
    assert identity.is_dead(name) is True


def test_nothing_is_known_of_a_process_without_a_file(identity):
    assert identity.is_dead('elsewhere.1.0') is False
    assert identity.is_dead('../owners') is False
    assert identity.is_dead('') is False
    assert identity.is_dead(identity.name) is False


def test_two_candidates_find_the_same_owner_dead(directory, identity, other):
    process, name = other
    process.kill()
    process.wait(10)
    second = ownership.Identity(directory)
    descriptor = os.open(os.path.join(directory, name), os.O_RDONLY)
    try:
        ownership.fcntl.flock(descriptor, ownership.fcntl.LOCK_SH)
        assert (identity.is_dead(name), second.is_dead(name)) == (True, True)
    finally:
        os.close(descriptor)
        second.close()


def test_files_of_the_dead_go_when_no_record_names_them(directory, identity, other):
    process, name = other
    identity.sweep(set())
    assert sorted(os.listdir(directory)) == sorted([identity.name, name])
    process.kill()
    process.wait(10)
    identity.sweep({name})
    assert name in os.listdir(directory)
    identity.sweep(set())
    assert os.listdir(directory) == [identity.name]


class Clock:
    """Seconds that the test lets pass."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def candidate(tmp_path, clock):
    conf = options.new()
    options.parse(conf, [])
    conf.set_override('state_path', str(tmp_path))
    conf.set_override('lease_seconds', 10.0, 'migration')
    made = ownership.Ownership(conf, clock)
    yield made
    made.stop()


def seen(candidate, clock, beats, step=2.0, owner='elsewhere'):
    """What the candidate may take, looked at every ``step`` seconds."""
    found = []
    for beat in beats:
        found.append(candidate._claim(Standing('m', owner, 1, beat)))
        clock.now += step
    return found


def test_what_nobody_owns_is_free_and_what_this_process_left_is_its_own(candidate, clock):
    assert seen(candidate, clock, [0], owner=None) == ['free']
    assert seen(candidate, clock, [0], owner=candidate.identity.name) == ['mine']


def test_owner_without_a_sign_loses_its_lease_after_its_time(candidate, clock):
    assert seen(candidate, clock, [5] * 7) == [None] * 5 + ['expired'] * 2


def test_owner_with_a_sign_now_and_then_keeps_it(candidate, clock):
    assert seen(candidate, clock, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3]) == [None] * 11


def test_time_in_which_the_candidate_did_not_look_does_not_count(candidate, clock):
    """It was frozen itself, or the database was away for both of them."""
    assert seen(candidate, clock, [5, 5, 5]) == [None] * 3
    clock.now += 1000
    assert seen(candidate, clock, [5, 5]) == [None, 'expired']


def test_owner_that_is_proven_dead_is_succeeded_without_waiting(candidate, clock, directory):
    os.makedirs(directory)
    with open(os.path.join(directory, 'dead'), 'w', encoding='ascii'):
        pass
    assert seen(candidate, clock, [5], owner='dead') == ['dead']
