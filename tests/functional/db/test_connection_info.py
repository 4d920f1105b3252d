"""What the volume type adds to the data of a connection."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext.db import qos_specs, volume_types, volumes
from cinder_ext.volume.attachments import connection_info

ATTACHMENT = types.SimpleNamespace(id='attachment', attach_mode='rw', connector={'host': 'here'})


def _info(ctxt, volume_id, **data):
    found = types.SimpleNamespace(driver_volume_type='local', data=data)
    return connection_info.of(ctxt, volumes.get(ctxt, volume_id), ATTACHMENT, found)


@pytest.mark.parametrize(('spec', 'driver', 'cacheable'), [
    ('<is> True', {}, True), ('<is> True', {'cacheable': True}, True),
    ('<is> True', {'cacheable': False}, False), ('<is> False', {'cacheable': True}, False)])
def test_caching_needs_both_the_type_and_the_driver(make_volume, ctxt, spec, driver, cacheable):
    type_id = volume_types.create(ctxt, {'name': 'fast'}, {'cacheable': spec}).id
    assert _info(ctxt, make_volume(volume_type_id=type_id), **driver)['cacheable'] is cacheable


def test_a_volume_without_a_type_has_no_limits(make_volume, ctxt):
    assert _info(ctxt, make_volume(), device_path='/x') == {
        'attachment_id': 'attachment', 'access_mode': 'rw', 'device_path': '/x',
        'driver_volume_type': 'local', 'encrypted': False, 'enforce_multipath': False,
        'qos_specs': None}


def test_limits_of_the_back_end_are_not_told(make_volume, ctxt):
    type_id = volume_types.create(ctxt, {'name': 'fast'}).id
    specs = qos_specs.create(ctxt, 'quick', 'back-end', {'read_iops_sec': '1'})
    qos_specs.associate(ctxt, specs.id, type_id)
    volume_id = make_volume(volume_type_id=type_id)
    assert _info(ctxt, volume_id)['qos_specs'] is None
    qos_specs.update(ctxt, specs.id, {}, 'both')
    assert _info(ctxt, volume_id)['qos_specs'] == {'read_iops_sec': '1'}


def test_an_encrypted_volume_says_so_unless_the_driver_does(make_volume, ctxt):
    volume_id = make_volume(encryption_key_id='key')
    assert _info(ctxt, volume_id)['encrypted'] is True
    assert _info(ctxt, volume_id, encrypted=False)['encrypted'] is False
