"""What is made of the compute service's answers."""
# SPDX-License-Identifier: Apache-2.0

import socket
import threading
import types

import assisting
import pytest
from keystoneauth1 import loading

from cinder_ext import compute, context, exceptions
from cinder_ext.conf import nova, options


@pytest.mark.parametrize(('vm_state', 'task_state', 'can'), [
    ('active', None, True), ('paused', None, True), ('resized', None, True),
    ('active', 'rebooting', False), ('stopped', None, False), ('error', None, False),
    ('shelved', None, False), ('suspended', None, False), ('building', 'spawning', False)])
def test_server_that_can_swap(vm_state, task_state, can):
    assert compute.State(vm_state, task_state).can_swap is can


def test_no_guest_of_a_stopped_server_runs():
    assert not set(compute.STOPPED) & set(compute.SWAPPABLE)
    assert 'error' not in compute.STOPPED


@pytest.mark.parametrize(('value', 'percent'), [
    (0, 0), (42, 42), ('42', 42), (100, 100), (None, None), (101, None), (-1, None), ('x', None),
    ([], None)], ids=repr)
def test_progress_is_a_percentage_or_nothing(value, percent):
    assert compute._percent(value) == percent


@pytest.mark.parametrize(('document', 'reason'), [
    ({'conflictingRequest': {'message': 'It is locked', 'code': 409}}, 'It is locked'),
    ({'badRequest': {'code': 400}}, 'the fault itself'), ({}, 'the fault itself'),
    ([], 'the fault itself'), ({'a': 1}, 'the fault itself')],
    ids=['fault', 'no-message', 'empty', 'list', 'number'])
def test_reason_is_what_the_service_says(document, reason):
    class Fault(Exception):
        response = types.SimpleNamespace(json=lambda: document)
    assert compute._reason(Fault('the fault itself')) == reason


def test_reason_of_no_answer_is_the_fault():
    class Fault(Exception):
        response = None
    assert compute._reason(Fault('nobody is there')) == 'nobody is there'


CREATE = {'snapshot_id': 'S', 'type': 'qcow2', 'new_file': 'a.b.qcow2'}
DELETE = {'volume_id': 'V', 'type': 'qcow2', 'file_to_merge': 'a.qcow2', 'merge_target_file': None}


def _compute(url, **more):
    conf = options.new()
    options.parse(conf, [])
    for name, value in {'endpoint_override': url, 'answer_timeout': 1, **more}.items():
        conf.set_override(name, value, nova.GROUP)
    conf.set_override('auth_strategy', 'noauth')
    return conf, compute.Compute(conf)


@pytest.fixture
def service():
    with assisting.compute_service() as found:
        yield found


def _both(asked):
    """Ask for both with the service's context."""
    ctxt = context.admin_context()
    yield lambda: asked.create_assisted_snapshot(ctxt, 'V', CREATE)
    yield lambda: asked.delete_assisted_snapshot(ctxt, 'S', DELETE)


def test_assisted_snapshots_are_asked_for_as_nova_expects(service):
    for ask in _both(_compute(service.url)[1]):
        ask()
    assert service.asked == [
        ('POST', '/os-assisted-volume-snapshots',
         {'snapshot': {'volume_id': 'V', 'create_info': CREATE}}),
        ('DELETE', '/os-assisted-volume-snapshots/S', DELETE)]


@pytest.mark.parametrize('status', [400, 401, 403, 404, 406, 409])
def test_assistance_that_is_refused_at_the_door_was_certainly_not_given(service, status):
    service.answer = lambda method, path, document: status
    for ask in _both(_compute(service.url)[1]):
        with pytest.raises(exceptions.AssistanceRefused):
            ask()
    assert len(service.asked) == 2


@pytest.mark.parametrize('status', [None, 408, 500, 502, 503, 504], ids=str)
def test_assistance_without_a_clear_answer_may_have_been_given(service, status):
    service.answer = lambda method, path, document: status
    for ask in _both(_compute(service.url)[1]):
        with pytest.raises(exceptions.ServiceUnavailable):
            ask()
    assert len(service.asked) == 2


def test_request_that_nobody_took_was_never_sent():
    for ask in _both(_compute('http://127.0.0.1:1/v2.1')[1]):
        with pytest.raises(exceptions.AssistanceRefused):
            ask()


def test_connection_that_is_lost_in_the_middle_may_have_done_it():
    with socket.create_server(('127.0.0.1', 0)) as listening:
        def hang_up():
            for _ in range(2):
                peer, _address = listening.accept()
                peer.recv(4096)
                peer.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f'http://127.0.0.1:{listening.getsockname()[1]}/v2.1'
        for ask in _both(_compute(url)[1]):
            with pytest.raises(exceptions.ServiceUnavailable):
                ask()
        thread.join(5)


def test_without_a_compute_service_nobody_is_asked():
    for ask in _both(_compute(None)[1]):
        with pytest.raises(exceptions.AssistanceRefused, match='endpoint_override'):
            ask()


def test_a_user_s_account_does_not_assist(service):
    conf, asked = _compute(service.url)
    conf.set_override('auth_strategy', 'keystone')
    for ask in _both(asked):
        with pytest.raises(exceptions.AssistanceRefused, match='auth_type'):
            ask()
    assert service.asked == []


def test_the_service_s_own_account_assists(service):
    conf, asked = _compute(service.url)
    conf.set_override('auth_strategy', 'keystone')
    loading.register_auth_conf_options(conf, nova.GROUP)
    conf.register_opts(loading.get_auth_plugin_conf_options('admin_token'), nova.GROUP)
    for name, value in (('auth_type', 'admin_token'), ('endpoint', service.url), ('token', 'own')):
        conf.set_override(name, value, nova.GROUP)
    for ask in _both(asked):
        ask()
    assert service.tokens == ['own', 'own']
