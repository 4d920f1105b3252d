"""The volumes of a test of replication are removed by themselves, at the target too."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import pytest
import replicating
from oslo_utils import timeutils

from cinder_ext.db import attachments, replication_operations, volumes
from cinder_ext.states import replication as states


@pytest.fixture
def replicated(make_cloud, tmp_path):
    cloud = make_cloud(sweep_interval=1, more=replicating.configuration(tmp_path))
    cloud.start()
    return replicating.Replicated(cloud)


def test_a_test_volume_goes_when_its_time_is_over_but_not_while_it_is_used(replicated):
    cloud = replicated.cloud
    volume_id, replication_id = replicated.volume()
    cloud.write(volume_id, 0, b'tested')
    replicated.next_point(replication_id)
    operation_id = replication_operations.create(replicated.admin, {
        'verb': 'test', 'replication_id': replication_id,
        'expires_at': timeutils.utcnow() + datetime.timedelta(hours=1)}).id
    replicated.api.look(replicated.context)
    cloud.until(lambda: replication_operations.get(replicated.admin, operation_id).state
                not in states.OPEN, 20)
    clone_id = replication_operations.member(
        replicated.admin, operation_id, volume_id).clone_volume_id
    path = cloud.path(clone_id, replicating.DR)
    assert cloud.read(path, 0, 6) == b'tested'
    attachment_id = attachments.reserve(replicated.admin, clone_id, 'a-server').id
    replication_operations.update(replicated.admin, operation_id, {'expires_at': timeutils.utcnow()})
    points = replicated.next_point(replication_id).point_id
    assert replicated.next_point(replication_id).point_id != points
    assert volumes.get(replicated.admin, clone_id).status == 'reserved'
    attachments.detached(replicated.admin, attachment_id)
    cloud.until(lambda: not path.exists(), 20)
    cloud.until(lambda: clone_id not in replicated.volume_ids(), 20)
    assert replicated.get(replication_id).state == 'enabled'
