"""No message can be sent: whatever is asked is done, or answered with 503 and when to ask again."""
# SPDX-License-Identifier: Apache-2.0

import api_cases
import api_stage
import pytest

from cinder_ext.api import routes
from cinder_ext.rpc import transport

ROUTES = [each for each in api_cases.every() if each.page not in routes.UNVERSIONED]


@pytest.fixture(scope='module')
def stage():
    """With a transport that is closed."""
    found = api_stage.Stage()
    found.start()
    transport.cleanup()
    yield found
    found.stop()


def test_every_request_is_done_or_answered_with_503(stage):
    away, wrong = set(), []
    for route in ROUTES:
        response = stage.send(**route.request(stage.other), user='admin')
        if response.status_int == 503:
            away.add(route.operation.name)
        if response.status_int == 503 and response.headers.get('Retry-After') != '5' or (
                response.status_int >= 500 and response.status_int not in (501, 503)):
            wrong.append((route.name, response.status_int, response.text))
        stage.restore()
    assert wrong == []
    assert {'attachments.update', 'volume_actions.initialize_connection'} <= away
    assert not {'volumes.show', 'volume_actions.extend', 'services.get-log'} & away
