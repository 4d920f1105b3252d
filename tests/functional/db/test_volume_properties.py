"""Admin metadata and image properties."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    snapshots,
    transition,
    volume_properties,
    volume_requests,
    volume_types,
    volumes,
)
from cinder_ext.states import snapshot as states

VALUES = {'project_id': 'project', 'user_id': 'user', 'size': 1}


def test_image_properties_are_set_changed_and_dropped(make_volume, ctxt):
    volume_id = make_volume()
    volume_properties.set_image(ctxt, volume_id, {'a': '1', 'b': '2'})
    assert volume_properties.set_image(ctxt, volume_id, {'b': '3'}) == {'a': '1', 'b': '3'}
    volume_properties.drop_image(ctxt, volume_id, 'a')
    with pytest.raises(exceptions.MetadataNotFound):
        volume_properties.drop_image(ctxt, volume_id, 'a')
    assert volume_properties.image(ctxt, volume_id) == {'b': '3'}


@pytest.mark.parametrize('bootable', [True, False])
def test_image_properties_follow_a_bootable_volume(make_volume, ctxt, bootable):
    volume_id = make_volume(bootable=bootable)
    volume_properties.set_image(ctxt, volume_id, {'image_name': 'before'})
    snapshot = snapshots.create(ctxt, {'volume_id': volume_id})
    transition.move(ctxt, states.MACHINE, snapshot.id, 'created')
    volume_properties.set_image(ctxt, volume_id, {'image_name': 'after'})
    values = {**VALUES, 'bootable': bootable}
    restored = volume_requests.create_from_snapshot(ctxt, snapshot, values)
    clone = volume_requests.create_from_volume(ctxt, volumes.get(ctxt, volume_id), values)
    found = [volume_properties.image(ctxt, each.id) for each in (restored, clone)]
    assert found == ([{'image_name': 'before'}, {'image_name': 'after'}] if bootable else [{}, {}])


def test_one_statement_tells_all_of_several_volumes(make_volume, ctxt):
    first, second, third = (make_volume() for _ in range(3))
    type_id = volume_types.create(ctxt, {'name': 'gold'}, {}).id
    volume_requests.set_metadata(ctxt, first, {'key': 'of the owner'})
    volume_properties.set_admin(ctxt, first, {'readonly': 'True'})
    volume_properties.set_image(ctxt, second, {'text': 'x' * 1000})
    volume_properties.set_image(ctxt, third, {'not': 'asked for'})
    found = volume_properties.beside(ctxt, [first, second], [type_id, None])
    assert found.metadata == {first: {'key': 'of the owner'}}
    assert found.admin == {first: {'readonly': 'True'}}
    assert found.image == {second: {'text': 'x' * 1000}}
    assert found.types == {type_id: 'gold'}


def test_nothing_is_left_of_a_deleted_volume(make_volume, ctxt):
    volume_id = make_volume()
    volume_properties.set_image(ctxt, volume_id, {'a': '1'})
    volume_properties.set_admin(ctxt, volume_id, {'readonly': 'True'})
    volumes.mark_deleted(ctxt, volume_id)
    assert volume_properties.image(ctxt, volume_id) == volume_properties.admin(ctxt, volume_id) == {}
