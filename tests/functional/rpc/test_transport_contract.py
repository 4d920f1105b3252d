"""What every transport must do, whatever carries the messages.

The tests run on ``local://`` always, and on each broker of which
tools/servers.py knows.
"""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import queue
import statistics
import threading
import time
import uuid

import oslo_messaging
import pytest
import servers
from oslo_config import cfg

from cinder_ext import context, exceptions
from cinder_ext.rpc import transport as rpc_transport

URLS = ['local://', *servers.transport_urls()]

ARRIVES_SECONDS = 30
"""How long a test waits for what must come."""

ABSENT_SECONDS = 0.3
"""How long a test waits for what must not come."""


class Endpoint:
    """Answers, and notes what arrives."""

    target = oslo_messaging.Target(version='1.3')

    def __init__(self, name='server'):
        self.name = name
        self.arrived = queue.Queue()
        self.running = threading.Event()
        self.may_end = threading.Event()

    def echo(self, ctxt, value):
        return value

    def whoami(self, ctxt):
        return self.name

    def note(self, ctxt, value):
        self.arrived.put(value)

    def change(self, ctxt, values):
        values.append('changed by the server')
        self.arrived.put(values)
        return values

    def describe_context(self, ctxt):
        return {'class': type(ctxt).__name__, 'project': ctxt.project_id, 'roles': ctxt.roles,
                'request': ctxt.request_id, 'token': ctxt.auth_token, 'admin': ctxt.is_admin}

    def lose_volume(self, ctxt, volume_id):
        raise exceptions.VolumeNotFound(id=volume_id)

    def refuse(self, ctxt):
        raise exceptions.TransitionRefused(
            kind='Volume', id=uuid.UUID(int=7), event='delete', column='status',
            current='retyping', expected={'available'})

    def refuse_in_own_words(self, ctxt):
        raise exceptions.NoSpace('beta is full to the brim', reason='no space', free_bytes=12)

    def divide(self, ctxt):
        return 1 // 0

    def fail_strangely(self, ctxt):
        raise Unknown('nobody but the server knows this class')

    def hold(self, ctxt):
        self.running.set()
        self.may_end.wait(ARRIVES_SECONDS)
        return 'held to the end'


class Unknown(Exception):
    """Not in a module from which callers rebuild errors."""


class Bus:
    """One transport, one topic of its own, and the servers started on it."""

    def __init__(self, url):
        conf = cfg.ConfigOpts()
        conf([], project='cinder_ext', default_config_files=[], default_config_dirs=[])
        self.transport = rpc_transport.open_transport(conf, url)
        self.topic = f'contract-{uuid.uuid4().hex}'
        self.context = context.RequestContext(
            user_id='u1', project_id='p1', roles=['member'], auth_token='secret', overwrite=False)
        self._servers = []

    def serve(self, *names):
        endpoints = [Endpoint(name) for name in names]
        for endpoint in endpoints:
            self.start(endpoint)
        return endpoints

    def start(self, endpoint):
        server = rpc_transport.get_server(
            oslo_messaging.Target(topic=self.topic, server=endpoint.name), [endpoint],
            transport=self.transport)
        server.start()
        self._servers.append(server)
        return server

    def client(self, timeout_seconds=ARRIVES_SECONDS, version='1.0', **options):
        return rpc_transport.get_client(
            oslo_messaging.Target(topic=self.topic, version=version),
            timeout_seconds=timeout_seconds, transport=self.transport, **options)

    def call(self, method, **arguments):
        return self.client().call(self.context, method, **arguments)

    def close(self):
        for server in self._servers:
            stop(server)
        self.transport.cleanup()


def stop(server):
    server.stop()
    server.wait()


def is_empty_for_a_while(arrived):
    try:
        arrived.get(timeout=ABSENT_SECONDS)
    except queue.Empty:
        return True
    return False


@pytest.fixture(params=URLS, ids=servers.kind)
def bus(request):
    with contextlib.closing(Bus(request.param)) as opened:
        yield opened


# Calls and casts

def test_call_returns_what_the_server_answers(bus):
    bus.serve('one')
    assert bus.call('echo', value={'a': [1, 2.5, None, True, 'ü']}) == {
        'a': [1, 2.5, None, True, 'ü']}


def test_call_of_a_method_without_result_returns_none(bus):
    bus.serve('one')
    assert bus.call('note', value=1) is None


def test_cast_arrives_and_returns_nothing(bus):
    one, = bus.serve('one')
    assert bus.client().cast(bus.context, 'note', value=[1]) is None
    assert one.arrived.get(timeout=ARRIVES_SECONDS) == [1]


def test_payload_of_one_mebibyte_makes_the_round_trip(bus):
    bus.serve('one')
    payload = 'x' * (1 << 20)
    assert bus.call('echo', value=payload) == payload


def test_error_in_a_cast_leaves_the_server_alive(bus):
    one, = bus.serve('one')
    bus.client().cast(bus.context, 'divide')
    bus.client().cast(bus.context, 'note', value='next')
    assert one.arrived.get(timeout=ARRIVES_SECONDS) == 'next'


# Copies

def test_server_gets_a_copy_of_the_arguments(bus):
    one, = bus.serve('one')
    values = ['mine']
    bus.client().cast(bus.context, 'change', values=values)
    values.append('changed by the caller')
    assert one.arrived.get(timeout=ARRIVES_SECONDS) == ['mine', 'changed by the server']
    assert values == ['mine', 'changed by the caller']


def test_caller_gets_a_copy_of_the_result(bus):
    one, = bus.serve('one')
    result = bus.call('change', values=[])
    result.append('changed by the caller')
    assert one.arrived.get(timeout=ARRIVES_SECONDS) == ['changed by the server']


def test_tuples_and_integer_keys_arrive_as_json_has_them(bus):
    bus.serve('one')
    assert bus.call('echo', value={1: (2, 3)}) == {'1': [2, 3]}


def test_argument_that_json_cannot_carry_fails_in_the_caller(bus):
    one, = bus.serve('one')
    with pytest.raises(ValueError, match='object'):
        bus.client().cast(bus.context, 'note', value=object())
    assert is_empty_for_a_while(one.arrived)


# Topics, servers, fanout

def test_topic_with_three_servers_lets_each_serve(bus):
    bus.serve('one', 'two', 'three')
    assert {bus.call('whoami') for _ in range(30)} == {'one', 'two', 'three'}


def test_message_reaches_exactly_one_server_of_a_topic(bus):
    endpoints = bus.serve('one', 'two')
    bus.client().cast(bus.context, 'note', value='only once')
    time.sleep(ABSENT_SECONDS)
    assert sum(endpoint.arrived.qsize() for endpoint in endpoints) == 1


def test_message_to_a_named_server_reaches_that_one(bus):
    bus.serve('one', 'two', 'three')
    directed = bus.client().prepare(server='two')
    assert {directed.call(bus.context, 'whoami') for _ in range(6)} == {'two'}


def test_server_name_may_have_the_form_of_a_backend(bus):
    bus.serve('node-1@alpha')
    directed = bus.client().prepare(server='node-1@alpha')
    assert directed.call(bus.context, 'whoami') == 'node-1@alpha'


def test_fanout_reaches_every_server_once(bus):
    endpoints = bus.serve('one', 'two', 'three')
    bus.client().prepare(fanout=True).cast(bus.context, 'change', values=['to all'])
    for endpoint in endpoints:
        assert endpoint.arrived.get(timeout=ARRIVES_SECONDS) == [
            'to all', 'changed by the server']
    assert all(is_empty_for_a_while(endpoint.arrived) for endpoint in endpoints)


def test_topics_do_not_hear_one_another(bus):
    one, = bus.serve('one')
    stranger = rpc_transport.get_client(
        oslo_messaging.Target(topic=bus.topic + '-other'), transport=bus.transport)
    stranger.cast(bus.context, 'note', value='for somebody else')
    assert is_empty_for_a_while(one.arrived)


# Timeouts and dead servers

def test_call_that_takes_too_long_times_out(bus):
    one, = bus.serve('one')
    began = time.monotonic()
    with pytest.raises(oslo_messaging.MessagingTimeout):
        bus.client(timeout_seconds=1).call(bus.context, 'hold')
    one.may_end.set()
    assert 0.9 < time.monotonic() - began < ARRIVES_SECONDS / 2


def test_answer_that_comes_too_late_does_not_disturb_the_next_call(bus):
    one, = bus.serve('one')
    with pytest.raises(oslo_messaging.MessagingTimeout):
        bus.client(timeout_seconds=1).call(bus.context, 'hold')
    one.may_end.set()
    assert bus.call('echo', value='fresh') == 'fresh'


def test_call_to_a_topic_without_server_times_out(bus):
    with pytest.raises(oslo_messaging.MessagingTimeout):
        bus.client(timeout_seconds=1).call(bus.context, 'whoami')


def test_call_to_a_stopped_server_times_out_and_is_not_done_later(bus):
    endpoint = Endpoint('one')
    stop(bus.start(endpoint))
    with pytest.raises(oslo_messaging.MessagingTimeout):
        bus.client(timeout_seconds=1).call(bus.context, 'note', value='given up')
    bus.start(endpoint)
    assert is_empty_for_a_while(endpoint.arrived)


def test_cast_to_a_stopped_topic_waits_for_the_next_server(bus):
    stop(bus.start(Endpoint('one')))
    bus.client().cast(bus.context, 'note', value='kept')
    two, = bus.serve('two')
    assert two.arrived.get(timeout=ARRIVES_SECONDS) == 'kept'


def test_cast_to_a_stopped_named_server_waits_for_that_server(bus):
    one, two = Endpoint('one'), Endpoint('two')
    stop(bus.start(one))
    bus.start(two)
    bus.client().prepare(server='one').cast(bus.context, 'note', value='kept')
    assert is_empty_for_a_while(two.arrived)
    bus.start(one)
    assert one.arrived.get(timeout=ARRIVES_SECONDS) == 'kept'


def test_other_servers_take_over_from_a_stopped_one(bus):
    stopped = bus.start(Endpoint('one'))
    bus.serve('two')
    stop(stopped)
    assert {bus.call('whoami') for _ in range(4)} == {'two'}


def test_stopping_server_answers_the_call_it_has_begun(bus):
    endpoint = Endpoint('one')
    server = bus.start(endpoint)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(bus.call, 'hold')
        assert endpoint.running.wait(ARRIVES_SECONDS)
        server.stop()
        endpoint.may_end.set()
        server.wait()
        assert answer.result(ARRIVES_SECONDS) == 'held to the end'


def test_idle_server_stops_soon(bus):
    server = bus.start(Endpoint('one'))
    bus.call('echo', value=1)
    began = time.monotonic()
    stop(server)
    assert time.monotonic() - began < 10


def test_heartbeats_keep_a_monitored_call_alive(bus):
    one, = bus.serve('one')
    monitored = bus.client(timeout_seconds=30, call_monitor_timeout_seconds=2)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(monitored.call, bus.context, 'hold')
        time.sleep(3.5)
        one.may_end.set()
        assert answer.result(ARRIVES_SECONDS) == 'held to the end'


def test_monitored_call_to_a_dead_server_fails_before_its_own_timeout(bus):
    stop(bus.start(Endpoint('one')))
    began = time.monotonic()
    with pytest.raises(oslo_messaging.MessagingTimeout):
        bus.client(timeout_seconds=60, call_monitor_timeout_seconds=2).call(bus.context, 'whoami')
    assert time.monotonic() - began < 30


# Errors

def test_remote_error_keeps_class_code_message_and_facts(bus):
    bus.serve('one')
    with pytest.raises(exceptions.VolumeNotFound) as caught:
        bus.call('lose_volume', volume_id='v1')
    assert caught.value.facts == {'id': 'v1'}
    assert caught.value.message == 'Volume v1 could not be found.'
    assert (caught.value.code, caught.value.http_status) == ('cinder_ext.volume_not_found', 404)


def test_facts_that_json_does_not_know_arrive_in_a_form_it_knows(bus):
    bus.serve('one')
    with pytest.raises(exceptions.TransitionRefused) as caught:
        bus.call('refuse')
    assert caught.value.facts['id'] == str(uuid.UUID(int=7))
    assert caught.value.facts['expected'] == ['available']


def test_message_of_its_own_survives_beside_the_facts(bus):
    bus.serve('one')
    with pytest.raises(exceptions.NoSpace) as caught:
        bus.call('refuse_in_own_words')
    assert caught.value.message == 'beta is full to the brim'
    assert caught.value.facts == {'reason': 'no space', 'free_bytes': 12}


def test_builtin_error_keeps_its_class(bus):
    bus.serve('one')
    with pytest.raises(ZeroDivisionError):
        bus.call('divide')


def test_error_of_an_unknown_module_arrives_as_remote_error(bus):
    bus.serve('one')
    with pytest.raises(oslo_messaging.RemoteError) as caught:
        bus.call('fail_strangely')
    assert caught.value.exc_type == 'Unknown'
    assert caught.value.value == 'nobody but the server knows this class'


@pytest.mark.parametrize('version', ['1.4', '2.0'])
def test_version_that_the_server_does_not_have_is_an_error(bus, version):
    bus.serve('one')
    with pytest.raises(oslo_messaging.RemoteError) as caught:
        bus.client(version=version).call(bus.context, 'whoami')
    assert caught.value.exc_type == 'UnsupportedVersion'
    assert rpc_transport.is_unsupported(caught.value)


def test_older_minor_version_is_served(bus):
    bus.serve('one')
    assert bus.client(version='1.1').call(bus.context, 'whoami') == 'one'


def test_version_above_the_cap_fails_in_the_caller(bus):
    one, = bus.serve('one')
    capped = bus.client(version='1.2', version_cap='1.1')
    with pytest.raises(oslo_messaging.RPCVersionCapError):
        capped.cast(bus.context, 'note', value=1)
    assert is_empty_for_a_while(one.arrived)


def test_unknown_method_is_an_error(bus):
    bus.serve('one')
    with pytest.raises(oslo_messaging.RemoteError) as caught:
        bus.call('no_such_method')
    assert caught.value.exc_type == 'NoSuchMethod'
    assert not rpc_transport.is_unsupported(caught.value)


# Context

def test_context_arrives_without_its_token(bus):
    bus.serve('one')
    assert bus.call('describe_context') == {
        'class': 'RequestContext', 'project': 'p1', 'roles': ['member'],
        'request': bus.context.request_id, 'token': None, 'admin': False}
    assert bus.context.auth_token == 'secret'


def test_admin_context_arrives_as_admin(bus):
    bus.serve('one')
    described = bus.client().call(context.admin_context('req-7'), 'describe_context')
    assert (described['admin'], described['request']) == (True, 'req-7')


# Load

def test_two_hundred_calls_from_twenty_threads_each_get_their_own_answer(bus):
    bus.serve('one', 'two')
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: bus.call('echo', value=number), range(200)))
    assert answers == list(range(200))


def test_every_one_of_two_hundred_casts_arrives_once(bus):
    one, = bus.serve('one')
    client = bus.client()
    for number in range(200):
        client.cast(bus.context, 'note', value=number)
    arrived = [one.arrived.get(timeout=ARRIVES_SECONDS) for _ in range(200)]
    assert sorted(arrived) == list(range(200))
    assert one.arrived.empty()


# What only the transport inside the process promises

@pytest.fixture
def local_bus():
    with contextlib.closing(Bus(f'local:///{uuid.uuid4().hex}')) as opened:
        yield opened


def test_median_call_on_local_takes_less_than_five_milliseconds(local_bus, record_property):
    local_bus.serve('one')
    client = local_bus.client()
    client.call(local_bus.context, 'echo', value=0)
    taken = []
    for number in range(500):
        began = time.perf_counter()
        client.call(local_bus.context, 'echo', value=number)
        taken.append(time.perf_counter() - began)
    median_ms = statistics.median(taken) * 1000
    record_property('median_call_ms', round(median_ms, 3))
    print(f'median call on local://: {median_ms:.3f} ms')
    assert median_ms < 5


def test_three_idle_servers_on_local_cost_less_than_two_percent_of_a_core(
        local_bus, record_property):
    local_bus.serve('one', 'two', 'three')
    for number in range(9):
        local_bus.call('echo', value=number)
    began, used = time.monotonic(), time.process_time()
    time.sleep(2)
    percent = 100 * (time.process_time() - used) / (time.monotonic() - began)
    record_property('idle_percent_of_a_core', round(percent, 3))
    print(f'three idle servers on local://: {percent:.3f} % of a core')
    assert percent < 2
