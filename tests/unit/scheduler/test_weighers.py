"""Weights."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.scheduler import request, weighers


def test_thick_pool_weighs_its_free_bytes_less_the_reserve():
    pool = request.Pool('h@a#a', total_bytes=100, free_bytes=50, reserved_percentage=10)
    assert weighers.free_capacity(pool) == 40


def test_thin_pool_weighs_what_it_can_still_promise():
    pool = request.Pool('h@a#a', total_bytes=100, free_bytes=50, provisioned_bytes=30,
                        capabilities={'thin_provisioning_support': True},
                        max_over_subscription_ratio=2.0, reserved_percentage=10)
    assert weighers.free_capacity(pool) == 150
