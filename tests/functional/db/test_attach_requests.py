"""Attaching by actions, in the database."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import attach_requests, attachments, volume_properties, volumes

SERVER = {'instance_id': '11111111-1111-4111-8111-111111111111', 'attached_host': None}
HOST = {'instance_id': None, 'attached_host': 'one'}


def _volume(ctxt, volume_id):
    volume = volumes.get(ctxt, volume_id)
    return volume.status, volume.attach_status


def test_a_volume_goes_through_the_old_life(make_volume, ctxt):
    volume_id = make_volume()
    attach_requests.reserve(ctxt, volume_id)
    assert _volume(ctxt, volume_id) == ('attaching', 'detached')
    attach_requests.attach(ctxt, volume_id, SERVER, '/dev/vdb', 'rw')
    assert _volume(ctxt, volume_id) == ('in-use', 'attached')
    attach_requests.begin_detaching(ctxt, volume_id)
    assert _volume(ctxt, volume_id) == ('detaching', 'attached')
    found = attach_requests.chosen(ctxt, volume_id)
    assert (found.attach_status, found.mountpoint, found.attach_mode) == (
        'attached', '/dev/vdb', 'rw')
    attachments.detached(ctxt, found.id)
    assert _volume(ctxt, volume_id) == ('available', 'detached')
    assert volume_properties.admin(ctxt, volume_id) == {'readonly': 'False'}


@pytest.mark.parametrize('status', ['error', 'creating', 'deleting', 'retyping', 'maintenance',
                                    'reverting', 'extending'])
def test_a_volume_that_is_busy_or_broken_is_not_attached(make_volume, ctxt, status):
    volume_id = make_volume(status=status)
    with pytest.raises(exceptions.InvalidState):
        attach_requests.reserve(ctxt, volume_id)
    with pytest.raises(exceptions.InvalidState):
        attach_requests.attach(ctxt, volume_id, SERVER, '/dev/vdb', 'rw')
    attach_requests.unreserve(ctxt, volume_id)
    attach_requests.roll_detaching(ctxt, volume_id)
    assert _volume(ctxt, volume_id) == (status, 'detached')
    assert attachments.of_volume(ctxt, volume_id) == []


def test_undoing_a_reservation_leaves_a_multiattach_volume_in_use(make_volume, ctxt):
    volume_id = make_volume(multiattach=True)
    attach_requests.attach(ctxt, volume_id, SERVER, '/dev/vdb', 'rw')
    attach_requests.reserve(ctxt, volume_id)
    attach_requests.unreserve(ctxt, volume_id)
    assert _volume(ctxt, volume_id) == ('in-use', 'attached')


def test_undoing_a_reservation_leaves_a_volume_that_a_server_is_attaching(make_volume, ctxt):
    volume_id = make_volume()
    made = attachments.reserve(ctxt, volume_id, SERVER['instance_id'])
    for connector in (None, {'host': 'one'}):
        if connector:
            attachments.connect(ctxt, made.id, connector)
        before = _volume(ctxt, volume_id)
        attach_requests.unreserve(ctxt, volume_id)
        assert _volume(ctxt, volume_id) == before


def test_a_volume_is_attached_once_unless_its_type_allows_more(make_volume, ctxt):
    once, often = make_volume(), make_volume(multiattach=True)
    for volume_id in (once, often):
        for _ in range(2):
            attach_requests.attach(ctxt, volume_id, SERVER, '/dev/vdb', 'rw')
    with pytest.raises(exceptions.InvalidState, match='already'):
        attach_requests.attach(ctxt, once, HOST, '/dev/vdb', 'rw')
    attach_requests.attach(ctxt, often, HOST, '/dev/vdb', 'rw')
    assert len(attachments.of_volume(ctxt, once)) == 1
    with pytest.raises(exceptions.InvalidState, match='several'):
        attach_requests.chosen(ctxt, often)


def test_a_mode_that_is_being_attached_is_kept_to(make_volume, ctxt):
    volume_id = make_volume()
    attach_requests.reserve(ctxt, volume_id)
    volume_properties.set_admin(ctxt, volume_id, {'attached_mode': 'ro'})
    with pytest.raises(exceptions.InvalidState, match='with mode ro'):
        attach_requests.attach(ctxt, volume_id, SERVER, '/dev/vdb', 'rw')


def test_only_an_available_volume_becomes_read_only(make_volume, ctxt):
    volume_id = make_volume()
    attach_requests.set_readonly(ctxt, volume_id, True)
    assert volume_properties.is_readonly(ctxt, volume_id)
    assert attachments.reserve(ctxt, volume_id, None, 'rw').attach_mode == 'ro'
    with pytest.raises(exceptions.InvalidState):
        attach_requests.set_readonly(ctxt, volume_id, False)


def test_of_racing_reservations_one_wins(make_volume):
    volume_id = make_volume()

    def reserve(_number):
        try:
            attach_requests.reserve(contexts.admin_context(), volume_id)
        except exceptions.InvalidState:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(reserve, range(8))) == 1
