"""Snapshots of volumes that servers use, from the message to the end of the compute service's part."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.db import snapshots


def test_a_snapshot_is_taken_with_the_compute_service(assisted):
    volume_id = assisted.attached()
    before, = assisted.files(volume_id)
    snapshot_id = assisted.ask_create(volume_id)
    assisted.is_asked(snapshot_id)
    (method, path, document), = assisted.nova.asked
    overlay = document['snapshot']['create_info']['new_file']
    assert (method, path) == ('POST', '/os-assisted-volume-snapshots')
    assert document == {'snapshot': {'volume_id': volume_id, 'create_info': {
        'snapshot_id': snapshot_id, 'type': 'qcow2', 'new_file': overlay}}}
    assert assisted.files(volume_id) == {before}
    assert overlay in {path.name for path in assisted.layers.iterdir()}
    assert snapshots.get(assisted.context, snapshot_id).status == 'creating'
    assert assisted.report(snapshot_id, 'creating', '90%')
    assisted.becomes(snapshot_id, 'available')
    assert assisted.files(volume_id) == {f'layers/{overlay}'}
    assert assisted.noted(snapshot_id) == {}
    assert snapshots.get(assisted.context, snapshot_id).progress == '100%'


@pytest.mark.parametrize('which', ['newest', 'middle', 'oldest'])
def test_a_snapshot_is_deleted_with_the_compute_service(assisted, which):
    volume_id = assisted.attached()
    layers, taken = [], []
    for number in range(3):
        layer, = assisted.files(volume_id)
        layers.append(layer.removeprefix('layers/'))
        assisted.write(layers[-1], number * 4096, number + 1)
        taken.append(assisted.snapshot(volume_id))
    active, = assisted.files(volume_id)
    active = active.removeprefix('layers/')
    place = {'oldest': 0, 'middle': 1, 'newest': 2}[which]
    assisted.ask_delete(taken[place])
    assisted.is_asked(taken[place])
    method, path, request = assisted.nova.asked[-1]
    assert (method, path) == ('DELETE', f'/os-assisted-volume-snapshots/{taken[place]}')
    assert sorted(request) == ['file_to_merge', 'merge_target_file', 'type', 'volume_id']
    assert request['volume_id'] == volume_id
    assisted.merge(request)
    assisted.report(taken[place], 'deleting', '90%')
    assisted.is_gone(taken[place])
    assert assisted.files(volume_id) == {f'layers/{active}'}
    assert len(assisted.names()) == 3
    assert all(assisted.reads(active, number * 4096, number + 1) for number in range(3))
