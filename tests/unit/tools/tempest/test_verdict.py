"""What the results of a run of Tempest amount to."""
# SPDX-License-Identifier: Apache-2.0

import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).parents[4] / 'tools' / 'tempest' / 'verdict.py'


@pytest.fixture(scope='module')
def verdict():
    spec = importlib.util.spec_from_file_location('tempest_verdict', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _result(name, outcome):
    return {'id': name, 'outcome': outcome}


def test_all_is_well_when_nothing_failed_and_the_required_passed(verdict, capsys):
    results = [_result('keystone.a', 'passed'), _result('t.b', 'passed'), _result('t.c', 'skipped')]
    assert verdict.judge(results, ['keystone.a', 't.b'], 'keystone.') == 0
    assert capsys.readouterr().out.splitlines() == [
        'Keystone: 1 passed, 0 failed, 0 skipped', 'Tempest: 1 passed, 0 failed, 1 skipped',
        '2 of 2 required tests passed']


def test_a_failed_test_fails_the_run(verdict, capsys):
    assert verdict.judge([_result('a', 'passed'), _result('b', 'failed')], [], 'keystone.') == 1
    assert 'FAILED   b' in capsys.readouterr().out


@pytest.mark.parametrize('others', [[], [_result('b', 'skipped')]])
def test_a_required_test_that_did_not_pass_fails_the_run(verdict, capsys, others):
    assert verdict.judge([_result('a', 'passed'), *others], ['a', 'b'], 'keystone.') == 1
    assert 'MISSING  b' in capsys.readouterr().out


def test_a_run_of_nothing_is_no_success(verdict):
    assert verdict.judge([], [], 'keystone.') == 1
