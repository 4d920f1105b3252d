"""Messages between the parts of one process: the driver behind ``local://``.

It behaves as RabbitMQ does under oslo.messaging, so that a service that works
here works there:

* every message and every answer makes the trip as JSON: what arrives is a
  copy, and what JSON cannot carry fails in the sender;
* a topic with several servers gives each message to one of them, in turn; a
  message to a named server waits for that server; fanout reaches the servers
  that listen at that moment;
* a message that nobody takes is kept until a server appears; a call only for
  as long as its caller waits;
* an RPC message counts as acknowledged when it is handed over, a notification
  may be requeued.

Two differences: the queue of an address exists from the first message on, not
from the first server on; and a backlog is bounded (``BACKLOG_LIMIT``), the
oldest message goes first.

Nothing polls.  The sender's thread puts the message straight into the
executor of the server, and a caller sleeps until its answer is there.

``local:///name`` is a broker of its own.  A broker lives as long as a
transport that uses it.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import queue
import threading
import time
import weakref

import oslo_messaging
from oslo_log import log as logging
from oslo_messaging._drivers import base, common
from oslo_serialization import jsonutils

LOG = logging.getLogger(__name__)

BACKLOG_LIMIT = 1000
"""Messages that one address keeps while nobody listens."""

Address = collections.namedtuple('Address', 'kind exchange topic name')
"""Where messages queue: ``name`` is a server, a pool of listeners or None."""

_ANSWER, _FAILURE, _HEARTBEAT, _CLOSED = 'answer', 'failure', 'heartbeat', 'closed'


class Envelope:
    """One message on its way, serialized.

    :param answers: where the caller waits; None for a cast or a notification
    :param timeout_seconds: the message is dropped when it is not taken by then
    :param monitor_seconds: the caller wants a heartbeat at least this often
    """

    __slots__ = ('answers', 'body', 'expires_at', 'monitor_seconds')

    def __init__(self, ctxt, message, answers=None, timeout_seconds=None, monitor_seconds=None):
        self.body = jsonutils.dumps([ctxt, message])
        self.answers = answers
        self.monitor_seconds = monitor_seconds
        self.expires_at = None if timeout_seconds is None else time.monotonic() + timeout_seconds

    def is_expired(self):
        return self.expires_at is not None and time.monotonic() >= self.expires_at


class LocalMessage(base.RpcIncomingMessage):
    """What a server gets: a fresh copy of the message, and the way back."""

    def __init__(self, envelope, put_back):
        super().__init__(*jsonutils.loads(envelope.body))
        self.client_timeout = envelope.monitor_seconds
        self._answers = envelope.answers
        self._put_back = put_back

    def reply(self, reply=None, failure=None):
        if self._answers is None:
            return
        if failure:
            self._answers.put((_FAILURE, common.serialize_remote_exception(failure)))
        else:
            self._answers.put((_ANSWER, jsonutils.dumps(reply)))

    def heartbeat(self):
        if self._answers is not None:
            self._answers.put((_HEARTBEAT, None))

    def requeue(self):
        self._put_back()


class Queue:
    """The listeners of one address and what waits for them; locked by its broker."""

    def __init__(self):
        self.listeners = collections.deque()
        self._backlog = collections.deque()

    def next_listener(self):
        """The one whose turn it is, or None."""
        self.listeners.rotate(-1)
        return self.listeners[-1] if self.listeners else None

    def keep(self, envelope):
        """Add to the backlog.

        :returns: messages that were dropped to make room
        """
        while self._backlog and self._backlog[0].is_expired():
            self._backlog.popleft()
        self._backlog.append(envelope)
        excess = len(self._backlog) - BACKLOG_LIMIT
        for _ in range(excess):
            self._backlog.popleft()
        return max(0, excess)

    def empty(self):
        """Take the whole backlog, oldest first."""
        kept, self._backlog = self._backlog, collections.deque()
        return kept


class Broker:
    """All addresses of one name of ``local://``.

    A message is handed over outside the lock, so that a slow listener holds up
    nobody but its own sender.
    """

    _lock_of_all = threading.Lock()
    _all = weakref.WeakValueDictionary()

    def __init__(self):
        self._lock = threading.Lock()
        self._queues = collections.defaultdict(Queue)

    @classmethod
    def named(cls, name):
        """The broker of that name; made when there is none."""
        with cls._lock_of_all:
            broker = cls._all.get(name)
            if broker is None:
                broker = cls._all[name] = cls()
            return broker

    def put(self, address, envelope):
        """Hand a message to one listener, or keep it."""
        listener = self._listener_or_keep(address, envelope)
        while listener is not None and not listener.accept(address, envelope):
            listener = self._listener_or_keep(address, envelope)

    def put_to_all(self, address, envelope):
        """Hand a copy to each present listener."""
        with self._lock:
            listeners = list(self._queues[address].listeners)
        for listener in listeners:
            listener.accept(address, envelope)

    def put_to_pools(self, address, envelope):
        """Hand a copy to the address and to each pool that listens to the same topic."""
        with self._lock:
            self._queues[address]
            pools = [other for other in self._queues if other[:3] == address[:3]]
        for pool in pools:
            self.put(pool, envelope)

    def subscribe(self, listener, addresses):
        """Add a listener; it gets what was kept for it."""
        kept = []
        with self._lock:
            for address in addresses:
                queue_ = self._queues[address]
                queue_.listeners.append(listener)
                kept.extend((address, envelope) for envelope in queue_.empty())
        for address, envelope in kept:
            self.put(address, envelope)

    def unsubscribe(self, listener, addresses):
        """Remove a listener; safe to repeat."""
        with self._lock:
            for address in addresses:
                if listener in self._queues[address].listeners:
                    self._queues[address].listeners.remove(listener)

    def _listener_or_keep(self, address, envelope):
        dropped = 0
        with self._lock:
            listener = self._queues[address].next_listener()
            if listener is None and not envelope.is_expired():
                dropped = self._queues[address].keep(envelope)
        if dropped and address.kind == 'rpc':
            LOG.warning('Nobody listens on topic %s (%s): dropped the oldest of %s messages.',
                        address.topic, address.name or 'any server', BACKLOG_LIMIT)
        return listener


class LocalListener(base.Listener):
    """A server's ear: its callback runs in the thread of the sender.

    oslo.messaging's callback only submits the message to a pool of threads, so
    the sender is not held up.  A batch holds one message.
    """

    def __init__(self, broker, addresses):
        super().__init__(batch_size=1, batch_timeout=None)
        self._broker = broker
        self._addresses = addresses
        self._lock = threading.RLock()

    def start(self, on_incoming_callback):
        super().start(on_incoming_callback)
        self._broker.subscribe(self, self._addresses)

    def accept(self, address, envelope):
        """Take a message.

        :returns: False when the listener has been stopped and did not take it
        """
        broker = self._broker
        incoming = None
        if not envelope.is_expired():
            incoming = LocalMessage(envelope, lambda: _put_back(broker, address, envelope))
        with self._lock:
            if self.on_incoming_callback is None:
                return False
            if incoming is not None:
                self.on_incoming_callback([incoming])
            return True

    def stop(self):
        # First the broker, then the callback: a sender that is refused finds
        # this listener gone when it looks for the next one.
        self._broker.unsubscribe(self, self._addresses)
        with self._lock:
            super().stop()

    def cleanup(self):
        self.stop()


def _put_back(broker, address, envelope):
    if address.kind == 'notification':
        broker.put(address, envelope)


class LocalDriver(base.BaseDriver):
    """oslo.messaging's driver for ``local://`` (entry point ``local``)."""

    def __init__(self, conf, url, default_exchange=None, allowed_remote_exmods=None):
        super().__init__(conf, url, default_exchange, allowed_remote_exmods)
        self._broker = Broker.named(url.virtual_host or '')
        self._listeners = weakref.WeakSet()
        self._waiting = set()
        self._lock = threading.Lock()

    def require_features(self, requeue=True):
        """Everything that can be asked for is there."""

    # The order of the arguments is oslo.messaging's.
    def send(self, target, ctxt, message, wait_for_reply=None, timeout=None,  # noqa: PLR0917
             call_monitor_timeout=None, retry=None, transport_options=None):
        """Send, and wait for the answer when there is to be one.

        :param timeout: seconds for the whole call; None waits for ever
        :param call_monitor_timeout: seconds between two signs of life of the server
        :raises MessagingTimeout: no answer, or no sign of life, in time
        :raises MessageDeliveryFailure: this transport has been closed
        :raises ValueError: JSON cannot carry the message
        """
        if not wait_for_reply:
            return self._deliver(target, Envelope(ctxt, message))
        answers = queue.SimpleQueue()
        envelope = Envelope(ctxt, message, answers, timeout, call_monitor_timeout)
        with self._lock:
            self._waiting.add(answers)
        try:
            self._deliver(target, envelope)
            return self._wait(envelope, target.topic)
        finally:
            with self._lock:
                self._waiting.discard(answers)

    def send_notification(self, target, ctxt, message, version, retry=None):
        self._open_broker().put_to_pools(self._address('notification', target),
                                         Envelope(ctxt, message))

    def listen(self, target, batch_size, batch_timeout):
        return self._listener([self._address('rpc', target),
                               self._address('rpc', target, target.server)])

    def listen_for_notifications(self, targets_and_priorities, pool, batch_size, batch_timeout):
        return self._listener([
            self._address('notification', target(topic=f'{target.topic}.{priority}'), pool)
            for target, priority in targets_and_priorities])

    def cleanup(self):
        """Stop the listeners and wake whoever waits for an answer."""
        for listener in list(self._listeners):
            listener.stop()
        with self._lock:
            self._broker = None
            for answers in self._waiting:
                answers.put((_CLOSED, None))

    def _open_broker(self):
        broker = self._broker
        if broker is None:
            raise oslo_messaging.MessageDeliveryFailure('The transport has been closed.')
        return broker

    def _address(self, kind, target, name=None):
        return Address(kind, target.exchange or self._default_exchange, target.topic, name)

    def _listener(self, addresses):
        listener = LocalListener(self._open_broker(), addresses)
        self._listeners.add(listener)
        return listener

    def _deliver(self, target, envelope):
        broker = self._open_broker()
        if target.fanout:
            broker.put_to_all(self._address('rpc', target), envelope)
        else:
            broker.put(self._address('rpc', target, target.server), envelope)

    def _wait(self, envelope, topic):
        kind = _HEARTBEAT
        while kind == _HEARTBEAT:
            try:
                kind, text = envelope.answers.get(timeout=_patience_seconds(envelope))
            except queue.Empty:
                raise oslo_messaging.MessagingTimeout(f'No answer in time on topic {topic}.')
        if kind == _CLOSED:
            raise oslo_messaging.MessageDeliveryFailure('The transport has been closed.')
        if kind == _FAILURE:
            raise common.deserialize_remote_exception(text, self._allowed_remote_exmods)
        return jsonutils.loads(text)


def _patience_seconds(envelope):
    """How long the caller waits for the next sign of life; None is for ever."""
    limits = []
    if envelope.expires_at is not None:
        limits.append(max(0, envelope.expires_at - time.monotonic()))
    if envelope.monitor_seconds:
        limits.append(envelope.monitor_seconds)
    return min(limits, default=None)
