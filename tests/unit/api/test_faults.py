"""Errors as answers."""
# SPDX-License-Identifier: Apache-2.0

import inspect

import pytest
import webob

from cinder_ext import exceptions
from cinder_ext.api import faults
from cinder_ext.db import quota_errors

TREE = [found for module in (exceptions, quota_errors)
        for _name, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, exceptions.CinderExtError)]


@pytest.mark.parametrize('kind', TREE, ids=lambda kind: kind.__name__)
def test_every_error_has_an_answer_with_its_code(kind):
    response = faults.of(kind('what happened'))
    (name, fault), = response.json.items()
    assert response.status_int == fault['code'] == kind.http_status
    assert name == faults.NAMES.get(kind.http_status, 'computeFault')
    if kind.http_status != 500:
        assert fault['message'] == 'what happened'
        assert fault['error_code'] == kind.code


def test_what_a_fault_of_the_server_was_about_is_not_told():
    response = faults.of(exceptions.DriverError('secret path'))
    assert response.json == {'computeFault': {'code': 500, 'message': faults.UNEXPECTED,
                                              'error_code': 'cinder_ext.fault'}}


@pytest.mark.parametrize('make', [
    lambda: faults.of(exceptions.ServiceUnavailable(reason='nobody answered')),
    faults.database_away, faults.messages_away], ids=['service', 'database', 'messages'])
def test_what_passes_says_when_to_ask_again(make):
    response = make()
    assert response.status_int == 503
    assert response.headers['Retry-After'] == faults.AWAY_SECONDS
    assert response.json['serviceUnavailable']['retryAfter'] == faults.AWAY_SECONDS


def test_no_waiting_finds_a_backend():
    assert 'Retry-After' not in faults.of(exceptions.NoValidBackend(reason='none')).headers


def test_a_remedy_is_shown():
    assert 'remedy' in faults.of(exceptions.NoValidBackend(reason='none')).json[
        'serviceUnavailable']


def test_other_errors_get_the_shape():
    def plain(environ, start_response):
        response = webob.Response('no', status=401, content_type='text/plain')
        response.headers['WWW-Authenticate'] = 'Keystone uri="x"'
        return response(environ, start_response)

    response = webob.Request.blank('/').get_response(faults.Shape(plain))
    assert response.json['unauthorized']['code'] == 401
    assert response.headers['WWW-Authenticate'] == 'Keystone uri="x"'
