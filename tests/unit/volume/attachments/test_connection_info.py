"""Limits that a consumer is told."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.volume.attachments import connection_info


@pytest.mark.parametrize(('values', 'expected'), [
    ({'read_iops_sec': '7', 'colour': 'red'}, {'read_iops_sec': '7', 'colour': 'red'}),
    ({'read_iops_sec_per_gb': '5'}, {'read_iops_sec': '50'}),
    ({'read_iops_sec_per_gb': '5', 'read_iops_sec_per_gb_min': '80'}, {'read_iops_sec': '80'}),
    ({'read_iops_sec_per_gb': '5', 'read_iops_sec_max': '30'}, {'read_iops_sec': '30'}),
    ({'total_bytes_sec_per_gb': 'many'}, {'total_bytes_sec_per_gb': 'many'}),
    ({'total_bytes_sec_per_gb': None}, {'total_bytes_sec_per_gb': None}),
    ({'total_bytes_sec_max': '4'}, {'total_bytes_sec_max': '4'}),
])
def test_limits_per_gib_become_those_of_the_volume(values, expected):
    assert connection_info.limits_of(values, 10) == expected
