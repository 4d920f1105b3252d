"""What is said of an attachment, by what the compute service answers."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext import compute
from cinder_ext.volume.attachments import reconciler

OPTIONS = types.SimpleNamespace(reserved_seconds=100, attaching_seconds=200)


def _attachment(status='attached', host='one', server='server'):
    return types.SimpleNamespace(
        id='mine', volume_id='volume', instance_id=server, attach_status=status, attached_host=host,
        connector={'host': host} if host else None)


def _answer(vm_state='active', task_state=None, device='mine', host='one'):
    return reconciler.Answer(compute.State(vm_state, task_state),
                             device and compute.Device(device), host)


GONE = reconciler.Answer()
SILENT = reconciler.Answer(silence='it is away')


@pytest.mark.parametrize(('attachment', 'answer', 'age', 'kind'), [
    (_attachment(), GONE, 0, 'server-gone'),
    (_attachment(), _answer(), 9999, None),
    (_attachment('reserved', None), GONE, 0, 'server-gone'),
    (_attachment('error_detaching'), GONE, 0, 'server-gone'),
    (_attachment(), _answer(device=None), 0, 'server-has-not'),
    (_attachment('reserved', None), _answer(device=None), 0, 'server-has-not'),
    (_attachment('attached', 'two'), _answer(device='another'), 0, 'server-has-another'),
    (_attachment('reserved', None), _answer(device='another'), 0, 'server-has-another'),
    (_attachment(), _answer(device='another'), 0, 'other-attachment-on-its-host'),
    (_attachment(), _answer(host='two'), 0, 'server-on-other-host'),
    (_attachment(), _answer('shelved_offloaded', host=None), 9999, None),
    (_attachment('reserved', None), _answer('shelved_offloaded', host=None), 9999, None),
    (_attachment('reserved', None), _answer('resized', device='another'), 99, None),
    (_attachment(), _answer('resized', device='another', host='two'), 9999, None),
    (_attachment(), _answer('error', device=None), 9999, None),
    (_attachment(), _answer(task_state='migrating', device='another', host='two'), 9999, None),
    (_attachment('attaching'), _answer(task_state='resize_finish'), 9999, None),
    (_attachment('reserved', None), _answer(), 99, None),
    (_attachment('reserved', None), _answer(), 100, 'reserved-too-long'),
    (_attachment('attaching'), _answer(), 199, None),
    (_attachment('attaching'), _answer(), 200, 'attaching-too-long'),
    (_attachment('reserved', None, None), None, 100, 'reserved-too-long'),
    (_attachment('attached', server=None), None, 9999, None),
    (_attachment('reserved', None), SILENT, 100, 'reserved-too-long'),
    (_attachment(), SILENT, 9999, None),
])
def test_what_is_said_of_an_attachment(attachment, answer, age, kind):
    found = reconciler.judge(attachment, answer, age, OPTIONS)
    assert (found and found.kind) == kind


def test_what_a_server_uses_is_never_to_be_repaired():
    for status in ('reserved', 'attaching', 'attached', 'error_attaching', 'error_detaching'):
        for host in (None, 'one', 'two'):
            for vm_state in ('active', 'stopped', 'resized', 'error', 'shelved_offloaded'):
                found = reconciler.judge(_attachment(status, host), _answer(vm_state), 9999, OPTIONS)
                assert found is None or not found.is_repairable


def test_a_silent_compute_service_proves_nothing_and_is_named():
    found = reconciler.judge(_attachment('reserved', None), SILENT, 9999, OPTIONS)
    assert (found.is_repairable, 'it is away' in found.detail) == (False, True)


def test_every_kind_that_can_be_proven_says_what_it_means():
    assert set(reconciler.PROVABLE) < set(reconciler.MEANINGS)


def test_a_finding_is_a_document():
    found = reconciler.judge(_attachment(), GONE, 0, OPTIONS).as_document()
    assert (found['kind'], found['id'], found['server_id'], found['repairable']) == (
        'server-gone', 'mine', 'server', True)
