"""Failovers when a backend's array, or its volume service, is gone: real services and files."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import uuid

import pytest
import replicating
import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext.conf import options
from cinder_ext.db import models, replication_operations, services, session
from cinder_ext.rpc import transport
from cinder_ext.rpc.replication import ReplicationAPI
from cinder_ext.states import replication as states
from cinder_ext.volume import ownership
from cinder_ext.volume.manager import VolumeServices
from cinder_ext.volume.replication import operations
from cinder_ext.volume.replication.tools import Tools


@pytest.fixture
def replicated(make_cloud, tmp_path):
    """A cloud with a volume that has a point."""
    cloud = make_cloud(more=replicating.configuration(tmp_path))
    cloud.start()
    made = replicating.Replicated(cloud)
    made.volume_id, made.replication_id = made.volume()
    cloud.write(made.volume_id, 0, b'kept')
    made.next_point(made.replication_id)
    return made


def _die(replicated):
    """The services of the cloud end, and gave their last sign long ago."""
    replicated.cloud.stop()

    @session.writer
    def age(context):
        context.session.execute(sa.update(models.Service).values(
            updated_at=timeutils.utcnow() - datetime.timedelta(hours=1)))

    age(replicated.admin)


def _other_conf(cloud):
    """The configuration of another host that has beta, and the section of alpha too."""
    conf = options.new()
    options.parse(conf, ['--config-file', str(cloud.directory / 'cinder-ext.conf')])
    conf.set_override('host', 'other')
    conf.set_override('enabled_backends', ['beta'])
    transport.cleanup()
    transport.init(conf, f'local:///{uuid.uuid4()}')
    return conf


def _ask(replicated):
    operation_id = replication_operations.create(replicated.admin, {
        'verb': 'failover', 'replication_id': replicated.replication_id, 'force': True}).id
    replicated.api.look(replicated.context)
    return operation_id


def _await_failover(replicated, operation_id):
    row = replicated.cloud.until(
        lambda: (row := replication_operations.get(replicated.admin, operation_id)).state
        not in states.OPEN and row, 20)
    assert row.state == 'succeeded', row.error
    assert replicated.cloud.row(replicated.volume_id).replication_status == 'failed-over'
    path = replicated.cloud.path(replicated.volume_id, replicating.DR)
    assert replicated.cloud.read(path, 0, 4) == b'kept'


def test_service_fails_over_although_its_driver_cannot_start(replicated):
    cloud = replicated.cloud
    cloud.stop()
    (cloud.directory / 'alpha').rename(cloud.directory / 'burnt')
    cloud.start_backends()
    _await_failover(replicated, _ask(replicated))


def test_another_service_fails_over_when_that_of_the_backend_is_dead(replicated):
    _die(replicated)
    conf = _other_conf(replicated.cloud)
    replicated.api = ReplicationAPI(conf)
    other = VolumeServices(conf)
    other.start()
    try:
        _await_failover(replicated, _ask(replicated))
        assert not services.is_alive(replicated.admin, 'node@alpha', 60)
    finally:
        other.stop()


def test_service_stands_in_only_where_it_may_and_can(replicated):
    operation_id = _ask(replicated)
    conf = options.new()
    options.parse(conf, ['--config-file', str(replicated.cloud.directory / 'cinder-ext.conf')])
    tools = Tools(conf, 'other@beta', None, ownership.Ownership(conf))
    mine = operations.Operations(tools)
    # The service of the backend lives, and does it.
    assert mine.tasks(replicated.admin) == []
    _await_failover(replicated, operation_id)
    _die(replicated)
    operation_id = replication_operations.create(replicated.admin, {
        'verb': 'failback', 'replication_id': replicated.replication_id}).id
    assert [task.group for task in mine.tasks(replicated.admin)] == [operation_id]
    conf.set_override('stand_in', False, 'replication')
    assert mine.tasks(replicated.admin) == []
