"""What a destination's silence means before a migration."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.volume.migration import ends, preflight_ends


class Api:
    """Answers examine() with a fault."""

    def __init__(self, fault):
        self._fault = fault

    def examine(self, context, host):
        raise self._fault


def answers(fault):
    return preflight_ends.destination_answers(
        ends.Destination(Api(fault), None, 'host@beta#beta', None, None, None))


def test_destination_that_cannot_be_reached_fails_a_check():
    checks, is_asked_more = answers(exceptions.BackendDown(reason='silence'))
    assert [check.passed for check in checks] == [False, None]
    assert not is_asked_more


def test_destination_without_its_database_fails_nothing():
    with pytest.raises(exceptions.DatabaseAway):
        answers(exceptions.DatabaseAway())
