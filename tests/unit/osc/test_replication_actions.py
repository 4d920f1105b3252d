"""Waiting for an operation."""
# SPDX-License-Identifier: Apache-2.0

import time

import pytest
from osc_lib import exceptions

from cinder_ext.osc import replication_actions


class _Client:
    """Tells one state after the other."""

    def __init__(self, *states):
        self._states = list(states)

    def operation(self, operation_id):
        return _record(self._states.pop(0))


def _record(state):
    return {'id': 'one', 'state': state, 'error_code': None, 'error': None}


def test_it_is_asked_for_until_it_has_ended():
    found = replication_actions.waited(_Client('running', 'succeeded'), _record('queued'), 0)
    assert found['state'] == 'succeeded'


def test_one_that_ends_at_once_is_not_waited_for_as_one_that_does_not():
    began = time.monotonic()
    replication_actions.waited(_Client('succeeded'), _record('queued'), 0.8)
    assert 0.1 <= time.monotonic() - began < 0.6


@pytest.mark.parametrize('state', ['partial', 'failed'])
def test_one_that_did_not_succeed_for_all_is_a_failure(state):
    with pytest.raises(exceptions.CommandError, match=f'Operation one is {state}'):
        replication_actions.waited(_Client(), _record(state), 0)
