"""Random histories where snapshots share blocks: every byte and every row is as a model has it."""
# SPDX-License-Identifier: Apache-2.0

import pytest


@pytest.mark.timeout(3000)
def test_histories(on_xfs, run_all):
    assert run_all(on_xfs, 25) > 0.5
