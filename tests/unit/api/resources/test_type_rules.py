"""Sizes that a volume type demands."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.api.resources import type_rules


@pytest.mark.parametrize('specs', [
    {}, {type_rules.LEAST: '3'}, {type_rules.MOST: '3'}, {type_rules.LEAST: 'many'},
    {type_rules.MOST: None}, {type_rules.LEAST: '1', type_rules.MOST: '9'}])
def test_a_size_within_the_bounds_is_taken(specs):
    type_rules.refuse_size(specs, 3)


@pytest.mark.parametrize(('specs', 'reason'), [
    ({type_rules.LEAST: '4'}, 'at least 4 GiB'), ({type_rules.MOST: '2'}, 'at most 2 GiB')])
def test_another_is_refused(specs, reason):
    with pytest.raises(exceptions.InvalidInput, match=reason):
        type_rules.refuse_size(specs, 3)
