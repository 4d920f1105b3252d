"""Figures that are no numbers."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.drivers import capacity

GIB = 1024 ** 3


@pytest.mark.parametrize(('ratio', 'free', 'provisioned', 'expected'), [
    (2.5, 50, 10, 2.5),
    ('2.5', 50, 10, 2.5),
    ('auto', 50, 0, 20.0),
    ('auto', 51, 100, 3.0),
    ('auto', 100, 3, 4.0),
    ('auto', 101, 3, 4.0),
    ('auto', 'unknown', 3, 20.0),
])
def test_ratio_is_a_number_or_follows_what_is_used(ratio, free, provisioned, expected):
    free = free if isinstance(free, str) else free * GIB
    found = capacity.over_subscription(ratio, 100 * GIB, free, provisioned * GIB)
    assert found == expected


def test_only_numbers_are_known():
    assert capacity.is_known(0, 5)
    assert not capacity.is_known(0, 'infinite')
