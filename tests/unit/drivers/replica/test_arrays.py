"""One side: its directory, its identity, and who may work on a volume."""
# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import threading

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.replica import arrays


@pytest.fixture
def array(tmp_path):
    made = arrays.Array('alpha', 'dr', str(tmp_path))
    made.prepare()
    return made


def test_an_array_is_the_same_whoever_looks(array, tmp_path):
    other = arrays.Array('beta', None, str(tmp_path))
    assert len(array.identity) == 36
    assert other.identity == array.identity


def test_a_directory_that_is_gone_is_down(array, tmp_path):
    shutil.rmtree(tmp_path)
    for call in (array.check, array.prepare):
        with pytest.raises(exceptions.BackendDown, match='target dr'):
            call()


@pytest.mark.parametrize('name', ['../a', '', 'a/b', 'a.b'])
def test_a_name_that_could_lead_elsewhere_is_refused(array, name):
    with pytest.raises(exceptions.DriverError, match='not fit'):
        array.room(name)


def test_one_at_a_time_works_on_a_volume(array, monkeypatch):
    monkeypatch.setattr(arrays, '_LOCK_SECONDS', 0.05)
    with array.held(['a', 'b'], make=True):
        with array.held(['c'], make=True), pytest.raises(exceptions.ResourceBusy, match='a$'):
            with array.held(['a']):
                pytest.fail('held twice')
    with array.held(['a']):
        pass


def test_a_room_that_is_not_there_is_not_held(array):
    with array.held(['a']), array.held(['a']):
        assert not os.path.exists(array.room('a'))


def test_who_waited_for_a_room_that_was_removed_takes_the_new_one(array):
    entered, held = threading.Event(), threading.Event()

    def second():
        with array.held(['a']):
            entered.set()

    with array.held(['a'], make=True):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.05)
        shutil.rmtree(array.room('a'))
        held.set()
    thread.join(5)
    assert entered.is_set()
