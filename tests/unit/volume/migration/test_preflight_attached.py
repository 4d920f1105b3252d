"""Whether a volume that is in use can be moved under its server."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext import compute, exceptions
from cinder_ext.volume.migration import preflight_attached

SERVER, ATTACHMENT = 'server-1', 'attachment-1'


def attachment(**changes):
    return types.SimpleNamespace(**{'id': ATTACHMENT, 'instance_id': SERVER,
                                    'attach_status': 'attached', **changes})


class Compute:
    """Says what it is told to."""

    def __init__(self, state=('active', None), device=ATTACHMENT, is_known=True):
        self.is_known, self._state, self._device = is_known, state, device

    def state_of(self, context, server_id):
        if self._state == 'silent':
            raise exceptions.ServiceUnavailable(reason='the compute service sleeps.')
        return self._state and compute.State(*self._state)

    def device_of(self, context, server_id, volume_id):
        return self._device and compute.Device(self._device)


def checks(asked=None, attached=None, **volume):
    record = types.SimpleNamespace(previous_status='in-use', volume_id='v')
    attached = [attachment()] if attached is None else attached
    subject = types.SimpleNamespace(
        volume=types.SimpleNamespace(multiattach=False, encryption_key_id=None, **volume),
        attachments=attached,
        server=preflight_attached.server_of(asked or Compute(), None, record, attached))
    return {check.name: check for check in preflight_attached.checks(record, subject)}


def test_server_that_runs_can_swap():
    found = checks()
    assert [name for name, check in found.items() if not check.passed] == []
    assert list(found) == ['volume-status', 'volume-detached', 'server-can-swap']


@pytest.mark.parametrize('state', ['paused', 'resized'])
def test_so_can_one_that_is_paused_or_resized(state):
    assert checks(Compute((state, None)))['server-can-swap'].passed


@pytest.mark.parametrize(('asked', 'detail'), [
    (Compute(('stopped', None)), 'is stopped'), (Compute(('suspended', None)), 'is suspended'),
    (Compute(('rescued', None)), 'is rescued'), (Compute(('active', 'migrating')), 'task migrating'),
    (Compute(None), 'does not exist'), (Compute('silent'), 'sleeps'),
    (Compute(device='another'), 'does not have the volume by'),
    (Compute(device=None), 'does not have the volume by'),
    (Compute(is_known=False), 'no compute service is configured')],
    ids=['stopped', 'suspended', 'rescued', 'migrating', 'gone', 'silent', 'other', 'none', 'unknown'])
def test_server_that_cannot_swap(asked, detail):
    check = checks(asked)['server-can-swap']
    assert not check.passed
    assert detail in check.detail
    assert 'etach the volume' in check.remedy


def test_attachment_of_a_host_is_no_servers():
    assert not checks(attached=[attachment(instance_id=None)])['server-can-swap'].passed


def test_attachment_must_be_whole():
    found = checks(attached=[attachment(attach_status='detaching')])
    assert 'is detaching' in found['server-can-swap'].detail


def test_several_attachments_are_moved_detached_only():
    found = checks(attached=[attachment(), attachment(id='b')])
    assert not found['volume-detached'].passed
    assert found['server-can-swap'].passed is None


def test_so_is_what_may_have_several():
    record = types.SimpleNamespace(previous_status='in-use', volume_id='v')
    subject = types.SimpleNamespace(
        volume=types.SimpleNamespace(multiattach=True), attachments=[attachment()], server=None)
    found = {each.name: each.passed for each in preflight_attached.checks(record, subject)}
    assert found['volume-detached'] is False


def test_volume_that_nobody_uses_asks_nobody():
    record = types.SimpleNamespace(previous_status='available', volume_id='v')
    subject = types.SimpleNamespace(attachments=[], server=None)
    assert [check.passed for check in preflight_attached.checks(record, subject)] == [True] * 3


def test_what_the_server_mirrors_is_not_copied():
    used, unused = types.SimpleNamespace(server=1), types.SimpleNamespace(server=None)
    assert preflight_attached.copied_bytes(used, [1, 2, 3]) == [1, 2, 0]
    assert preflight_attached.copied_bytes(unused, [1, 2, 3]) == [1, 2, 3]
    assert preflight_attached.copied_bytes(used, []) == []


def test_record_keeps_the_server_and_its_attachment():
    server = preflight_attached.Server(attachment())
    assert preflight_attached.columns(types.SimpleNamespace(server=server)) == {
        'server_id': SERVER, 'compute': {'attachment_id': ATTACHMENT},
        'progress_note': preflight_attached.NOTE}
    assert preflight_attached.columns(types.SimpleNamespace(server=None)) == {}
