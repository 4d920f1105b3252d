"""What listeners are told of while volumes and snapshots come and go."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import threading
import uuid

import oslo_messaging
import pytest
import replication_rows
from oslo_messaging.notify import notifier

from cinder_ext.db import (
    migration_actions,
    qos_specs,
    replica_handover,
    replication_failover,
    replication_operations,
    session,
    snapshots,
    transition,
    volume_migrations,
    volume_types,
    volumes,
)
from cinder_ext.rpc import notifications
from cinder_ext.states import migration as migration_states
from cinder_ext.states import volume as states


class Listener:
    """An endpoint that keeps what it hears."""

    def __init__(self):
        self.heard = []
        self.contexts = []
        self._lock = threading.Lock()

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        with self._lock:
            self.heard.append((event_type, publisher_id, payload))
            self.contexts.append(ctxt)

    error = info

    def names(self):
        return [event_type for event_type, *_ in self.heard]


@pytest.fixture
def told(cloud):
    """The cloud tells on a broker of its own; yields what a real listener hears."""
    cloud.conf.register_opts(notifier._notifier_opts, group='oslo_messaging_notifications')
    cloud.conf.set_override('driver', ['messagingv2'], 'oslo_messaging_notifications')
    cloud.conf.set_override('transport_url', f'local:///{uuid.uuid4()}',
                            'oslo_messaging_notifications')
    transport = oslo_messaging.get_notification_transport(cloud.conf)
    listener = Listener()
    server = oslo_messaging.get_notification_listener(
        transport, [oslo_messaging.Target(topic='notifications')], [listener])
    server.start()
    told = notifications.Notifications(cloud.conf, transport)
    told.start()
    yield listener
    told.stop()
    server.stop()
    server.wait()
    transport.cleanup()


def test_life_of_a_volume_is_told(cloud, told):
    volume_id = cloud.volume()
    volumes.begin(cloud.context, volume_id, 'delete', 'be deleted')
    cloud.volume_api.delete_volume(cloud.context, volumes.get(cloud.context, volume_id).host,
                                   volume_id)
    cloud.until(lambda: 'volume.delete.end' in told.names())
    assert told.names() == ['volume.create.start', 'volume.create.end', 'volume.delete.start',
                            'volume.delete.end']
    event, publisher, payload = told.heard[1]
    assert publisher == 'volume.node@alpha'
    assert payload['volume_id'] == volume_id
    assert (payload['status'], payload['size'], payload['tenant_id']) == (
        'available', 1, 'project')
    assert not any(ctxt.get('auth_token') for ctxt in told.contexts)


def test_snapshot_is_told(cloud, told):
    volume_id = cloud.volume()
    row = snapshots.create(cloud.context, {'volume_id': volume_id, 'name': 'one'})
    cloud.volume_api.create_snapshot(cloud.context, volumes.get(cloud.context, volume_id).host,
                                     row.id)
    cloud.until(lambda: 'snapshot.create.end' in told.names())
    payload = told.heard[-1][2]
    assert (payload['snapshot_id'], payload['volume_id']) == (row.id, volume_id)


def test_change_that_is_rolled_back_is_not_told(cloud, told):
    volume_id = cloud.volume()
    cloud.until(lambda: 'volume.create.end' in told.names())

    @session.writer
    def begin_and_fail(context):
        transition.move(context, states.MACHINE, volume_id, 'delete')
        raise ValueError

    with pytest.raises(ValueError):
        begin_and_fail(cloud.context)
    volumes.begin(cloud.context, volume_id, 'extend', 'be extended')
    cloud.until(lambda: 'volume.resize.start' in told.names())
    assert 'volume.delete.start' not in told.names()


def test_types_are_told(cloud, told):
    made = volume_types.create(cloud.context, {'name': 'gold'}, {'a': 'b'})
    volume_types.set_extra_specs(cloud.context, made.id, {'c': 'd'})
    limits = qos_specs.create(cloud.context, 'fast', 'both', {'total_iops_sec': '100'})
    qos_specs.associate(cloud.context, limits.id, made.id)
    qos_specs.disassociate_all(cloud.context, limits.id)
    volume_types.delete(cloud.context, made.id)
    cloud.until(lambda: 'volume_type.delete' in told.names())
    assert told.names() == [
        'volume_type.create', 'volume_type_extra_specs.create', 'qos_specs.create',
        'qos_specs.associate', 'qos_specs.disassociate_all', 'volume_type.delete']
    assert told.heard[0][2]['volume_types']['name'] == 'gold'
    assert told.heard[1][2] == {'type_id': made.id, 'specs': {'c': 'd'}}


def test_migration_is_told_from_its_start_to_its_end(cloud, told):
    volume_id = cloud.volume()
    record = cloud.migrate(volume_id, requested_policy='on-demand',
                           destination_type_id=cloud.types['beta'])
    cloud.until(lambda: 'volume.migrate.end' in told.names())
    heard = [each for each in told.heard if 'migration_id' in each[2]]
    assert [event for event, *_ in heard] == [
        'volume.migrate.start', 'volume.migrate.commit', 'volume.retype', 'volume.migrate.end']
    assert [payload['phase'] for *_, payload in heard] == [
        'scheduling', 'committed', 'committed', 'finished']
    last = heard[-1][2]
    assert (last['migration_id'], last['volume_id'], last['leftovers']) == (record.id, volume_id, 0)
    assert (last['destination_host'], last['error_code']) == (record.destination_host, None)
    assert last['destination_type'] == record.destination_type_id != last['source_type']


def test_migration_that_is_refused_is_told_as_an_error(cloud, told):
    volume_id = cloud.volume()
    cloud.snapshot(volume_id)
    record = cloud.migrate(volume_id, requested_policy='on-demand',
                           destination_type_id=cloud.types['beta'])
    assert record.phase == 'refused'
    cloud.until(lambda: 'volume.migrate.error' in told.names())
    payload = next(payload for event, _, payload in told.heard if event == 'volume.migrate.error')
    assert (payload['phase'], payload['error_code']) == ('refused', record.error_code)


def test_pause_resume_and_cancel_of_a_migration_are_told(cloud, told):
    volume_id = cloud.volume()
    record = volume_migrations.start(cloud.context, volume_id, {'operation': 'migrate'}, None)
    transition.move(cloud.context, migration_states.MACHINE, record.id, 'schedule')
    for act in (migration_actions.pause, migration_actions.resume, migration_actions.cancel):
        act(cloud.context, record.id)
    migration_actions.end_called_off(cloud.context, record.id)
    cloud.until(lambda: 'volume.migrate.cancel.end' in told.names())
    heard = [(event, payload['phase']) for event, _, payload in told.heard
             if 'migration_id' in payload]
    assert heard == [
        ('volume.migrate.start', 'scheduling'), ('volume.migrate.pause', 'paused'),
        ('volume.migrate.resume', 'preflight'), ('volume.migrate.cancel.start', 'cancelling'),
        ('volume.migrate.cancel.end', 'cancelled')]


def test_what_lies_at_a_backend_is_counted_and_not_named(cloud, told):
    volume_id = cloud.volume()
    record = volume_migrations.start(cloud.context, volume_id, {'operation': 'migrate'}, None)
    volume_migrations.note_leftover(cloud.context, record.id, {
        'host': 'node@alpha#alpha', 'kind': 'volume', 'name_id': 'name-at-the-backend',
        'size_bytes': 1, 'reason': 'busy'})
    volume_migrations.fail(cloud.context, record.id, 'fail', 'secret-of-a-backend', 'code', '')
    cloud.until(lambda: 'volume.migrate.error' in told.names())
    payload = next(payload for event, _, payload in told.heard if event == 'volume.migrate.error')
    assert (payload['leftovers'], payload['error_code'], payload['phase']) == (1, 'code', 'failed')
    said = repr(told.heard) + repr(told.contexts)
    assert 'name-at-the-backend' not in said
    assert 'secret-of-a-backend' not in said


def test_a_failover_is_told_by_resource_by_operation_and_by_volume(cloud, told):
    volume_id = cloud.volume()
    row = replication_rows.protect(cloud.context, volume_id)
    replication_rows.ship(cloud.context, row)
    operation = replication_operations.create(
        cloud.context, {'verb': 'failover', 'replication_id': row.id})
    replication_operations.run(cloud.context, operation.id)
    replication_failover.begin(cloud.context, operation.id)
    replication_failover.take_members(cloud.context, operation.id)
    replication_failover.store_location(cloud.context, operation.id, volume_id, 'side:secret')
    replication_failover.failed_over(cloud.context, operation.id, volume_id)
    replication_failover.settle(cloud.context, operation.id, row.id, False)
    replication_operations.close(cloud.context, operation.id)
    cloud.until(lambda: 'replication_operation.end' in told.names())
    assert told.names()[2:] == [
        'replication.enable.start', 'volume.replication.enable.start', 'replication.enable.end',
        'volume.replication.enable.end', 'replication_operation.create',
        'replication_operation.start', 'replication.failover.start',
        'volume.replication.failover.start', 'volume.replication.failover.end',
        'replication_operation.member.end', 'replication.failover.end', 'replication_operation.end']
    payloads = {name: payload for name, _publisher, payload in told.heard}
    started = payloads['volume.replication.failover.start']
    assert (started['replication_status'], started['status']) == ('failing-over', 'available')
    assert payloads['replication.failover.start']['state'] == 'failing-over'
    assert payloads['replication_operation.member.end']['volume_id'] == volume_id
    publishers = {publisher for _name, publisher, _payload in told.heard[2:]}
    assert publishers == {'volume.node@alpha', 'replication.node@alpha',
                          'replication_operation.node@alpha',
                          'replication_operation.member.node@alpha'}
    assert 'side:secret' not in str(told.heard)


def test_a_volume_that_goes_to_another_cloud_and_comes_back_is_told(cloud, told):
    volume_id = cloud.volume()
    replica_handover.release(cloud.context, volume_id, 2, 'other', {'name_id': volume_id})
    replica_handover.adopt(cloud.context, [{
        'values': {'id': volume_id, 'project_id': 'project', 'user_id': 'user', 'size': 1,
                   'host': 'node@alpha#alpha'},
        'metadata': {}, 'admin_metadata': {}, 'image_metadata': {}, 'epoch': 3, 'snapshots': [],
        'created_at': datetime.datetime(2026, 1, 2)}])
    cloud.until(lambda: 'volume.import_replica.end' in told.names())
    assert told.names()[2:] == [
        'volume.unmanage.start', 'volume.unmanage.end', 'volume.import_replica.end']
