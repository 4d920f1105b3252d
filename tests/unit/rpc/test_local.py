"""What local:// does beyond the contract that all transports share."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import threading
import time
import uuid

import oslo_messaging
import pytest
from oslo_config import cfg

from cinder_ext.rpc import local

TIMEOUT_SECONDS = 10


class Listener:
    """Collects what a listener of the driver hands over."""

    def __init__(self, listener):
        self.listener = listener
        self.incoming = []
        listener.start(self.incoming.extend)

    @property
    def values(self):
        return [incoming.message['value'] for incoming in self.incoming]


class Echo:
    """Answers each call with its own argument."""

    def __init__(self, listener):
        listener.start(lambda batch: batch[0].reply(batch[0].message['value']))


def new_driver(name):
    conf = cfg.ConfigOpts()
    conf([], project='cinder_ext', default_config_files=[], default_config_dirs=[])
    return local.LocalDriver(conf, oslo_messaging.TransportURL.parse(conf, f'local:///{name}'),
                             default_exchange='test')


@pytest.fixture
def driver():
    with contextlib.ExitStack() as stack:
        opened = new_driver(uuid.uuid4().hex)
        stack.callback(opened.cleanup)
        yield opened


def target(topic='topic', **kwargs):
    return oslo_messaging.Target(topic=topic, **kwargs)


def listen(driver, server='one', topic='topic'):
    return Listener(driver.listen(target(topic, server=server), 1, None))


def cast(driver, value, **kwargs):
    driver.send(target(**kwargs), {}, {'value': value})


def call(driver, value, timeout=TIMEOUT_SECONDS, **kwargs):
    return driver.send(target(), {}, {'value': value}, wait_for_reply=True, timeout=timeout,
                       **kwargs)


def test_cast_to_a_topic_that_nobody_ever_served_is_kept(driver):
    cast(driver, 1)
    cast(driver, 2)
    assert listen(driver).values == [1, 2]


def test_backlog_is_bounded_and_drops_the_oldest_with_a_warning(driver, caplog):
    for number in range(local.BACKLOG_LIMIT + 3):
        cast(driver, number)
    assert listen(driver).values == list(range(3, local.BACKLOG_LIMIT + 3))
    assert 'Nobody listens on topic topic' in caplog.text


def test_call_that_has_timed_out_leaves_nothing_in_the_backlog(driver):
    with pytest.raises(oslo_messaging.MessagingTimeout):
        call(driver, 'late', timeout=0.05)
    time.sleep(0.01)
    assert listen(driver).values == []


def test_servers_of_a_topic_take_turns(driver):
    servers = [listen(driver, name) for name in ('one', 'two', 'three')]
    for number in range(9):
        cast(driver, number)
    assert sorted(server.values for server in servers) == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_fanout_without_servers_is_not_kept(driver):
    cast(driver, 'nobody', fanout=True)
    assert listen(driver).values == []


def test_stopped_listener_is_left_out(driver):
    one, two = listen(driver, 'one'), listen(driver, 'two')
    one.listener.stop()
    for number in range(4):
        cast(driver, number)
    assert (one.values, two.values) == ([], [0, 1, 2, 3])


def test_listener_that_stops_while_it_is_chosen_passes_the_message_on(driver):
    one = driver.listen(target(server='one'), 1, None)
    two = Listener(driver.listen(target(server='two'), 1, None))
    one.start(lambda batch: pytest.fail('a stopped listener was called'))
    address = local.Address('rpc', 'test', 'topic', None)
    envelope = local.Envelope({}, {'value': 'handed on'})
    one.stop()
    assert not one.accept(address, envelope)
    cast(driver, 'handed on')
    assert two.values == ['handed on']


def test_two_drivers_of_one_name_share_a_broker_and_others_do_not(driver):
    name = uuid.uuid4().hex
    first, second = new_driver(name), new_driver(name)
    near, far = listen(first), listen(driver)
    cast(second, 'hello')
    assert (near.values, far.values) == (['hello'], [])
    first.cleanup()
    second.cleanup()


def test_broker_ends_with_its_last_transport():
    name = uuid.uuid4().hex
    first = new_driver(name)
    cast(first, 'lost with the broker')
    first.cleanup()
    second = new_driver(name)
    assert listen(second).values == []
    second.cleanup()


def test_cleanup_wakes_a_waiting_caller(driver):
    listening = listen(driver)
    closer = threading.Timer(0.1, driver.cleanup)
    closer.start()
    began = time.monotonic()
    with pytest.raises(oslo_messaging.MessageDeliveryFailure):
        call(driver, 'never answered')
    assert time.monotonic() - began < 5
    assert listening.values == ['never answered']
    closer.join()


def test_closed_transport_refuses_to_send(driver):
    driver.cleanup()
    with pytest.raises(oslo_messaging.MessageDeliveryFailure):
        cast(driver, 1)


def test_call_without_timeout_waits_for_its_answer(driver):
    Echo(driver.listen(target(server='one'), 1, None))
    assert call(driver, 'answered', timeout=None) == 'answered'


def test_missing_heartbeat_ends_a_call_before_its_timeout(driver):
    listen(driver)
    began = time.monotonic()
    with pytest.raises(oslo_messaging.MessagingTimeout):
        call(driver, 'silence', call_monitor_timeout=0.1)
    assert time.monotonic() - began < 5


def test_heartbeat_prolongs_a_monitored_call(driver):
    def answer_slowly(batch):
        for pause in range(4):
            threading.Timer(0.1 * (pause + 1), batch[0].heartbeat).start()
        threading.Timer(0.5, batch[0].reply, ['at last']).start()

    driver.listen(target(server='one'), 1, None).start(answer_slowly)
    assert call(driver, 'patience', call_monitor_timeout=0.3) == 'at last'


def test_rpc_message_is_not_requeued(driver):
    one = listen(driver)
    cast(driver, 'once')
    one.incoming[0].requeue()
    assert one.values == ['once']


def notify(driver, value):
    driver.send_notification(target('notifications.info'), {}, {'value': value}, 2.0)


def listen_for_notifications(driver, pool=None):
    return Listener(driver.listen_for_notifications(
        [(target('notifications'), 'info')], pool, 1, None))


def test_notification_is_kept_until_somebody_listens(driver):
    notify(driver, 'kept')
    assert listen_for_notifications(driver).values == ['kept']


def test_each_pool_gets_a_copy_of_a_notification(driver):
    pools = [listen_for_notifications(driver, name) for name in ('billing', 'audit', None)]
    notify(driver, 'copy')
    assert [pool.values for pool in pools] == [['copy']] * 3


def test_requeued_notification_comes_again(driver):
    listening = listen_for_notifications(driver)
    notify(driver, 'twice')
    listening.incoming[0].requeue()
    assert listening.values == ['twice', 'twice']


def test_notifications_that_nobody_reads_are_bounded(driver):
    for number in range(local.BACKLOG_LIMIT + 1):
        notify(driver, number)
    assert listen_for_notifications(driver).values == list(range(1, local.BACKLOG_LIMIT + 1))


def test_notifier_of_oslo_messaging_works(driver):
    transport = oslo_messaging.transport.NotificationTransport(driver)
    notifier = oslo_messaging.Notifier(
        transport, publisher_id='volume.node', driver='messagingv2', topics=['notifications'])
    listening = listen_for_notifications(driver, 'pool')
    notifier.info({}, 'volume.create.end', {'volume_id': 'v1'})
    assert listening.incoming[0].message['event_type'] == 'volume.create.end'
