"""The resources over HTTP, as the YAML files below resources/ say.

The database is real, and so are the messages; at their other end stands a
backend that connects whatever host is not called ``broken``.
"""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import sys
import tempfile
import types

import oslo_messaging
from gabbi import driver, fixture
from gabbi.driver import test_pytest  # noqa: F401

from cinder_ext import context, exceptions
from cinder_ext.api import app
from cinder_ext.conf import options
from cinder_ext.db import (
    attachments,
    messages,
    models,
    schema,
    services,
    session,
    snapshots,
    volume_migrations,
    volume_types,
)
from cinder_ext.rpc import scheduler, transport, volume
from cinder_ext.states import messages as catalogue

HERE = pathlib.Path(__file__).parent
PROJECT = '0123456789abcdef0123456789abcdef'
OTHER_PROJECT = 'fedcba9876543210fedcba9876543210'
HOST = 'node@alpha'


def _uuid(number):
    return f'00000000-0000-4000-8000-{number:012}'


class _Backend:
    """The volume service's side of the attachments."""

    target = oslo_messaging.Target(version='1.0')

    def connect_attachment(self, ctxt, attachment_id):
        connector = attachments.get(ctxt, attachment_id).connector
        if connector['host'] == 'broken':
            attachments.connect_failed(ctxt, attachment_id)
            raise exceptions.ServiceUnavailable(reason='the host is broken')
        info = {'driver_volume_type': 'local', 'device_path': '/volumes/it'}
        attachments.store_connection(ctxt, attachment_id, info)
        return info

    def disconnect_attachment(self, ctxt, attachment_id):
        attachments.detached(ctxt, attachment_id)

    def create_snapshot(self, ctxt, snapshot_id):
        """It stays ``creating``: the YAML says when it is done."""

    def delete_snapshot(self, ctxt, snapshot_id):
        """It stays ``deleting``."""


class _Running:
    """What runs while one YAML file is tested."""

    application = None


class Service(fixture.GabbiFixture):
    """The API on a database of its own, with the rows that the files name."""

    def start_fixture(self):
        self.directory = tempfile.TemporaryDirectory()
        conf = options.new()
        options.parse(conf, [])
        conf.set_override('connection', f'sqlite:///{self.directory.name}/api.db', 'database')
        conf.set_override('auth_strategy', 'noauth')
        conf.set_override('default_volume_type', 'standard')
        session.configure(conf)
        schema.sync()
        _seed(context.admin_context())
        transport.init(conf, 'local://')
        self.server = transport.get_server(
            oslo_messaging.Target(topic=transport.VOLUME_TOPIC, server=HOST), [_Backend()])
        self.server.start()
        _Running.application = app.build(conf, types.SimpleNamespace(
            scheduler=scheduler.SchedulerAPI(conf), volume=volume.VolumeAPI(conf)))

    def stop_fixture(self):
        self.server.stop()
        self.server.wait()
        transport.cleanup()
        session.dispose()
        self.directory.cleanup()


def _seed(ctxt):
    _seed_volumes(ctxt)
    services.heartbeat(ctxt, 'cinder-ext-volume', HOST, 'cinder-ext-volume', 'nova')
    services.heartbeat(ctxt, 'cinder-ext-scheduler', 'node', 'cinder-ext-scheduler', 'nova')
    for name, is_public in (('standard', True), ('secret', False)):
        volume_types.create(ctxt, {'name': name, 'is_public': is_public},
                            {'volume_backend_name': 'alpha', 'multiattach': '<is> False'})
    for project_id, resource in ((PROJECT, 1), (PROJECT, 2), (OTHER_PROJECT, 6)):
        messages.create(ctxt, project_id, 'req-1', 'VOLUME', _uuid(resource),
                        catalogue.EXTEND_VOLUME, catalogue.DRIVER_FAILED_EXTEND)


def _seed_volumes(ctxt):
    _insert_volumes(ctxt, (
        (1, 'available', {}), (2, 'in-use', {}), (3, 'error', {}),
        (4, 'available', {'multiattach': True}), (5, 'available', {}),
        (6, 'available', {'project_id': OTHER_PROJECT}), (7, 'available', {})))
    snapshots.create(ctxt, {'volume_id': _uuid(7), 'consumes_quota': False, 'name': 'hidden'})
    snapshots.create(ctxt, {'volume_id': _uuid(6), 'id': _uuid(60)})
    snapshots.create(ctxt, {'volume_id': _uuid(5), 'id': _uuid(50)})
    snapshots.reset_status(ctxt, _uuid(50), 'available')
    volume_migrations.start(ctxt, _uuid(5), {'operation': 'migrate', 'id': _uuid(55)}, None)


@session.writer
def _insert_volumes(ctxt, volumes):
    for number, status, columns in volumes:
        ctxt.session.add(models.Volume(**{
            'id': _uuid(number), 'project_id': PROJECT, 'user_id': 'admin', 'size': 1,
            'status': status, 'attach_status': 'detached', 'host': f'{HOST}#alpha', **columns}))


def _application(environ, start_response):
    return _Running.application(environ, start_response)


def pytest_generate_tests(metafunc):
    driver.py_test_generator(
        str(HERE / 'resources'), intercept=lambda: _application, metafunc=metafunc,
        fixture_module=sys.modules[__name__], test_loader_name=__name__)
