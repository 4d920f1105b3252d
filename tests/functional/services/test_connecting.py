"""Connections that no attachment stands for, through the volume service."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import attach_requests, attachments

HOST = {'host': 'one', 'ip': '192.0.2.1'}


def _connect(cloud, volume_id, connector):
    return cloud.volume_api.initialize_connection(
        cloud.context, cloud.row(volume_id).host, volume_id, connector)


def _disconnect(cloud, volume_id, connector):
    cloud.volume_api.terminate_connection(
        cloud.context, cloud.row(volume_id).host, volume_id, connector)


def test_a_connection_leads_to_the_volume_and_is_taken_back(cloud):
    volume_id = cloud.volume()
    cloud.write(volume_id, 0, b'here')
    found = _connect(cloud, volume_id, {**HOST, 'enforce_multipath': True})
    assert (found['driver_volume_type'], found['enforce_multipath']) == ('local', True)
    assert (found['data']['access_mode'], found['data']['encrypted']) == ('rw', False)
    assert cloud.read(found['data']['device_path'], 0, 4) == b'here'
    for connector in (HOST, {}, HOST):
        _disconnect(cloud, volume_id, connector)
    assert attachments.of_volume(cloud.context, volume_id) == []


def test_a_read_only_volume_is_connected_for_reading(cloud):
    volume_id = cloud.volume()
    attach_requests.set_readonly(cloud.context, volume_id, True)
    assert _connect(cloud, volume_id, HOST)['data']['access_mode'] == 'ro'
    made = attachments.reserve(cloud.context, volume_id, None, 'rw')
    attachments.connect(cloud.context, made.id, {**HOST, 'mode': 'rw'})
    info = cloud.volume_api.connect_attachment(cloud.context, cloud.row(volume_id).host, made.id)
    assert info['access_mode'] == 'ro'


def test_the_old_calls_leave_the_connection_of_an_attachment(cloud):
    volume_id = cloud.volume()
    made = attachments.reserve(cloud.context, volume_id)
    attachments.connect(cloud.context, made.id, HOST)
    cloud.volume_api.connect_attachment(cloud.context, cloud.row(volume_id).host, made.id)
    _disconnect(cloud, volume_id, HOST)
    assert attachments.get(cloud.context, made.id).connection_info['driver_volume_type'] == 'local'


def test_what_the_backend_does_not_have_is_not_connected(cloud):
    volume_id = cloud.volume()
    cloud.path(volume_id).unlink()
    with pytest.raises(exceptions.ResourceMissing):
        _connect(cloud, volume_id, HOST)
    assert cloud.row(volume_id).status == 'available'
