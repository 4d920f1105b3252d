"""What RabbitMQ is asked for, unless the configuration says otherwise."""
# SPDX-License-Identifier: Apache-2.0

import uuid

import amqp
import kombu
import oslo_messaging
import pytest
import servers
from oslo_config import cfg

from cinder_ext import context
from cinder_ext.rpc import transport as rpc_transport

EXPIRES_MS = 1800 * 1000
"""Default of the option rabbit_transient_queues_ttl."""


class Endpoint:
    """Answers."""

    target = oslo_messaging.Target(version='1.0')

    def whoami(self, ctxt):
        return 'one'


@pytest.fixture(params=servers.transport_urls(), ids=servers.kind)
def url(request):
    return request.param


@pytest.fixture
def transport(url):
    conf = cfg.ConfigOpts()
    conf([], project='cinder_ext', default_config_files=[], default_config_dirs=[])
    opened = rpc_transport.open_transport(conf, url)
    yield opened
    opened.cleanup()


@pytest.fixture
def topic(transport):
    """A topic with a server ``one`` that has been called once."""
    name = f'rabbitmq-{uuid.uuid4().hex}'
    server = rpc_transport.get_server(oslo_messaging.Target(topic=name, server='one'), [Endpoint()],
                                      transport=transport)
    server.start()
    client = rpc_transport.get_client(oslo_messaging.Target(topic=name), timeout_seconds=10,
                                      transport=transport)
    assert client.call(context.admin_context(), 'whoami') == 'one'
    yield name
    server.stop()
    server.wait()


def _declare(connection, name, kind, durable=True, **more):
    return connection.channel().queue_declare(
        name, durable=durable, auto_delete=False, arguments={'x-queue-type': kind, **more})


def test_queues_of_topics_and_servers_are_quorum_queues(url, topic):
    with kombu.Connection(url.replace('rabbit://', 'amqp://')) as connection:
        for name in (topic, f'{topic}.one'):
            assert _declare(connection, name, 'quorum').queue == name
            # The broker refuses to declare again as something else.
            with pytest.raises(amqp.PreconditionFailed, match="received 'classic'"):
                _declare(connection, name, 'classic')


def test_queue_of_replies_dies_with_the_broker_and_expires(url, topic, transport):
    """Its listener makes it again; a quorum queue may be left without a leader."""
    name, expires = transport._driver._reply_q, {'x-expires': EXPIRES_MS}
    with kombu.Connection(url.replace('rabbit://', 'amqp://')) as connection:
        assert _declare(connection, name, 'classic', durable=False, **expires).queue == name
        with pytest.raises(amqp.PreconditionFailed, match="'durable'"):
            _declare(connection, name, 'classic', **expires)


def test_queues_of_replies_are_quorum_queues_where_the_configuration_says_so(url):
    conf = cfg.ConfigOpts()
    conf([], project='cinder_ext', default_config_files=[], default_config_dirs=[])
    transport = rpc_transport.open_transport(conf, url)
    try:
        conf.set_override('rabbit_transient_quorum_queue', True, group=rpc_transport.RABBIT_GROUP)
        name = transport._driver._get_reply_q()
        with kombu.Connection(url.replace('rabbit://', 'amqp://')) as connection:
            assert _declare(connection, name, 'quorum', **{'x-expires': EXPIRES_MS}).queue == name
    finally:
        transport.cleanup()
