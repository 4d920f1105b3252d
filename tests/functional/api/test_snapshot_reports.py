"""Who may report what a compute service did for a snapshot, and what is made of it.

Who asks is told by the headers that keystonemiddleware sets once it has checked the tokens.
"""
# SPDX-License-Identifier: Apache-2.0

import threading
import types

import oslo_messaging
import pytest
import webob
from keystonemiddleware import opts as middleware_options

from cinder_ext import context
from cinder_ext.api import auth, dispatch, policy
from cinder_ext.db import assisted_snapshots, attachments, snapshots, transition, volumes
from cinder_ext.rpc import transport, volume
from cinder_ext.states import volume as volume_states

PROJECT = '0123456789abcdef0123456789abcdef'
OTHER = 'ffffffffffffffffffffffffffffffff'
MEMBER = {'X-Roles': 'member,reader'}
WITH_SERVICE_TOKEN = {**MEMBER, 'X-Service-Token': 'nova', 'X-Service-Roles': 'reader,service'}
SERVICE = {'X-Roles': 'service', 'X-Project-Id': OTHER}
ADMIN = {'X-Roles': 'admin', 'X-Project-Id': OTHER}


class _Backend:
    """Notes what it is told."""

    target = oslo_messaging.Target(version='1.2')

    def __init__(self):
        self.told, self.is_told = [], threading.Event()

    def complete_snapshot(self, ctxt, snapshot_id):
        self.told.append(snapshot_id)
        self.is_told.set()


class Story:
    """A snapshot of a volume that a server uses; the compute service was asked."""

    def __init__(self, cloud):
        self.cloud, self.backend = cloud, _Backend()
        cloud.serve(transport.VOLUME_TOPIC, 'node@nova', self.backend)
        self.context = context.admin_context()
        row = volumes.create(self.context, {'project_id': PROJECT, 'user_id': 'user', 'size': 1,
                                            'host': 'node@nova#nova'})
        transition.move(self.context, volume_states.MACHINE, row.id, 'created')
        made = attachments.reserve(self.context, row.id, row.id)
        attachments.connect(self.context, made.id, {'host': 'one'})
        attachments.store_connection(self.context, made.id, {'driver_volume_type': 'nfs'})
        attachments.complete(self.context, made.id)
        self.snapshot_id = snapshots.create(self.context, {'volume_id': row.id}, force=True).id
        self.begin('creating')
        cloud.conf.set_override('auth_strategy', 'keystone')
        for group, options in middleware_options.list_auth_token_opts():
            cloud.conf.register_opts(options, group)
        self.application = self.built()

    def begin(self, status):
        found = assisted_snapshots.claim(self.context, self.snapshot_id, status, 600)
        assert assisted_snapshots.asking(self.context, found, 600)

    def built(self):
        enforcer = policy.Enforcer(self.cloud.conf)
        rpc = types.SimpleNamespace(volume=volume.VolumeAPI(self.cloud.conf))
        return auth._Keystone(dispatch.Dispatcher(self.cloud.conf, rpc, enforcer), enforcer)

    def delete(self):
        operation = assisted_snapshots.find(self.context, self.snapshot_id)
        assisted_snapshots.end(self.context, operation, assisted_snapshots.End('created'))
        snapshots.begin_delete(self.context, self.snapshot_id)
        self.begin('deleting')

    def report(self, body, headers=None, version='latest', application=None):
        request = webob.Request.blank(
            f'/v3/snapshots/{self.snapshot_id}/action', method='POST', headers={
                'OpenStack-API-Version': f'volume {version}', 'X-Auth-Token': 'secret',
                'X-User-Id': 'user', 'X-Project-Id': PROJECT, **(headers or ADMIN)})
        request.json_body = {'os-update_snapshot_status': body}
        return request.get_response(application or self.application)

    @property
    def row(self):
        return snapshots.get(self.context, self.snapshot_id)

    @property
    def state(self):
        return (self.row.status, self.row.progress,
                assisted_snapshots.noted(self.context, self.snapshot_id))


@pytest.fixture
def story(cloud):
    return Story(cloud)


@pytest.mark.parametrize(('headers', 'status'), [
    (MEMBER, 403), ({**MEMBER, 'X-Service-Token': 'x', 'X-Service-Roles': 'reader'}, 403),
    ({'X-Roles': 'reader'}, 403), ({**MEMBER, 'X-Project-Id': OTHER}, 404)],
    ids=['member', 'service-token-without-role', 'reader', 'other-project'])
def test_forged_report_is_refused_and_changes_nothing(story, headers, status):
    before = story.state
    for body in (
            {'status': 'creating', 'progress': '90%'}, {'status': 'available'}, {'status': 'error'},
            {'status': 'creating', 'compute_snapshot_status': 'creating_compute_complete'},
            {'status': 'deleting', 'progress': '90%'}):
        assert story.report(body, headers).status_int == status
        assert (story.state, story.backend.told) == (before, [])


@pytest.mark.parametrize('headers', [ADMIN, SERVICE, WITH_SERVICE_TOKEN],
                         ids=['admin', 'service', 'service-token'])
@pytest.mark.parametrize('body', [
    {'status': 'creating', 'progress': '90%'},
    {'status': 'creating', 'compute_snapshot_status': 'creating_compute_complete'}],
    ids=['progress', 'token'])
def test_report_of_a_service_is_kept_and_the_backend_is_told(story, headers, body):
    answer = story.report(body, headers)
    assert (answer.status_int, answer.body) == (202, b'')
    assert story.backend.is_told.wait(5)
    status, _progress, noted = story.state
    assert (status, noted['compute_snapshot_status'], noted['cinder_ext:outcome']) == (
        'creating', 'creating_compute_complete', 'done')


def test_members_report_when_the_legacy_option_says_so(story):
    story.cloud.conf.set_override('members_report_snapshots', True, 'api')
    application = story.built()
    body = {'status': 'creating', 'progress': '90%'}
    assert story.report(body, {**MEMBER, 'X-Project-Id': OTHER},
                        application=application).status_int == 404
    assert story.report(body, {'X-Roles': 'reader'}, application=application).status_int == 403
    assert story.report(body, MEMBER, application=application).status_int == 202


def test_report_that_cannot_be_made_is_a_400_and_changes_nothing(story):
    before, word = story.state, 'compute_snapshot_status'
    for body, version in (
            ({'status': 'creating', word: 'creating_compute_complete'}, '3.74'),
            ({'status': 'creating', word: 'done'}, '3.75'),
            ({'status': 'creating', word: None}, '3.75'),
            ({'status': 'creating', word: 'deleting_compute_complete'}, '3.75'),
            ({'status': 'error', word: 'creating_compute_complete'}, '3.75'),
            ({word: 'creating_compute_complete'}, '3.75'),
            ({'status': 'deleting'}, '3.0'), ({'status': 'error_deleting'}, '3.0'),
            ({'status': 'creating', 'progress': '90'}, '3.0'), ({}, '3.0'), ({'status': 7}, '3.0')):
        assert story.report(body, version=version).status_int == 400, body
        assert (story.state, story.backend.told) == (before, []), body


def test_progress_is_only_progress_below_90(story):
    assert story.report({'status': 'creating', 'progress': '89%'}).status_int == 202
    status, progress, noted = story.state
    assert (status, progress) == ('creating', '89%')
    assert 'cinder_ext:outcome' not in noted
    assert story.backend.told == []


@pytest.mark.parametrize('body', [
    {'status': 'deleting', 'progress': '90%'},
    {'status': 'deleting', 'compute_snapshot_status': 'deleting_compute_complete'}],
    ids=['progress', 'token'])
def test_delete_is_reported(story, body):
    story.delete()
    assert story.report(body).status_int == 202
    assert story.backend.is_told.wait(5)
    assert story.state[2]['compute_snapshot_status'] == 'deleting_compute_complete'


@pytest.mark.parametrize('body', [
    {'status': 'error_deleting'}, {'status': 'deleting', 'compute_snapshot_status': 'error'}],
    ids=['status', 'token'])
def test_delete_that_failed_is_reported(story, body):
    story.delete()
    assert story.report(body).status_int == 202
    assert story.backend.is_told.wait(5)
    assert (story.row.status, story.state[2]['cinder_ext:outcome']) == ('deleting', 'failed')


def test_what_nobody_was_asked_for_is_reported_as_ever(story):
    """Of a backend that waits for no report the status is taken at its word."""
    operation = assisted_snapshots.find(story.context, story.snapshot_id)
    assisted_snapshots.end(story.context, operation, assisted_snapshots.End('create-failed'))
    assert story.report({'status': 'available'}).status_int == 400
    snapshots.begin_delete(story.context, story.snapshot_id)
    assert story.report({'status': 'deleting', 'compute_snapshot_status':
                         'deleting_compute_complete'}).status_int == 202
    assert story.state[2] == {'compute_snapshot_status': 'deleting_compute_complete'}
    assert story.report({'status': 'error_deleting'}).status_int == 202
    assert (story.row.status, story.backend.told) == ('error_deleting', [])
