"""What a volume's type allows and forbids: encryption and several attachments."""
# SPDX-License-Identifier: Apache-2.0

import pytest
import webob

from cinder_ext import context
from cinder_ext.db import (
    placement,
    session,
    transition,
    type_models,
    volume_migrations,
    volume_types,
    volumes,
)
from cinder_ext.states import volume as states

PROJECT = '0123456789abcdef0123456789abcdef'


@pytest.fixture
def ctxt():
    return context.admin_context()


@pytest.fixture
def ask(cloud):
    def send(method, path, body=None, user='member'):
        request = webob.Request.blank(f'/v3{path}', method=method, headers={
            'OpenStack-API-Version': 'volume 3.71', 'X-Auth-Token': f'{user}:{PROJECT}'})
        if body is not None:
            request.json_body = body
        return request.get_response(cloud.application)

    return send


@pytest.fixture
def encrypted(cloud, ctxt):
    type_id = volume_types.create(ctxt, {'name': 'secret'}, {}).id
    _encrypt(ctxt, type_id)
    return type_id


@session.writer
def _encrypt(context, type_id):
    context.session.add(type_models.VolumeTypeEncryption(
        volume_type_id=type_id, provider='luks', cipher='aes-xts-plain64', key_size=256,
        control_location='front-end'))


def _volume(ctxt, **columns):
    row = volumes.create(ctxt, {'project_id': PROJECT, 'user_id': 'user', 'size': 1,
                                'host': 'node@alpha#alpha', **columns})
    transition.move(ctxt, states.MACHINE, row.id, 'created')
    return row.id


def _act(ask, volume_id, action, body):
    return ask('POST', f'/volumes/{volume_id}/action', {action: body})


def test_an_encrypted_type_is_refused_for_want_of_a_key_manager(ask, ctxt, encrypted):
    answer = ask('POST', '/volumes', {'volume': {'size': 1, 'volume_type': 'secret'}})
    assert (answer.status_int, 'no key manager' in answer.text) == (400, True)
    assert _act(ask, _volume(ctxt), 'os-retype', {'new_type': 'secret'}).status_int == 400


def test_an_encrypted_volume_says_how_it_is_encrypted(ask, ctxt, encrypted):
    key = '11111111-1111-4111-8111-111111111111'
    volume_id = _volume(ctxt, volume_type_id=encrypted, encryption_key_id=key)
    shown = ask('GET', f'/volumes/{volume_id}').json['volume']
    assert (shown['encrypted'], shown['encryption_key_id']) == (True, key)
    assert ask('GET', f'/volumes/{volume_id}/encryption').json == {
        'encryption_key_id': key, 'provider': 'luks', 'cipher': 'aes-xts-plain64', 'key_size': 256,
        'control_location': 'front-end'}
    found = ask('GET', f'/volumes/{volume_id}/encryption/key_size')
    assert (found.status_int, found.text) == (200, '256')


def test_a_fixed_key_is_not_named(ask, ctxt):
    volume_id = _volume(ctxt, encryption_key_id='00000000-0000-0000-0000-000000000000')
    shown = ask('GET', f'/volumes/{volume_id}').json['volume']
    assert shown['encrypted'] is True
    assert 'encryption_key_id' not in shown


def test_a_retype_in_place_takes_multiattach_along(ask, ctxt):
    type_id = volume_types.create(ctxt, {'name': 'many'}, {'multiattach': '<is> True'}).id
    volume_id = _volume(ctxt)
    assert _act(ask, volume_id, 'os-retype', {'new_type': 'many'}).status_int == 202
    (record_id,) = volume_migrations.waiting(ctxt, ('scheduling',))
    assert placement.retype_in_place(ctxt, record_id)
    found = volumes.get(ctxt, volume_id)
    assert (found.multiattach, found.volume_type_id) == (True, type_id)


def test_a_volume_in_use_does_not_change_multiattach(ask, ctxt):
    volume_types.create(ctxt, {'name': 'many'}, {'multiattach': '<is> True'})
    volume_id = _volume(ctxt)
    transition.force(ctxt, states.MACHINE, volume_id, 'in-use')
    answer = _act(ask, volume_id, 'os-retype', {'new_type': 'many'})
    assert (answer.status_int, 'multiattach' in answer.text) == (400, True)
