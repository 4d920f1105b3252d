"""Two directories, real records and flows: see tests/support/two_sides.py."""
# SPDX-License-Identifier: Apache-2.0

import pytest
import two_sides


@pytest.fixture
def stage(tmp_path):
    made = two_sides.Stage(tmp_path)
    yield made
    made.stop()
