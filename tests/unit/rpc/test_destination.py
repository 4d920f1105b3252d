"""What the source hears when a call of the destination fails."""
# SPDX-License-Identifier: Apache-2.0

import uuid

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_db import exception as oslo_db_exception

from cinder_ext import context, exceptions
from cinder_ext.drivers import values
from cinder_ext.objects import base
from cinder_ext.rpc import destination, transport

HOST = 'host@beta'


class Endpoint:
    """Fails as it was told."""

    target = oslo_messaging.Target(namespace=destination.NAMESPACE, version=destination.VERSION)

    def __init__(self):
        self.fault = None

    def delete(self, context, volume, fence=None):
        raise self.fault

    def examine(self, context):
        raise self.fault


@pytest.fixture(params=['now', 'before'])
def served(request):
    """An Endpoint; also as a service of a version before serves it, which knows no DatabaseAway."""
    conf = cfg.ConfigOpts()
    conf([], project='cinder_ext', default_config_files=[], default_config_dirs=[])
    transport.init(conf, f'local:///{uuid.uuid4().hex}')
    target, made = oslo_messaging.Target(topic=transport.VOLUME_TOPIC, server=HOST), Endpoint()
    if request.param == 'now':
        server = transport.get_server(target, [made])
    else:
        server = oslo_messaging.get_rpc_server(
            transport.get_transport(), target, [made], serializer=transport.ContextSerializer(),
            server_cls=transport.Server)
    server.start()
    yield made
    server.stop()
    server.wait()
    transport.cleanup()


class Before:
    """Serves what a service of version 1.1 does."""

    target = oslo_messaging.Target(namespace=destination.NAMESPACE, version='1.1')

    def create_snapshot(self, context, snapshot, fence=None):
        return 'here'


@pytest.fixture
def api():
    return destination.DestinationAPI(lambda: 6)


@pytest.fixture
def ctxt():
    return context.RequestContext(user_id='u', project_id='p', overwrite=False)


@pytest.mark.parametrize('fault', [
    oslo_db_exception.DBConnectionError(), oslo_db_exception.CantStartEngineError()],
    ids=lambda fault: type(fault).__name__)
def test_a_database_that_is_away_there_is_no_fault_of_the_backend(served, api, ctxt, fault):
    served.fault = fault
    with pytest.raises(exceptions.DatabaseAway) as raised:
        api.delete(ctxt, HOST, values.Volume('name', values.GIB))
    assert not isinstance(raised.value, exceptions.DriverError)
    with pytest.raises(exceptions.DatabaseAway):
        api.examine(ctxt, HOST)


@pytest.mark.parametrize(('fault', 'kind'), [
    (exceptions.NoSpace(reason='full'), exceptions.NoSpace),
    (exceptions.RecordLost(id='m', phase='copying', expected='x'), exceptions.RecordLost),
    (TypeError('a programming error'), exceptions.DriverError),
    (oslo_db_exception.DBDataError(), exceptions.DriverError)],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__)
def test_every_other_fault_is_one(served, api, ctxt, fault, kind):
    served.fault = fault
    with pytest.raises(kind):
        api.delete(ctxt, HOST, values.Volume('name', values.GIB))


def test_a_service_of_before_is_asked_what_it_knows(ctxt):
    conf = cfg.ConfigOpts()
    conf([], project='cinder_ext', default_config_files=[], default_config_dirs=[])
    transport.init(conf, f'local:///{uuid.uuid4().hex}')
    server = transport.get_server(
        oslo_messaging.Target(topic=transport.VOLUME_TOPIC, server=HOST), [Before()],
        serializer=transport.ContextSerializer(base.Serializer()))
    server.start()
    snapshot = values.Snapshot('name', 'volume', values.GIB)
    try:
        api = destination.DestinationAPI(lambda: 6)
        assert api.create_snapshot(ctxt, HOST, snapshot) == 'here'
        for call in (lambda: api.create_snapshot_unflushed(ctxt, HOST, snapshot),
                     lambda: api.flush_snapshots(ctxt, HOST, [snapshot])):
            with pytest.raises(exceptions.NotCapable):
                call()
    finally:
        server.stop()
        server.wait()
        transport.cleanup()
