"""Formulas: what each part means, what is refused, and that none takes long."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinder_ext.scheduler import evaluator

VARIABLES = {
    'stats': {'free_capacity_gb': 50.5, 'total_capacity_gb': '100', 'QoS_support': False},
    'capabilities': {'storage_protocol': 'iscsi', 'thin': True, 'list': [1], 'nothing': None,
                     'quoted': '"a"'},
    'volume': {'size': 5}, 'extra': {'iops2': '7'}, 'qos': {},
}


@pytest.mark.parametrize(('formula', 'expected'), [
    ('5', 5),
    ('1.5', 1.5),
    ('1 + 2 - 4', -1),
    ('10 - 2 - 3', 5),
    ('2 * 3 / 4', 1.5),
    ('8 / 2 / 2', 2),
    ('1 + 2 * 3', 7),
    ('(1 + 2) * 3', 9),
    ('2 ^ 3', 8),
    ('2 ^ 3 ^ 2', 512),
    ('-2 ^ 2', -4),
    ('2 ^ -1', 0.5),
    ('3 * -2', -6),
    ('- - 3', 3),
    ('+3', 3),
    ('1 < 2', True),
    ('2 <= 1', False),
    ('2 > 1', True),
    ('1 >= 2', False),
    ('1 == 1.0', True),
    ('1 != 1', False),
    ('1 <> 2', True),
    ('1 < 2 < 3', True),
    ('1 < 3 < 2', False),
    ('3 > 2 == 2', True),
    ('not 1', False),
    ('! 0', True),
    ('NOT not 1', True),
    ('not 1 == 0', True),
    ('1 and 0', 0),
    ('1 && 2', 2),
    ('0 OR 3', 3),
    ('0 || 0', 0),
    ('0 AND 1 or 1', 1),
    ('1 ? 2 : 3', 2),
    ('0 ? 2 : 3', 3),
    ('0 ? 1 : 0 ? 2 : 3', 3),
    ('1 < 2 ? 10 + 1 : 0', 11),
    ('1 or 0 ? 0 : 0', 1),
    ('0 ? 1 / 0 : 4', 4),
    ('abs(-3)', 3),
    ('max(1, 5, 3)', 5),
    ('min(4, 2)', 2),
    ('max(abs(-9), 2) * 2', 18),
    ('min (1, 2)', 1),
    ('volume.size', 5),
    ('stats.free_capacity_gb', 50.5),
    ('stats.total_capacity_gb / 4', 25),
    ('extra.iops2 + 1', 8),
    ('capabilities.thin', True),
    ('stats.QoS_support ? 1 : 2', 2),
    ('capabilities.storage_protocol == iscsi', True),
    ('capabilities.storage_protocol == "iscsi"', True),
    ("capabilities.storage_protocol != 'FC'", True),
    ('capabilities.quoted == a', True),
    ('volume.size < 10 and stats.free_capacity_gb > 20', True),
    ('(stats.free_capacity_gb / stats.total_capacity_gb) * 100', 50.5),
    ('text', 'text'),
    ('max', 'max'),
    ('"a b"', 'a b'),
])
def test_formula_has_its_value(formula, expected):
    found = evaluator.evaluate(formula, VARIABLES)
    assert found == expected
    assert type(found) is type(expected) or not isinstance(expected, bool)


@pytest.mark.parametrize('formula', [
    '', '1 +', '* 1', '(1', '1)', '1 2', '1 ? 2', '1 : 2', 'max(1)', 'max()', 'abs(1, 2)', 'f(1)',
    'open("x")', '"a', 'a = 1', '1;2', '[1]', '__import__("os")', 'volume.size.bit', 'volume.', '1, 2',
    '5x', '1.2.3', '\x00',
])
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises(evaluator.EvaluationError):
        evaluator.evaluate(formula, VARIABLES)


@pytest.mark.parametrize(('formula', 'said'), [
    ('1 / 0', 'division'),
    ('volume.missing', 'there is no volume.missing'),
    ('other.size', 'there is no other.size'),
    ('volume.__class__', 'there is no'),
    ('capabilities.list', 'neither a number nor a text'),
    ('capabilities.nothing', 'neither a number nor a text'),
    ('"a" + "b"', 'is not a number'),
    ('"a" * 1000000', 'is not a number'),
    ('-"a"', 'is not a number'),
    ('max("a", 1)', 'is not a number'),
    ('"a" < 1', 'not supported'),
    ('9 ^ 9 ^ 9', 'bits'),
    ('2 ^ 1025', 'bits'),
    ('10.0 ^ 400', 'out of range'),
    ('(-1) ^ 0.5', 'not finite'),
    ('0 ^ -1', '0'),
    ('9' * 400, 'bits'),
    ('2 ^ 1000 * 2 ^ 1000', 'bits'),
    ('10.0 ^ 300 * 10.0 ^ 300', 'not finite'),
])
def test_value_that_does_not_exist_or_is_too_large_is_refused(formula, said):
    with pytest.raises(evaluator.EvaluationError, match=said):
        evaluator.evaluate(formula, VARIABLES)


@pytest.mark.parametrize('formula', [
    '(' * 2000 + '1' + ')' * 2000, '-' * 4000 + '1', 'not ' * 1000 + '1', '2^' * 2000 + '1',
    '1?' * 1300 + '1', 'abs(' * 1000 + '1', '1 ? 1 : ' * 500 + '1',
])
def test_formula_that_is_nested_too_deep_is_refused(formula):
    with pytest.raises(evaluator.EvaluationError, match='deeper'):
        evaluator.evaluate(formula, VARIABLES)


def test_formula_that_is_too_long_is_refused_before_it_is_read():
    with pytest.raises(evaluator.EvaluationError, match='longer'):
        evaluator.evaluate('1+' * 10 ** 6 + '1', VARIABLES)


def test_longest_sum_is_evaluated():
    assert evaluator.evaluate('1+' * 2047 + '1', VARIABLES) == 2048


_PARTS = ['1', '0', '2.5', '9' * 30, 'volume.size', 'stats.x', 'text', '"q"', 'abs(', 'max(', 'min(',
          '(', ')', ',', '+', '-', '*', '/', '^', '<', '<=', '==', '!=', '<>', 'not ', '!', ' and ',
          '&&', ' or ', '||', '?', ':', ' ', '\t', '.', '"', '\x00', 'é']


def _value_or_refusal(formula):
    began = time.thread_time()
    # Whatever else it raises fails the test.
    with contextlib.suppress(evaluator.EvaluationError):
        found = evaluator.evaluate(formula, VARIABLES)
        assert isinstance(found, bool | int | float | str)
        assert not isinstance(found, int) or found.bit_length() <= evaluator.MOST_BITS
    assert time.thread_time() - began < 0.5


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_PARTS), max_size=60).map(''.join))
def test_any_row_of_parts_has_a_value_or_is_refused_at_once(formula):
    _value_or_refusal(formula)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_a_value_or_is_refused_at_once(formula):
    _value_or_refusal(formula)


def _larger(inner):
    binary = st.sampled_from(['+', '-', '*', '/', '^', '<', '>=', '==', ' and ', ' or '])
    return (st.tuples(inner, binary, inner).map(lambda each: f'({each[0]}{each[1]}{each[2]})')
            | inner.map(lambda each: f'-({each})') | inner.map(lambda each: f'not ({each})')
            | st.tuples(inner, inner, inner).map(lambda each: f'({each[0]}?{each[1]}:{each[2]})')
            | st.lists(inner, min_size=2, max_size=4).map(lambda each: f"max({','.join(each)})"))


_LEAVES = st.one_of(st.integers(0, 10 ** 40).map(str),
                    st.floats(0, 1e9).map(lambda each: f'{each:.3f}'),
                    st.sampled_from(['volume.size', 'stats.free_capacity_gb', 'word']))


@settings(max_examples=300, deadline=None)
@given(st.recursive(_LEAVES, _larger, max_leaves=40))
def test_any_well_formed_formula_has_a_value_within_the_limits_or_is_refused(formula):
    _value_or_refusal(formula)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(['a', 'b']), st.none() | st.booleans() | st.integers()
                       | st.floats() | st.text() | st.lists(st.integers()) | st.binary()))
def test_any_values_of_variables_are_safe(values):
    for formula in ('volume.a + volume.b', 'volume.a ^ volume.b', 'volume.a < volume.b',
                    'max(volume.a, volume.b)', 'volume.a ? volume.b : 1'):
        with contextlib.suppress(evaluator.EvaluationError):
            assert evaluator.evaluate(formula, {'volume': values}) is not None
