"""What a control file makes of an array."""
# SPDX-License-Identifier: Apache-2.0

import json

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.replica import hooks


@pytest.fixture
def control(tmp_path):
    return tmp_path / 'control'


def test_without_a_file_all_is_well(control):
    for path in (None, control):
        hooks.check(path, 'alpha', 'a', is_write=True)
        assert hooks.bytes_per_second(path) == 0


def test_a_file_that_is_being_written_says_nothing(control):
    control.write_text('{"cut"')
    hooks.check(control, 'alpha')


@pytest.mark.parametrize('word', ['cut', 'lost'])
def test_an_array_that_is_cut_off_or_lost_is_down(control, word):
    control.write_text(json.dumps({word: True}))
    with pytest.raises(exceptions.BackendDown, match=word):
        hooks.check(control, 'alpha')


def test_a_full_array_can_be_read(control):
    control.write_text('{"full": true}')
    hooks.check(control, 'alpha')
    with pytest.raises(exceptions.NoSpace):
        hooks.check(control, 'alpha', is_write=True)


def test_single_volumes_fail(control):
    control.write_text('{"fail": ["a"], "bytes_per_second": 5}')
    hooks.check(control, 'alpha', 'b')
    with pytest.raises(exceptions.DriverError):
        hooks.check(control, 'alpha', 'a')
    assert hooks.bytes_per_second(control) == 5
