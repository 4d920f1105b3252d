"""The health check: who answers it, and what it looks at."""
# SPDX-License-Identifier: Apache-2.0

import webob

from cinder_ext.api import app
from cinder_ext.db import session


def _ask(cloud, method='GET', **headers):
    answer = webob.Request.blank('/healthcheck', method=method, headers=headers).get_response(
        app.build(cloud.conf, None))
    return answer.status_int, answer.text


def test_a_service_whose_database_answers_is_healthy_without_a_token(cloud):
    cloud.conf.set_override('auth_strategy', 'noauth')
    assert _ask(cloud) == (200, 'OK')
    assert _ask(cloud, 'HEAD') == (200, '')


def test_a_database_that_does_not_answer_is_a_503(cloud, tmp_path):
    cloud.conf.set_override('connection', f'sqlite:///{tmp_path}/missing/none.db', 'database')
    session.dispose()
    session.configure(cloud.conf)
    assert _ask(cloud) == (503, 'DATABASE DOES NOT ANSWER')


def test_a_file_takes_the_api_from_the_load_balancer(cloud, tmp_path):
    assert _ask(cloud)[0] == 200
    cloud.conf.set_override('disable_by_file_path', str(tmp_path / 'off'), 'healthcheck')
    assert _ask(cloud)[0] == 200
    (tmp_path / 'off').touch()
    assert _ask(cloud) == (503, 'DISABLED BY FILE')
