"""Who asks."""
# SPDX-License-Identifier: Apache-2.0

import pytest
import webob

from cinder_ext.api import auth, policy
from cinder_ext.conf import options


def _echo(environ, start_response):
    caller = environ[auth.ENVIRON_KEY]
    response = webob.Response(json_body=[caller.user_id, caller.project_id, caller.is_admin,
                                         sorted(caller.roles)])
    return response(environ, start_response)


@pytest.fixture
def conf():
    found = options.new()
    options.parse(found, [])
    return found


@pytest.fixture
def ask(conf):
    conf.set_override('auth_strategy', 'noauth')
    application = auth.wrap(conf, _echo, policy.Enforcer(conf))

    def send(**headers):
        return webob.Request.blank('/', headers=headers).get_response(application)

    return send


ADMIN = ['admin', 'member', 'reader']


@pytest.mark.parametrize('headers', [{}, {'X-Auth-Token': 'notused'}, {'X-Auth-Token': ''}])
def test_without_a_named_user_the_caller_is_the_administrator_of_one_project(ask, conf, headers):
    assert ask(**headers).json == ['admin', conf.api.noauth_project_id, True, ADMIN]


def test_a_token_names_user_and_project(ask):
    assert ask(**{'X-Auth-Token': 'alice:p'}).json == ['alice', 'p', False, ['member', 'reader']]


def test_only_admin_is_an_administrator(ask):
    assert ask(**{'X-Auth-Token': 'admin:p'}).json == ['admin', 'p', True, ADMIN]


@pytest.mark.parametrize('token', [':', 'a:', ':p', 'a b:p', f"a:{'p' * 256}", f"{'a' * 65}:p"])
def test_a_malformed_token_is_not_authorized(ask, token):
    assert ask(**{'X-Auth-Token': token}).status_int == 401


def test_headers_of_keystone_are_not_believed(ask):
    answer = ask(**{'X-Auth-Token': 'alice:p', 'X-Roles': 'admin', 'X-Project-Id': 'q'})
    assert answer.json == ['alice', 'p', False, ['member', 'reader']]


def test_keystone_refuses_a_request_without_a_token(tmp_path):
    path = tmp_path / 'keystone.conf'
    path.write_text('[keystone_authtoken]\nwww_authenticate_uri = http://127.0.0.1:9/\n'
                    'auth_type = password\nauth_url = http://127.0.0.1:9/\n')
    conf = options.new()
    options.parse(conf, ['--config-file', str(path)])
    application = auth.wrap(conf, _echo, policy.Enforcer(conf))
    response = webob.Request.blank('/', headers={'X-Roles': 'admin'}).get_response(application)
    assert response.status_int == 401
    assert response.headers['WWW-Authenticate'].startswith('Keystone')


def test_what_keystone_says_becomes_the_context(conf):
    layer = auth._Keystone(_echo, policy.Enforcer(conf))
    request = webob.Request.blank('/', headers={
        'X-User-Id': 'u', 'X-Project-Id': 'p', 'X-Roles': 'admin,member'})
    assert request.get_response(layer).json == ['u', 'p', True, ['admin', 'member']]


@pytest.mark.parametrize('headers', [{}, {'OpenStack-System-Scope': 'all'}, {'X-Domain-Id': 'd'}])
def test_a_token_without_a_project_is_not_enough(conf, headers):
    layer = auth._Keystone(_echo, policy.Enforcer(conf))
    request = webob.Request.blank('/', headers={'X-User-Id': 'u', 'X-Roles': 'admin', **headers})
    answer = request.get_response(layer)
    assert (answer.status_int, list(answer.json)) == (403, ['forbidden'])
