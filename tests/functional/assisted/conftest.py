"""An embedded service, and a compute service beside it that is real where snapshots are concerned."""
# SPDX-License-Identifier: Apache-2.0

import assisted_stage
import embedded
import pytest


@pytest.fixture
def make_stage(tmp_path):
    """make_stage(kind='daemon', options=None) -> a Stage that is started."""
    made = []

    def make(**more):
        stage = assisted_stage.Stage(embedded.EmbeddedService(tmp_path / 'state'), tmp_path, **more)
        made.append(stage)
        return stage.__enter__()

    yield make
    for stage in made:
        stage.__exit__()
