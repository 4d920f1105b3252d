"""HTTP behaviour, as gabbits/*.yaml state it; conftest.py makes a test of each request."""
# SPDX-License-Identifier: Apache-2.0

from gabbi.driver import test_pytest  # noqa: F401
