"""An embedded service, and a compute service beside it that is real where snapshots are concerned."""
# SPDX-License-Identifier: Apache-2.0

import assisted_stage
import embedded
import pytest


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
    """What the tests of a module share; each clears what it made."""
    directory = tmp_path_factory.mktemp('assisted')
    with assisted_stage.Stage(embedded.EmbeddedService(directory / 'state'), directory) as made:
        yield made
