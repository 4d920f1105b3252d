"""The operators of extra specs."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinder_ext.scheduler import operators


@pytest.mark.parametrize(('capability', 'wanted', 'expected'), [
    (True, '<is> True', True),
    (False, '<is> True', False),
    ('yes', '<is> true', True),
    (False, '<is> no', True),
    (1, '<is> t', True),
    ('12311321', '<in> 11', True),
    ('12310321', '<in> 11', False),
    ('12311321', '<in> 11 nothing else counts', True),
    (['aes', 'mmx'], '<in> aes', True),
    (12311, '<in> 11', True),
    ('12', '<or> 11 <or> 12', True),
    ('12', '<or> 11 <or> 12 <or>', True),
    ('13', '<or> 11 <or> 12', False),
    (12, '<or> 11 <or> 12', True),
    (['aes', 'mmx'], '<all-in> aes mmx', True),
    (['aes', 'mmx'], '<all-in> aes sse', False),
    ('aes mmx', '<all-in> mmx aes', True),
    (['aes'], '<all-in>', False),
    ('a', 's== a', True),
    ('A', 's== a', True),
    ('a', 's== b', False),
    ('a', 's!= a', False),
    ('a', 's!= b', True),
    ('b', 's> a', True),
    ('a', 's> a', False),
    ('10', 's< 9', True),
    ('9', 's< 9', False),
    ('b', 's>= b', True),
    ('a', 's>= b', False),
    ('a', 's<= b', True),
    ('c', 's<= b', False),
    ('123', '= 100', True),
    ('99', '= 100', False),
    (2, '>= 2', True),
    (1.9, '>= 2', False),
    (2, '<= 2', True),
    (2, '<= 1', False),
    (10, '== 10.0', True),
    (10, '== 11', False),
    (10, '!= 10', False),
    (10, '!= 11', True),
    ('text', '>= 1', False),
    ('text', '!= 1', False),
    (None, '>= 1', False),
    (1, '>= text', False),
    (1, '>=', False),
    ('1', 's==', False),
    (True, '<is>', False),
    ('1', '1', True),
    ('1', '', False),
    (1, '1', True),
    ('two words', 'two words', True),
    ('iSCSI', 'iscsi', True),
    (True, 'True', True),
    (True, 'yes', True),
    (False, 'no', True),
    (True, 'false', False),
    (True, 'perhaps', False),
    (['a', 'b'], 's== b', True),
    (['a', 'b'], 'c', False),
    (['iSCSI', 'iscsi'], 'ISCSI', True),
])
def test_capability_is_compared_as_the_operator_says(capability, wanted, expected):
    assert operators.matches(capability, wanted) is expected


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_WORDS = st.sampled_from(['', '=', '==', '!=', '>=', '<=', '<in>', '<all-in>', '<or>', '<is>', 's==',
                          's!=', 's<', 's<=', 's>', 's>='])


@given(_SCALARS | st.lists(_SCALARS), _WORDS, st.text())
def test_any_capability_and_any_extra_spec_give_a_truth(capability, word, text):
    assert operators.matches(capability, f'{word} {text}') in (True, False)
