"""A volume goes back to its latest snapshot: real files, through the volume service."""
# SPDX-License-Identifier: Apache-2.0

import random

import pytest
from oslo_concurrency import lockutils
from oslo_config import cfg

from cinder_ext import exceptions
from cinder_ext.db import reverts, snapshots
from cinder_ext.drivers import capabilities, file, loader
from cinder_ext.drivers.generic import attach
from cinder_ext.states import messages as words
from cinder_ext.volume.backend import Backend
from cinder_ext.volume.revert.endpoint import RevertEndpoint

MIB = 1024 ** 2


def _changed(cloud):
    """A volume that was changed after its second snapshot; (id, snapshot ids, bytes then)."""
    noise = random.Random(4)
    volume_id = cloud.volume()
    cloud.write(volume_id, 0, noise.randbytes(3 * MIB))
    taken = [cloud.snapshot(volume_id)]
    cloud.write(volume_id, 5 * MIB, noise.randbytes(MIB))
    taken.append(cloud.snapshot(volume_id))
    before = _head(cloud, volume_id)
    cloud.write(volume_id, 4 * MIB, noise.randbytes(3 * MIB))
    assert _head(cloud, volume_id) != before
    return volume_id, taken, before


def _head(cloud, volume_id):
    return cloud.read(cloud.path(volume_id), 0, 16 * MIB)


def _revert(cloud, volume_id, snapshot_id):
    reverts.begin(cloud.context, volume_id, snapshot_id)
    cloud.volume_api.revert_volume(cloud.context, cloud.row(volume_id).host, volume_id)


def test_the_volume_holds_what_its_latest_snapshot_holds(cloud):
    volume_id, taken, before = _changed(cloud)
    _revert(cloud, volume_id, taken[1])
    cloud.becomes(volume_id, 'available')
    assert _head(cloud, volume_id) == before
    assert snapshots.get(cloud.context, taken[1]).status == 'available'
    assert sorted(path.name for path in (cloud.directory / 'alpha').rglob('*.*')) == sorted(
        [f'volume-{volume_id}.raw', *(f'snapshot-{each}.raw' for each in taken)])


def test_it_is_done_at_the_next_start_although_the_message_was_lost(cloud):
    volume_id, taken, before = _changed(cloud)
    cloud.stop()
    reverts.begin(cloud.context, volume_id, taken[1])
    cloud.start()
    cloud.becomes(volume_id, 'available')
    assert _head(cloud, volume_id) == before


def test_a_backend_that_lost_the_snapshot_leaves_the_volume_in_error(cloud):
    volume_id, taken, _before = _changed(cloud)
    now = _head(cloud, volume_id)
    cloud.path(taken[1], kind='snapshot').unlink()
    _revert(cloud, volume_id, taken[1])
    cloud.becomes(volume_id, 'error')
    assert _head(cloud, volume_id) == now
    assert snapshots.get(cloud.context, taken[1]).status == 'available'
    assert cloud.told(volume_id) == [(words.REVERT_VOLUME, words.DRIVER_FAILED_REVERT, None)]


class Plain(file.FileDriver):
    """A backend that cannot revert."""

    def switched_off(self):
        return super().switched_off() | {capabilities.Revert}


@pytest.fixture
def endpoint(cloud):
    """Of a backend that cannot revert, on the files of alpha."""
    lockutils.set_defaults(str(cloud.directory))
    attach.setup(cfg.CONF)
    driver = Plain(loader.load(cloud.conf, 'alpha').settings)
    driver.start()
    return RevertEndpoint(Backend('node@alpha', driver))


def test_where_the_backend_cannot_the_snapshot_is_written_back(cloud, endpoint):
    volume_id, taken, before = _changed(cloud)
    reverts.begin(cloud.context, volume_id, taken[1])
    endpoint.revert_volume(cloud.context, volume_id)
    assert cloud.row(volume_id).status == 'available'
    assert _head(cloud, volume_id) == before


def test_a_service_that_stops_leaves_it_for_the_next_one(cloud, endpoint):
    volume_id, taken, before = _changed(cloud)
    reverts.begin(cloud.context, volume_id, taken[1])
    endpoint.stop()
    endpoint.revert_volume(cloud.context, volume_id)
    assert cloud.row(volume_id).status == 'reverting'
    cloud.volume_api.revert_volume(cloud.context, 'node@alpha#alpha', volume_id)
    cloud.becomes(volume_id, 'available')
    assert _head(cloud, volume_id) == before


def test_what_is_not_being_reverted_is_left_alone(cloud, endpoint):
    volume_id, _taken, _before = _changed(cloud)
    now = _head(cloud, volume_id)
    endpoint.revert_volume(cloud.context, volume_id)
    assert _head(cloud, volume_id) == now
    with pytest.raises(exceptions.InvalidInput):
        reverts.begin(cloud.context, volume_id, None)
