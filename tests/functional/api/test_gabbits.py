"""HTTP behaviour, as gabbits/*.yaml state it; conftest.py makes a test of each request."""
# SPDX-License-Identifier: Apache-2.0

from gabbi import reporter


def test_request(suite, request_of_suite):
    request_of_suite(reporter.PyTestResult())
