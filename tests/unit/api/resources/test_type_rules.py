"""Sizes that a volume type demands."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.api.resources import type_rules
from cinder_ext.db.volume_types import LEAST_SIZE as LEAST
from cinder_ext.db.volume_types import MOST_SIZE as MOST


@pytest.mark.parametrize('specs', [
    {}, {LEAST: '3'}, {MOST: '3'}, {LEAST: 'many'},
    {MOST: None}, {LEAST: '1', MOST: '9'}])
def test_a_size_within_the_bounds_is_taken(specs):
    type_rules.refuse_size(specs, 3)


@pytest.mark.parametrize(('specs', 'reason'), [
    ({LEAST: '4'}, 'at least 4 GiB'), ({MOST: '2'}, 'at most 2 GiB')])
def test_another_is_refused(specs, reason):
    with pytest.raises(exceptions.InvalidInput, match=reason):
        type_rules.refuse_size(specs, 3)
