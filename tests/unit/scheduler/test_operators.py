"""The operators of extra specs."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.scheduler import operators


@pytest.mark.parametrize(('capability', 'wanted', 'expected'), [
    (True, '<is> True', True),
    (False, '<is> True', False),
    ('yes', '<is> true', True),
    (False, '<is> no', True),
    ('12311321', '<in> 11', True),
    ('12310321', '<in> 11', False),
    ('12', '<or> 11 <or> 12', True),
    ('13', '<or> 11 <or> 12', False),
    ('a', 's== a', True),
    ('a', 's!= a', False),
    ('b', 's> a', True),
    ('10', 's< 9', True),
    ('b', 's>= b', True),
    ('a', 's<= b', True),
    ('123', '= 100', True),
    ('99', '= 100', False),
    (2, '>= 2', True),
    (2, '<= 1', False),
    (10, '== 10.0', True),
    (10, '!= 10', False),
    ('text', '>= 1', False),
    (1, '>= text', False),
    ('1', '1', True),
    ('1', '', False),
    (1, '1', True),
    ('two words', 'two words', True),
    (['a', 'b'], 's== b', True),
    (['a', 'b'], 'c', False),
])
def test_capability_is_compared_as_the_operator_says(capability, wanted, expected):
    assert operators.matches(capability, wanted) is expected
