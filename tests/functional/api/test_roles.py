"""What each role may do by default, with every request of ``api_cases.py`` on the own project."""
# SPDX-License-Identifier: Apache-2.0

import types

import api_cases
import api_stage
import pytest
import webob

from cinder_ext.api import app, routes
from cinder_ext.conf import options

ROUTES = [each for each in api_cases.every() if each.page not in routes.UNVERSIONED]


@pytest.fixture(scope='module')
def stage():
    found = api_stage.Stage()
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope='module')
def guarded(tmp_path_factory):
    """The API behind keystonemiddleware."""
    path = tmp_path_factory.mktemp('guarded') / 'keystone.conf'
    path.write_text('[keystone_authtoken]\nwww_authenticate_uri = http://127.0.0.1:9/\n'
                    'auth_type = password\nauth_url = http://127.0.0.1:9/\n')
    conf = options.new()
    options.parse(conf, ['--config-file', str(path)])
    return app.build(conf, types.SimpleNamespace())


def _cases(*, kept):
    return [pytest.param(each, id=f'{at} {each.name}'.replace(':', ''))
            for at, each in enumerate(ROUTES) if kept(each)]


def _asked(stage, route, roles):
    response = stage.send(**route.request(stage.other), roles=roles)
    if response.status_int >= 400:
        assert stage.read_digest() == stage.digest
    elif stage.read_digest() != stage.digest:
        stage.restore()
    return response


@pytest.mark.parametrize('route', _cases(kept=lambda each: each.writes))
def test_a_reader_changes_nothing(stage, route):
    response = _asked(stage, route, ['reader'])
    assert response.status_int == 403, response.text
    assert response.json['forbidden']['code'] == 403


@pytest.mark.parametrize('route', _cases(
    kept=lambda each: not each.writes and not each.is_for_administrators))
def test_a_reader_reads(stage, route):
    assert _asked(stage, route, ['reader']).status_int == route.status


@pytest.mark.parametrize('route', _cases(kept=lambda each: each.is_for_administrators))
def test_what_is_for_administrators_is_refused_to_members(stage, route):
    response = _asked(stage, route, ['member', 'reader'])
    assert response.status_int == 403, response.text


@pytest.mark.parametrize('route', _cases(
    kept=lambda each: each.writes and not each.is_for_administrators))
def test_a_member_does_the_rest(stage, route):
    assert _asked(stage, route, ['member', 'reader']).status_int == route.status


@pytest.mark.parametrize('route', _cases(kept=lambda each: not each.is_for_everybody))
def test_a_user_without_a_role_is_refused(stage, route):
    assert _asked(stage, route, []).status_int == 403


@pytest.mark.parametrize('route', _cases(kept=lambda each: True))
def test_nobody_is_served_without_a_token(stage, guarded, route):
    wanted = route.request(stage.other)
    request = webob.Request.blank(wanted['path'], method=wanted['method'], headers={
        'X-Roles': 'admin', 'X-Project-Id': api_stage.OTHER, 'X-User-Id': 'u',
        'X-Identity-Status': 'Confirmed'})
    request.environ['QUERY_STRING'] = wanted['query']
    if wanted['body'] is not None:
        request.json_body = wanted['body']
    response = request.get_response(guarded)
    assert response.status_int == 401
    assert stage.read_digest() == stage.digest


def test_few_things_are_for_everybody():
    assert sorted({each.operation.policy for each in ROUTES if each.is_for_everybody}) == [
        'group:group_types:get', 'limits_extension:limits', 'resource_filters:get',
        'volume:availability_zone_list', 'volume:extensions:get_all']
