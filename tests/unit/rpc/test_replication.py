"""Who hears what is asked of replication: over the in-process transport."""
# SPDX-License-Identifier: Apache-2.0

import queue
import uuid

import oslo_messaging
import pytest

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.conf import options
from cinder_ext.rpc import transport
from cinder_ext.rpc.replication import ReplicationAPI


class _Ear:
    target = oslo_messaging.Target(version='1.0')

    def __init__(self):
        self.heard = queue.Queue()

    def look(self, ctxt):
        self.heard.put('look')

    def examine_replica(self, ctxt, request):
        if not request:
            raise exceptions.BackendDown(reason='it is cut off')
        return {'asked': request}


@pytest.fixture
def conf():
    made = options.new()
    options.parse(made, [])
    transport.init(made, f'local:///{uuid.uuid4()}')
    yield made
    transport.cleanup()


@pytest.fixture
def ears(conf):
    found, servers = {}, []
    for host in ('node@alpha', 'node@beta'):
        found[host] = _Ear()
        servers.append(transport.get_server(
            oslo_messaging.Target(topic=transport.REPLICATION_TOPIC, server=host), [found[host]]))
        servers[-1].start()
    yield found
    for server in servers:
        server.stop()
        server.wait()


def test_one_service_is_asked_to_look(conf, ears):
    ReplicationAPI(conf).look(request_context.admin_context(), 'node@beta#pool')
    assert ears['node@beta'].heard.get(timeout=5) == 'look'
    assert ears['node@alpha'].heard.empty()


def test_every_service_is_asked_to_look_when_none_is_named(conf, ears):
    ReplicationAPI(conf).look(request_context.admin_context())
    assert [ear.heard.get(timeout=5) for ear in ears.values()] == ['look', 'look']


def test_call_brings_back_what_the_backend_said_or_why_it_did_not(conf, ears):
    api, context = ReplicationAPI(conf), request_context.admin_context()
    assert api.examine_replica(context, 'node@alpha', {'name_id': 'x'}) == {
        'asked': {'name_id': 'x'}}
    with pytest.raises(exceptions.BackendDown, match='cut off'):
        api.examine_replica(context, 'node@alpha', {})
