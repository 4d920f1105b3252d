"""The API in this process, on a real database and a real RPC wire.

The scheduler and one backend are small endpoints that do at once what the real
ones would do in their time; what they are told goes over ``local://``.
"""
# SPDX-License-Identifier: Apache-2.0

import datetime
import os
import pathlib
import shutil
import sys
import tempfile
import types
import unittest
import uuid

import oslo_messaging
import pytest
import replica_answers
import replicated_things
import sqlalchemy as sa
from gabbi import driver, fixture, reporter
from gabbi.handlers import base, jsonhandler

from cinder_ext import context, exceptions
from cinder_ext.api import app
from cinder_ext.conf import options
from cinder_ext.db import (
    attachments,
    group_snapshots,
    group_types,
    groups,
    managed,
    messages,
    models,
    reverts,
    schema,
    services,
    session,
    snapshots,
    transition,
    volume_migrations,
    volume_requests,
    volume_types,
    volumes,
)
from cinder_ext.rpc import control, replication, scheduler, transport, volume
from cinder_ext.states import messages as catalogue
from cinder_ext.states import migration as migration_states
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as volume_states
from cinder_ext.volume.manage import pages

PROJECT = '0123456789abcdef0123456789abcdef'
HOST = 'node@alpha#alpha'


class Scheduler:
    """Places every volume on one backend and makes it there; migrations wait for a test."""

    target = oslo_messaging.Target(version='1.1')

    def create_volume(self, ctxt, volume_id):
        volumes.update(ctxt, volume_id, {'host': HOST})
        transition.move(ctxt, volume_states.MACHINE, volume_id, 'created')

    def manage_volume(self, ctxt, volume_id):
        managed.place(ctxt, volume_id, HOST)
        managed.measure(ctxt, volume_id, 3)
        transition.move(ctxt, volume_states.MACHINE, volume_id, 'managed')

    def place_migration(self, ctxt, migration_id):
        volume_migrations.update(ctxt, migration_id, {'method': 'copy'})

    def preview_migration(self, ctxt, request):
        """Passes, and says what it was asked."""
        asked = ', '.join(f'{name}={request[name]}' for name in sorted(request))
        return {'passed': True, 'destination_host': 'node@beta#beta', 'method': 'copy',
                'bytes_total': 7, 'checks': [
                    {'name': 'asked', 'passed': True, 'detail': asked, 'remedy': ''}]}

    def create_group(self, ctxt, group_id):
        groups.place(ctxt, group_id, HOST, 'nova')
        groups.created(ctxt, group_id)

    def get_pools(self, ctxt, detail, filters):
        pools = [{'name': name} for name in (HOST, 'node@beta#beta')
                 if filters.get('name', name) == name]
        if detail:
            for pool in pools:
                pool['capabilities'] = {
                    'free_capacity_gb': 10, 'backend_state': 'up',
                    'replication_target_details': [
                        {'backend_id': 'far', 'modes': ['sync', 'async'], 'cross_os': True},
                        {'backend_id': 'dr', 'modes': ['async'], 'cross_os': False}]}
        return pools


class Connections:
    """A backend that connects whatever host is not ``broken``."""

    target = oslo_messaging.Target(version='1.0')

    def connect_attachment(self, ctxt, attachment_id):
        if attachments.get(ctxt, attachment_id).attached_host == 'broken':
            attachments.connect_failed(ctxt, attachment_id)
            raise exceptions.BackendDown(reason='the host is broken')
        info = {'driver_volume_type': 'local', 'device_path': '/volumes/it'}
        attachments.store_connection(ctxt, attachment_id, info)
        return info

    def disconnect_attachment(self, ctxt, attachment_id):
        attachments.detached(ctxt, attachment_id)

    def initialize_connection(self, ctxt, volume_id, connector):
        return {'driver_volume_type': 'local', 'data': {'device_path': '/volumes/it',
                                                        'host': connector.get('host')}}

    def terminate_connection(self, ctxt, volume_id, connector):
        """There is nothing to take back."""


class Backend(Connections):
    """Does at once what it is told, in the database only."""

    def get_capabilities(self, ctxt):
        return {'vendor_name': 'nobody', 'pool_name': None, 'secret': 'not shown',
                'replication_targets': ['dr'],
                'replication_target_details': [{'backend_id': 'dr', 'modes': ['async']}]}

    def get_manageable_volumes(self, ctxt, page):
        found = [{'reference': {'source-name': name}, 'size': 1, 'safe_to_manage': True,
                  'reason_not_safe': None, 'cinder_id': None, 'extra_info': None}
                 for name in ('b', 'a')]
        return pages.page(found, **page)

    def get_manageable_snapshots(self, ctxt, page):
        return [{**entry, 'source_reference': {}}
                for entry in self.get_manageable_volumes(ctxt, page)]

    def manage_snapshot(self, ctxt, snapshot_id):
        transition.move(ctxt, snapshot_states.MACHINE, snapshot_id, 'created')

    def unmanage_volume(self, ctxt, volume_id):
        volumes.mark_deleted(ctxt, volume_id)

    def unmanage_snapshot(self, ctxt, snapshot_id):
        snapshots.mark_deleted(ctxt, snapshot_id)

    def delete_volume(self, ctxt, volume_id):
        volumes.mark_deleted(ctxt, volume_id)

    def delete_snapshot(self, ctxt, snapshot_id):
        snapshots.mark_deleted(ctxt, snapshot_id)

    def extend_volume(self, ctxt, volume_id, new_size_gib):
        volumes.update(ctxt, volume_id, {'size': new_size_gib})
        transition.move(ctxt, volume_states.MACHINE, volume_id, 'extended')

    def revert_volume(self, ctxt, volume_id):
        reverts.done(ctxt, *reverts.origin(ctxt, volume_id))

    def create_group(self, ctxt, group_id):
        for volume_id, _status in groups.members(ctxt, group_id):
            transition.try_move(ctxt, volume_states.MACHINE, volume_id, 'created')
        groups.created(ctxt, group_id)

    def delete_group(self, ctxt, group_id):
        for volume_id, _status in groups.members(ctxt, group_id):
            volumes.mark_deleted(ctxt, volume_id)
        groups.mark_deleted(ctxt, group_id)

    def create_group_snapshot(self, ctxt, group_snapshot_id):
        members = snapshots.of_group_snapshot(ctxt, group_snapshot_id)
        group_snapshots.created(ctxt, group_snapshot_id, {each.id: None for each in members})

    def delete_group_snapshot(self, ctxt, group_snapshot_id):
        for each in snapshots.of_group_snapshot(ctxt, group_snapshot_id):
            snapshots.mark_deleted(ctxt, each.id)
        group_snapshots.mark_deleted(ctxt, group_snapshot_id)


class Cloud:
    """Starts and stops the whole of it; ``application`` is the API."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix='cinder-ext-api-')
        self.conf = options.new()
        options.parse(self.conf, [])
        self.conf.set_override('auth_strategy', 'noauth')
        self.conf.set_override('max_request_body_bytes', 4096, 'api')
        for option in ('quota_volumes', 'quota_snapshots', 'quota_gigabytes', 'quota_groups'):
            self.conf.set_override(option, -1)
        self.conf.set_override('connection', f'sqlite:///{self.directory}/api.db', 'database')
        self._servers = []
        self.swept = {}
        self.application = None

    def start(self):
        session.configure(self.conf)
        schema.sync()
        transport.init(self.conf, f'local:///{uuid.uuid4()}')
        for topic, server, endpoint in (
                (transport.SCHEDULER_TOPIC, 'node', Scheduler()),
                (transport.VOLUME_TOPIC, 'node@alpha', Backend())):
            self.serve(topic, server, endpoint)
        rpc = types.SimpleNamespace(scheduler=scheduler.SchedulerAPI(self.conf),
                                    volume=volume.VolumeAPI(self.conf),
                                    control=control.ControlAPI(self.conf),
                                    replication=replication.ReplicationAPI(self.conf))
        self.application = app.build(self.conf, rpc)

    def serve(self, topic, server, endpoint):
        self.swept[server] = 0
        self._servers.append(transport.get_server(
            oslo_messaging.Target(topic=topic, server=server),
            [endpoint, control.ControlEndpoint(lambda: self._sweep(server))]))
        self._servers[-1].start()

    def _sweep(self, server):
        self.swept[server] += 1

    def stop(self):
        for server in self._servers:
            server.stop()
            server.wait()
        transport.cleanup()
        session.dispose()
        shutil.rmtree(self.directory)


class CloudFixture(fixture.GabbiFixture):
    """A cloud of its own for a YAML file: types ``alpha`` and ``beta``, two backends."""

    current = None

    def start_fixture(self):
        self.cloud = CloudFixture.current = Cloud()
        self.cloud.start()
        self.ctxt = context.RequestContext(
            user_id='user', project_id=PROJECT, roles=['admin'], is_admin=True, overwrite=False)
        for name in ('alpha', 'beta'):
            services.heartbeat(self.ctxt, 'cinder-volume', f'node@{name}', transport.VOLUME_TOPIC,
                               'nova')
            row = volume_types.create(self.ctxt, {'name': name}, {'volume_backend_name': name})
            os.environ[f'TYPE_{name.upper()}'] = row.id
        os.environ['PROJECT'] = PROJECT

    def stop_fixture(self):
        self.cloud.stop()


class VolumeFixture(CloudFixture):
    """And one available volume with one snapshot: $ENVIRON VOLUME, SNAPSHOT; OTHER has none."""

    def start_fixture(self):
        super().start_fixture()
        self.volume_id = self.volume('with-snapshot')
        snapshot = snapshots.create(self.ctxt, {'volume_id': self.volume_id, 'name': 'first'})
        transition.move(self.ctxt, snapshot_states.MACHINE, snapshot.id, 'created')
        os.environ['VOLUME'], os.environ['SNAPSHOT'] = self.volume_id, snapshot.id
        os.environ['OTHER'] = self.volume('without-snapshot')
        self.snapshot_id = snapshot.id

    def volume(self, name):
        row = volumes.create(self.ctxt, {
            'project_id': PROJECT, 'user_id': 'user', 'size': 2, 'host': HOST, 'name': name,
            'volume_type_id': os.environ['TYPE_ALPHA'], 'availability_zone': 'nova'},
            {'kept': 'yes'})
        transition.move(self.ctxt, volume_states.MACHINE, row.id, 'created')
        return row.id


class QuotaFixture(VolumeFixture):
    """And the limits are as shipped, and project fed has a volume that is the service's own."""

    def start_fixture(self):
        super().start_fixture()
        for option in ('quota_volumes', 'quota_snapshots', 'quota_gigabytes', 'quota_groups'):
            self.cloud.conf.clear_override(option)
        volumes.create(self.ctxt, {'project_id': 'fed', 'user_id': 'service', 'size': 7,
                                   'consumes_quota': False}, {'hidden': 'yes'})


class AttachedFixture(VolumeFixture):
    """And the volume without snapshots is attached: $ENVIRON SERVER, ATTACHMENT."""

    def start_fixture(self):
        super().start_fixture()
        os.environ['SERVER'] = server = str(uuid.uuid4())
        attachment = attachments.reserve(self.ctxt, os.environ['OTHER'], server)
        attachments.connect(self.ctxt, attachment.id, {'host': 'compute'})
        attachments.complete(self.ctxt, attachment.id)
        os.environ['ATTACHMENT'] = attachment.id


class MigratingFixture(VolumeFixture):
    """And the volume is being copied, 42 percent: $ENVIRON MIGRATION."""

    def start_fixture(self):
        super().start_fixture()
        record = volume_migrations.start(self.ctxt, self.volume_id, {
            'operation': 'retype', 'requested_policy': 'on-demand-include-snapshots',
            'include_snapshots': True, 'destination_type_id': os.environ['TYPE_BETA'],
            'destination_host': 'node@beta#beta'}, 'retype')
        transition.move(self.ctxt, migration_states.MACHINE, record.id, 'schedule')
        volume_migrations.save_plan(self.ctxt, record.id, [
            {'snapshot_id': self.snapshot_id, 'size_bytes': 2 << 30, 'bytes_total': 1000,
             'bytes_done': 840, 'source_name_id': self.snapshot_id,
             'destination_name_id': str(uuid.uuid4())},
            {'snapshot_id': None, 'size_bytes': 2 << 30, 'bytes_total': 1000,
             'source_name_id': self.volume_id, 'destination_name_id': str(uuid.uuid4())}],
            {'bytes_total': 2000, 'bytes_done': 840, 'percent': 42, 'bytes_per_second': 10})
        os.environ['MIGRATION'] = record.id


class ReplicaFixture(VolumeFixture):
    """And backend node@alpha replicates; node@beta gives no sign of life; NOWHERE is on none."""

    def start_fixture(self):
        super().start_fixture()
        self.cloud.serve(transport.REPLICATION_TOPIC, 'node@alpha', replica_answers.Replicas())
        session.writer(lambda context: context.session.execute(
            sa.update(models.Service).where(models.Service.host == 'node@beta')
            .values(updated_at=datetime.datetime(2020, 1, 1))))(self.ctxt)
        os.environ['NOWHERE'] = volumes.create(self.ctxt, {
            'project_id': PROJECT, 'user_id': 'user', 'size': 1}).id


class Patient(Connections):
    """A backend whose snapshots wait for a report."""

    def create_snapshot(self, ctxt, snapshot_id):
        """It stays ``creating``."""

    def delete_snapshot(self, ctxt, snapshot_id):
        """It stays ``deleting``."""


def number(count):
    """A UUID that a YAML file can name."""
    return f'00000000-0000-4000-8000-{count:012}'


class RowsFixture(CloudFixture):
    """And rows with numbers for ids, on the backend ``node@rows``.

    Volumes: 1 available, 2 in use, 3 in error, 4 multiattach, 5 migrating by migration 55 and
    with snapshot 50, 6 of another project with snapshot 60, 7 with a snapshot that is hidden.
    Types ``standard``, the default one, and ``secret``; three messages; a scheduler.
    """

    OTHER_PROJECT = 'fedcba9876543210fedcba9876543210'

    def start_fixture(self):
        super().start_fixture()
        self.cloud.conf.set_override('default_volume_type', 'standard')
        self.cloud.serve(transport.VOLUME_TOPIC, 'node@rows', Patient())
        self._volumes()
        services.heartbeat(self.ctxt, 'cinder-scheduler', 'node', transport.SCHEDULER_TOPIC, 'nova')
        for name, is_public in (('standard', True), ('secret', False)):
            volume_types.create(self.ctxt, {'name': name, 'is_public': is_public},
                                {'volume_backend_name': 'rows', 'multiattach': '<is> False'})
        for project_id, volume_id in ((PROJECT, 1), (PROJECT, 2), (self.OTHER_PROJECT, 6)):
            messages.create(self.ctxt, project_id, 'req-1', 'VOLUME', number(volume_id),
                            catalogue.EXTEND_VOLUME, catalogue.DRIVER_FAILED_EXTEND)

    def _volumes(self):
        for count, status, columns in (
                (1, 'available', {}), (2, 'in-use', {}), (3, 'error', {}),
                (4, 'available', {'multiattach': True}), (5, 'available', {}),
                (6, 'available', {'project_id': self.OTHER_PROJECT}), (7, 'available', {})):
            volumes.create(self.ctxt, {
                'id': number(count), 'project_id': PROJECT, 'user_id': 'admin', 'size': 1,
                'host': 'node@rows#rows', **columns})
            transition.force(self.ctxt, volume_states.MACHINE, number(count), status)
        snapshots.create(self.ctxt, {'volume_id': number(7), 'consumes_quota': False,
                                     'name': 'hidden'})
        for volume_id, snapshot_id in ((6, 60), (5, 50)):
            snapshots.create(self.ctxt, {'volume_id': number(volume_id), 'id': number(snapshot_id)})
            volume_requests.reset_snapshot_status(self.ctxt, number(snapshot_id), 'available')
        volume_migrations.start(self.ctxt, number(5), {'operation': 'migrate', 'id': number(55)}, None)


class GroupFixture(RowsFixture):
    """And groups: 100 with volume 101 and the group snapshot 110 (snapshot 111), 120 of another
    project with the group snapshot 121, 130 in error and without a host.  Group types ``plain``
    (the default one) and ``hidden``; their ids and that of a volume type are in $ENVIRON.
    """

    def start_fixture(self):
        super().start_fixture()
        self.cloud.conf.set_override('default_group_type', 'plain')
        for name, is_public in (('plain', True), ('hidden', False)):
            row = group_types.create(self.ctxt, {'name': name, 'is_public': is_public},
                                     {'consistent_group_snapshot_enabled': '<is> False'})
            os.environ[f'GROUP_TYPE_{name.upper()}'] = row.id
        self._group(100)
        volumes.create(self.ctxt, {
            'id': number(101), 'project_id': PROJECT, 'user_id': 'admin', 'size': 1, 'host': HOST,
            'volume_type_id': os.environ['TYPE_ALPHA'], 'group_id': number(100)})
        transition.move(self.ctxt, volume_states.MACHINE, number(101), 'created')
        group_snapshots.create(self.ctxt, number(100), {'id': number(110), 'user_id': 'admin'})
        member = snapshots.of_group_snapshot(self.ctxt, number(110))[0].id
        os.environ['MEMBER'] = member
        group_snapshots.created(self.ctxt, number(110), {member: None})
        self._group(120, project_id=self.OTHER_PROJECT)
        group_snapshots.create(self.ctxt, number(120), {'id': number(121), 'user_id': 'admin'})
        self._group(130, host=None)
        groups.reset_status(self.ctxt, number(130), 'error')

    def _group(self, count, **more):
        groups.create(self.ctxt, {
            'id': number(count), 'project_id': PROJECT, 'user_id': 'admin', 'host': HOST,
            'name': f'group {count}', 'group_type_id': os.environ['GROUP_TYPE_PLAIN'],
            'availability_zone': 'nova', **more}, [os.environ['TYPE_ALPHA']])
        groups.created(self.ctxt, number(count))


class ReplicatedFixture(GroupFixture):
    """And what replicated_things.py makes."""

    def start_fixture(self):
        super().start_fixture()
        replicated_things.Things(self.ctxt, PROJECT, self.OTHER_PROJECT, os.environ['TYPE_ALPHA'],
                                 os.environ['GROUP_TYPE_PLAIN'])


class OldReplicationFixture(GroupFixture):
    """And what replicated_things.Old makes."""

    def start_fixture(self):
        super().start_fixture()
        replicated_things.Old(self.ctxt, PROJECT)


@pytest.fixture
def cloud():
    """A running cloud with nothing in it."""
    found = Cloud()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def known():
    """Ids and names that exist; of the volumes one has a snapshot and one is attached."""
    found = AttachedFixture()
    found.start_fixture()
    yield [os.environ['VOLUME'], os.environ['OTHER'], os.environ['SNAPSHOT'],
           os.environ['TYPE_BETA'], 'kept']
    found.stop_fixture()


@pytest.fixture
def application(known):
    """The API of the cloud where ``known`` is."""
    return CloudFixture.current.application


class KeysHandler(base.ResponseHandler):
    """``response_keys``: JSON path of an object -> all its keys, sorted."""

    test_key_suffix = 'keys'
    test_key_value = {}

    def action(self, test, item, value=None):
        found = jsonhandler.JSONHandler.extract_json_path_value(test.response_data, item)
        assert value == sorted(found), f'{item} has other keys'


def _application(environ, start_response):
    return CloudFixture.current.application(environ, start_response)


@pytest.fixture(scope='module')
def suite(request):
    """A YAML file's fixtures are started before its first request and stopped after its last."""
    request.param.start(reporter.PyTestResult(), [])
    yield request.param
    request.param.stop()


def pytest_generate_tests(metafunc):
    # Not gabbi's own generator: its plugin takes every test whose id has a colon for its own.
    if 'suite' not in metafunc.fixturenames:
        return
    suites = driver.build_tests(
        str(pathlib.Path(__file__).with_name('gabbits')), unittest.TestLoader(),
        intercept=lambda: _application, response_handlers=[KeysHandler],
        fixture_module=sys.modules[__name__], test_loader_name='gabbits')
    pairs = [(suite, each) for suite in suites for each in suite]
    metafunc.parametrize(('suite', 'request_of_suite'), pairs, indirect=['suite'], scope='module',
                         ids=[type(each).__name__ for _suite, each in pairs])
