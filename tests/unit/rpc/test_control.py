"""Log levels of this process."""
# SPDX-License-Identifier: Apache-2.0

import logging

import pytest

from cinder_ext.rpc import control


@pytest.fixture
def loggers():
    """Two loggers with levels of their own, put back at the end."""
    made = [logging.getLogger(name) for name in ('operator_test.one', 'operator_test.two')]
    yield made
    for each in made:
        each.setLevel(logging.NOTSET)


def test_a_level_is_set_by_prefix(loggers):
    control.set_levels('operator_test.o', 'ERROR')
    assert loggers[0].level == logging.ERROR
    assert loggers[1].level == logging.NOTSET


def test_levels_are_those_in_force(loggers):
    loggers[0].setLevel(logging.WARNING)
    loggers[1].setLevel(logging.DEBUG)
    assert control.levels('operator_test.') == {'operator_test.one': 'WARNING',
                                                'operator_test.two': 'DEBUG'}


def test_without_a_prefix_all_are_meant(loggers):
    assert {'operator_test.one', 'operator_test.two'} <= set(control.levels(None))
    assert control.levels('') == control.levels(None)
