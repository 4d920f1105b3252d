"""Where the file driver is tried: a plain directory and an XFS with reflinks."""
# SPDX-License-Identifier: Apache-2.0

import os

import pytest

from cinder_ext.drivers.conformance import media


@pytest.fixture(scope='session')
def xfs_directory(tmp_path_factory):
    """A mounted XFS; only a user who may not mount goes without."""
    if os.geteuid() != 0:
        pytest.skip('mounting an XFS needs root')
    with media.mounted_xfs(tmp_path_factory.mktemp('medium')) as point:
        yield point
