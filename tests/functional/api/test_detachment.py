"""An attachment is not taken away while the compute service says that a server uses it.

The compute service is a small HTTP server; who asks is told by the headers that keystonemiddleware
sets once it has checked the tokens.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import http.server
import json
import threading
import types
import uuid

import oslo_messaging
import pytest
import webob
from keystoneauth1 import loading
from keystonemiddleware import opts as middleware_options

from cinder_ext import context
from cinder_ext.api import auth, dispatch, policy
from cinder_ext.db import attachments, transition, volumes
from cinder_ext.rpc import scheduler, transport, volume
from cinder_ext.states import volume as volume_states

PROJECT = '0123456789abcdef0123456789abcdef'
VERSION = {'OpenStack-API-Version': 'volume latest'}
SERVICE = {'X-Service-Token': 'nova', 'X-Service-Roles': 'reader,service'}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        status, document = self.server.answers.get(self.path.removeprefix('/v2.1'), (404, {}))
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Nothing on the terminal."""


@contextlib.contextmanager
def listening():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    server.asked, server.answers = [], {}
    server.url = f'http://127.0.0.1:{server.server_port}/v2.1'
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Backend:
    """Connects nothing and disconnects everything."""

    target = oslo_messaging.Target(version='1.0')

    def connect_attachment(self, ctxt, attachment_id):
        """There is nothing to make."""

    def disconnect_attachment(self, ctxt, attachment_id):
        attachments.detached(ctxt, attachment_id)

    def terminate_connection(self, ctxt, volume_id, connector):
        """There is nothing to take back."""


class Story:
    """A volume attached to a server, and the ways to take the attachment away."""

    def __init__(self, cloud, nova):
        self.nova, self.server_id = nova, str(uuid.uuid4())
        cloud.serve(transport.VOLUME_TOPIC, 'node@nova', Backend())
        self.context = context.admin_context()
        row = volumes.create(self.context, {'project_id': PROJECT, 'user_id': 'user', 'size': 1,
                                            'host': 'node@nova#nova'})
        transition.move(self.context, volume_states.MACHINE, row.id, 'created')
        self.volume_id = row.id
        self.attachment_id = self.attach(self.server_id)
        cloud.conf.set_override('auth_strategy', 'keystone')
        for group, options in middleware_options.list_auth_token_opts():
            cloud.conf.register_opts(options, group)
        rpc = types.SimpleNamespace(scheduler=scheduler.SchedulerAPI(cloud.conf),
                                    volume=volume.VolumeAPI(cloud.conf))
        enforcer = policy.Enforcer(cloud.conf)
        self.application = auth._Keystone(dispatch.Dispatcher(cloud.conf, rpc, enforcer), enforcer)

    def attach(self, server_id, host='one'):
        made = attachments.reserve(self.context, self.volume_id, server_id)
        attachments.connect(self.context, made.id, {'host': host})
        attachments.store_connection(self.context, made.id, {'driver_volume_type': 'local'})
        attachments.complete(self.context, made.id)
        return made.id

    def says(self, status, document):
        path = f'/servers/{self.server_id}/os-volume_attachments/{self.volume_id}'
        self.nova.answers[path] = (status, document)

    def uses(self, attachment_id):
        self.says(200, {'volumeAttachment': {'attachment_id': attachment_id}})

    def ask(self, method, path, body=None, **headers):
        catalog = [{'type': 'compute', 'name': 'nova', 'endpoints': [
            {'region': 'one', 'publicURL': self.nova.url}]}]
        request = webob.Request.blank(f'/v3{path}', method=method, headers={
            **VERSION, 'X-Auth-Token': 'secret', 'X-User-Id': 'user', 'X-Project-Id': PROJECT,
            'X-Roles': 'member,reader', 'X-Service-Catalog': json.dumps(catalog), **headers})
        if body is not None:
            request.json_body = body
        return request.get_response(self.application)

    def delete(self, **headers):
        return self.ask('DELETE', f'/attachments/{self.attachment_id}', **headers)

    def act(self, action, body, **headers):
        return self.ask('POST', f'/volumes/{self.volume_id}/action', {action: body}, **headers)

    @property
    def is_attached(self):
        return [each.id for each in attachments.of_volume(self.context, self.volume_id)]


@pytest.fixture
def nova():
    with listening() as server:
        yield server


@pytest.fixture
def story(cloud, nova):
    return Story(cloud, nova)


def test_what_a_server_uses_is_not_deleted_by_its_owner(story):
    story.uses(story.attachment_id)
    answer = story.delete()
    assert answer.status_int == 409
    assert answer.json['conflictingRequest']['message'] == (
        f'Detach volume from instance {story.server_id} using the Compute API')
    assert story.is_attached
    (path, headers), = story.nova.asked
    assert path == f'/v2.1/servers/{story.server_id}/os-volume_attachments/{story.volume_id}'
    assert headers['X-Auth-Token'] == 'secret'
    assert headers['OpenStack-API-Version'] == 'compute 2.89'


@pytest.mark.parametrize(('action', 'body', 'roles'), [
    ('os-detach', {}, 'member'), ('os-terminate_connection', {'connector': {}}, 'member'),
    ('os-force_detach', {}, 'admin')])
def test_nor_by_any_action(story, action, body, roles):
    story.uses(story.attachment_id)
    assert story.act(action, body, **{'X-Roles': roles}).status_int == 409
    assert story.is_attached


def test_an_administrator_is_no_service(story):
    story.uses(story.attachment_id)
    assert story.delete(**{'X-Roles': 'admin,service'}).status_int == 409


def test_a_service_deletes_it_and_nobody_is_asked(story):
    story.uses(story.attachment_id)
    assert story.delete(**SERVICE).status_int == 200
    assert (story.is_attached, story.nova.asked) == ([], [])


@pytest.mark.parametrize(('action', 'body'), [
    ('os-detach', {}), ('os-terminate_connection', {'connector': {}})])
def test_a_service_may_act(story, action, body):
    story.uses(story.attachment_id)
    assert story.act(action, body, **SERVICE).status_int == 202
    assert story.nova.asked == []


def test_a_service_token_without_a_service_role_is_not_enough(story):
    story.uses(story.attachment_id)
    assert story.delete(**{'X-Service-Token': 'x', 'X-Service-Roles': 'reader'}).status_int == 409


def test_what_the_server_does_not_have_is_deleted(story):
    assert story.delete().status_int == 200
    assert len(story.nova.asked) == 1
    assert story.is_attached == []


def test_what_the_server_has_by_another_attachment_is_deleted(story):
    story.uses(str(uuid.uuid4()))
    assert story.delete().status_int == 200


def test_what_a_server_is_just_attaching_does_not_leave_its_host(story):
    made = attachments.reserve(story.context, story.volume_id, story.server_id).id
    attachments.connect(story.context, made, {'host': 'two'})
    attachments.store_connection(story.context, made, {'driver_volume_type': 'local'})
    story.uses(made)

    def move(host, **headers):
        return story.ask('PUT', f'/attachments/{made}', {'attachment': {
            'connector': {'host': host}}}, **headers).status_int

    assert [move('three'), move('two'), move('three', **SERVICE)] == [409, 200, 200]
    assert attachments.get(story.context, made).attached_host == 'three'


@pytest.mark.parametrize('state', [
    {'OS-EXT-STS:vm_state': 'active', 'OS-EXT-STS:task_state': 'migrating'},
    {'OS-EXT-STS:vm_state': 'resized', 'OS-EXT-STS:task_state': None}])
def test_what_a_moving_server_has_on_its_other_host_is_not_deleted(story, state):
    story.uses(str(uuid.uuid4()))
    story.nova.answers[f'/servers/{story.server_id}'] = (200, {'server': state})
    assert story.delete().status_int == 409
    assert story.is_attached


def test_what_a_server_that_does_not_move_has_by_another_attachment_is_deleted(story):
    story.uses(str(uuid.uuid4()))
    story.nova.answers[f'/servers/{story.server_id}'] = (200, {'server': {
        'OS-EXT-STS:vm_state': 'active', 'OS-EXT-STS:task_state': None}})
    assert story.delete().status_int == 200


def test_a_removal_may_be_repeated_and_what_is_gone_is_not_found(story):
    other = story.attach(story.server_id, 'two')
    assert [story.delete(**SERVICE).status_int for _ in range(3)] == [200, 404, 404]
    assert story.is_attached == [other]


@pytest.mark.parametrize(('status', 'document'), [
    (500, {}), (401, {}), (403, {}), (200, {'volumeAttachment': {}}), (200, []), (200, None)])
def test_without_a_clear_answer_it_stays(story, status, document):
    story.says(status, document)
    assert story.delete().status_int == 503
    assert story.is_attached


def test_a_compute_service_that_is_away_keeps_it(story):
    story.nova.url = 'http://127.0.0.1:1'
    assert story.delete().status_int == 503
    assert story.is_attached


def test_a_catalog_without_compute_service_keeps_it(story):
    assert story.delete(**{'X-Service-Catalog': '[]'}).status_int == 503
    assert story.is_attached


def test_an_attachment_without_server_is_deleted(story):
    transition.force(story.context, volume_states.MACHINE, story.volume_id, 'available')
    made = attachments.reserve(story.context, story.volume_id)
    attachments.connect(story.context, made.id, {'host': 'two'})
    assert story.ask('DELETE', f'/attachments/{made.id}').status_int == 200
    assert story.nova.asked == []


def test_a_reserved_attachment_is_deleted(story):
    made = attachments.reserve(story.context, story.volume_id, story.server_id)
    assert story.ask('DELETE', f'/attachments/{made.id}').status_int == 200
    assert (story.is_attached, story.nova.asked) == ([story.attachment_id], [])


def test_of_several_attachments_none_is_disconnected_unnamed(story):
    story.attach(story.server_id, 'two')
    assert story.act('os-terminate_connection', {'connector': {'host': 'one'}}).status_int == 409
    assert story.act('os-terminate_connection', {'connector': {'host': 'one'}},
                     **SERVICE).status_int == 202


def test_the_url_of_the_configuration_goes_before_the_catalog(cloud, story):
    with listening() as other:
        cloud.conf.set_override('endpoint_override', other.url, 'nova')
        assert story.delete().status_int == 200
        assert (len(other.asked), story.nova.asked) == (1, [])


def test_an_account_of_its_own_asks_instead_of_the_caller(cloud, story, nova):
    story.uses(story.attachment_id)
    loading.register_auth_conf_options(cloud.conf, 'nova')
    cloud.conf.register_opts(loading.get_auth_plugin_conf_options('admin_token'), 'nova')
    for name, value in (('auth_type', 'admin_token'), ('endpoint', nova.url), ('token', 'own')):
        cloud.conf.set_override(name, value, 'nova')
    assert story.delete().status_int == 409
    assert nova.asked[0][1]['X-Auth-Token'] == 'own'


def test_without_keystone_and_without_its_url_nobody_is_asked(cloud, story, nova):
    cloud.conf.set_override('auth_strategy', 'noauth')
    story.uses(story.attachment_id)
    assert story.delete().status_int == 200
    assert nova.asked == []


def test_without_keystone_and_with_its_url_it_is_asked(cloud, story, nova):
    cloud.conf.set_override('auth_strategy', 'noauth')
    cloud.conf.set_override('endpoint_override', nova.url, 'nova')
    story.uses(story.attachment_id)
    assert story.delete(**SERVICE).status_int == 409
