"""Attaching through os-brick: a plain file by its LOCAL connector."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from oslo_concurrency import lockutils
from oslo_config import cfg

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import attach


def test_a_plain_file_is_its_own_path(tmp_path):
    path = tmp_path / 'volume.raw'
    path.write_bytes(b'bytes')
    info = values.ConnectionInfo('local', {'device_path': str(path), 'access_mode': 'rw'})
    with attach.attached(info) as found, open(found, 'rb') as device:
        assert device.read() == b'bytes'


def test_the_fault_of_the_block_reaches_the_caller():
    info = values.ConnectionInfo('local', {'device_path': '/dev/null'})
    with pytest.raises(KeyError):
        with attach.attached(info):
            raise KeyError


def test_incomplete_connection_info_is_a_backend_fault():
    with pytest.raises(exceptions.BackendDown):
        with attach.attached(values.ConnectionInfo('local', {})):
            pytest.fail('there is nothing to attach')


def test_an_unknown_protocol_is_refused():
    with pytest.raises(exceptions.NotCapable):
        with attach.attached(values.ConnectionInfo('telepathy', {})):
            pytest.fail('there is no such connector')


def test_setting_up_hands_the_lock_path_to_os_brick(tmp_path):
    lockutils.set_defaults(str(tmp_path))
    attach.setup(cfg.CONF)
    assert cfg.CONF.os_brick.lock_path == str(tmp_path)


def test_setting_up_without_a_lock_path_is_refused():
    lockutils.set_defaults(None)
    with pytest.raises(exceptions.Misconfigured, match='lock_path'):
        attach.setup(cfg.ConfigOpts())


def test_the_properties_of_this_host_need_no_privilege():
    found = attach.connector_properties(host='node', ip='192.0.2.7')
    assert found['host'] == 'node'
    assert found['ip'] == '192.0.2.7'
    assert found['multipath'] is False
