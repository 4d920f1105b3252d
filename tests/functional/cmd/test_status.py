"""cinder-ext-status: what is replicated has its target in the options."""
# SPDX-License-Identifier: Apache-2.0

import pytest
import replication_rows
from oslo_upgradecheck import upgradecheck

from cinder_ext import context
from cinder_ext.cmd import status
from cinder_ext.conf import options
from cinder_ext.db import replication_changes, schema, session

CONFIGURATION = """
[DEFAULT]
host = node
enabled_backends = alpha
[database]
connection = sqlite:///{directory}/test.db
[alpha]
file_path = {directory}
"""


@pytest.fixture
def checks(tmp_path):
    """The checks of a deployment with one backend and an empty database."""
    file = tmp_path / 'cinder-ext.conf'
    file.write_text(CONFIGURATION.format(directory=tmp_path))
    conf = options.new()
    options.parse(conf, ['--config-file', str(file)])
    session.configure(conf)
    yield status.Checks(conf)
    session.dispose()


def test_a_target_that_is_not_configured_any_more_is_named(checks):
    assert checks.replications().code is upgradecheck.Code.WARNING
    schema.sync()
    assert checks.replications().code is upgradecheck.Code.SUCCESS
    ctxt = context.admin_context()
    elsewhere = replication_rows.protect(ctxt, 'other@alpha', 'backend')
    assert checks.replications().code is upgradecheck.Code.SUCCESS
    row = replication_rows.protect(ctxt, replication_rows.BACKEND, 'backend')
    found = checks.replications()
    assert found.code is upgradecheck.Code.FAILURE
    assert replication_rows.DR in found.details
    assert elsewhere.home not in found.details
    replication_changes.begin_disable(ctxt, row.id)
    replication_changes.disabled(ctxt, row.id)
    assert checks.replications().code is upgradecheck.Code.SUCCESS
