"""What is made of the compute service's answers."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext import compute


@pytest.mark.parametrize(('vm_state', 'task_state', 'can'), [
    ('active', None, True), ('paused', None, True), ('resized', None, True),
    ('active', 'rebooting', False), ('stopped', None, False), ('error', None, False),
    ('shelved', None, False), ('suspended', None, False), ('building', 'spawning', False)])
def test_server_that_can_swap(vm_state, task_state, can):
    assert compute.State(vm_state, task_state).can_swap is can


def test_no_guest_of_a_stopped_server_runs():
    assert not set(compute.STOPPED) & set(compute.SWAPPABLE)
    assert 'error' not in compute.STOPPED


@pytest.mark.parametrize(('value', 'percent'), [
    (0, 0), (42, 42), ('42', 42), (100, 100), (None, None), (101, None), (-1, None), ('x', None),
    ([], None)], ids=repr)
def test_progress_is_a_percentage_or_nothing(value, percent):
    assert compute._percent(value) == percent


@pytest.mark.parametrize(('document', 'reason'), [
    ({'conflictingRequest': {'message': 'It is locked', 'code': 409}}, 'It is locked'),
    ({'badRequest': {'code': 400}}, 'the fault itself'), ({}, 'the fault itself'),
    ([], 'the fault itself'), ({'a': 1}, 'the fault itself')],
    ids=['fault', 'no-message', 'empty', 'list', 'number'])
def test_reason_is_what_the_service_says(document, reason):
    class Fault(Exception):
        response = types.SimpleNamespace(json=lambda: document)
    assert compute._reason(Fault('the fault itself')) == reason


def test_reason_of_no_answer_is_the_fault():
    class Fault(Exception):
        response = None
    assert compute._reason(Fault('nobody is there')) == 'nobody is there'
