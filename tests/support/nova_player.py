"""Plays sequences of nova_sequences over HTTP: a failure, and what Nova and its operator then do."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import threading
import time
import uuid

import nova_sequences as tables
import requests

VERSION = 'volume 3.44'
"""What Nova asks with."""
DEVICE = '/dev/vdb'
REMOVALS = 5
"""How often Nova asks for a removal that is answered by 500."""
CUT_SECONDS = (0.002, 0.006, 0.018)
"""How long the service has for a call before it is killed; in turn, by the calls before."""


class Broken(Exception):
    """What Nova gets: no answer, or one that is no success.  The text says which."""


class Gone(Broken):
    """The answer is 404."""


class Erred(Broken):
    """The answer is 500."""


class Wire:
    """Calls to a service, one of which may go wrong.

    :param service: embedded.EmbeddedService, running
    :param backend: object with ``away()``, a context in which the backend is not there
    :ivar calls: (method, path, status or None) since the failure was planned
    """

    def __init__(self, service, backend):
        self.service, self._backend = service, backend
        self._session = None
        self._fault, self._left, self.calls, self.hit = None, -1, [], None
        self.renew()

    def renew(self):
        """Forget connections to a service that died."""
        self._session = requests.Session()
        self._session.trust_env = False

    def plan(self, point, kind):
        """Let a call go wrong: the one after so many others, of those that say that they may."""
        self._left, self._fault = (-1, None) if point is None else (point, kind)
        self.calls, self.hit = [], None

    def ask(self, method, path, body=None, may_fail=False):
        """The answer's document.

        :raises Gone, Broken: see there
        """
        kind = self._next() if may_fail else None
        if kind is None:
            return self._repeated(method, path, body)
        self.hit = (kind, method, path)
        return getattr(self, f'_{kind}')(method, path, body)

    def _next(self):
        self._left -= 1
        return self._fault if self._left == -1 else None

    def _send(self, method, path, body):
        try:
            answer = self._session.request(method, self.service.api.endpoint + path, json=body,
                                           timeout=30, headers={'OpenStack-API-Version': VERSION})
        except requests.RequestException as fault:
            self.calls.append((method, path, None))
            raise Broken(f'{method} {path}: nobody answers') from fault
        self.calls.append((method, path, answer.status_code))
        if answer.status_code >= 400:
            kind = {404: Gone, 500: Erred}.get(answer.status_code, Broken)
            raise kind(f'{method} {path}: {answer.status_code} {answer.text}')
        return answer.json() if answer.content else {}

    def _never(self, method, path, _body):
        raise Broken(f'{method} {path} was never made')

    def _lost(self, method, path, body):
        self._send(method, path, body)
        raise Broken(f'the answer to {method} {path} is lost')

    def _twice(self, method, path, body):
        self._send(method, path, body)
        return self._send(method, path, body)

    def _killed(self, method, path, body):
        found = self._send(method, path, body)
        self.service.kill()
        self._restart()
        return found

    def _cut(self, method, path, body):
        seconds = CUT_SECONDS[len(self.calls) % len(CUT_SECONDS)]
        killer = threading.Timer(seconds, self.service.kill)
        killer.start()
        with contextlib.suppress(Broken):
            self._send(method, path, body)
        killer.join()
        self._restart()
        raise Broken(f'{method} {path} was cut off')

    def _restart(self):
        self.service.start()
        self.renew()

    def _refused(self, method, path, body):
        with self._backend.away():
            return self._repeated(method, path, body)

    def _repeated(self, method, path, body):
        """As Nova repeats a removal."""
        for _ in range(REMOVALS - 1 if method == 'DELETE' else 0):
            try:
                return self._send(method, path, body)
            except Erred:
                continue
        return self._send(method, path, body)


class Server:
    """What Nova knows of a server, and what it asks for it.

    :param volumes: 'data' -> volume id; 'spare' too for a swap
    :param stamps: volume id -> how its content begins
    :ivar slots: name -> attachment id; ``current`` is that of the block device mapping
    :ivar host: where it is; None while it is shelved
    :ivar hosts: 'source', 'destination' -> host
    """

    def __init__(self, wire, reader, volumes, stamps, hosts):
        self.id = str(uuid.uuid4())
        self._wire, self._reader, self._stamps = wire, reader, stamps
        self.volumes, self.hosts = dict(volumes), dict(hosts)
        self.slots, self.host = {}, hosts['source']
        self._may_fail = False

    # Sequences

    def play(self, stage, may_fail=False):
        """Do what a stage says; when a call breaks, what Nova then does.

        :raises Broken: it did not go to its end
        """
        for step in stage.steps:
            self._may_fail = may_fail
            try:
                self._do(step)
            except Broken:
                self._may_fail = False
                self._rescue(stage.rescue, step[0])
                raise
        self._may_fail = False

    def _rescue(self, steps, failed):
        for word, *arguments in steps:
            try:
                if word == 'drop-when':
                    if failed != arguments[0]:
                        continue
                    word, arguments = 'drop', arguments[1:]
                self._do((word, *arguments))
            except Broken:
                return

    def _do(self, step):
        word, *arguments = step
        getattr(self, '_' + word.replace('-', '_'))(*arguments)

    # Calls

    def _ask(self, method, path, body=None):
        return self._wire.ask(method, path, body, self._may_fail)

    def _connector(self, role):
        host = self.hosts[role]
        return {'host': host, 'ip': '192.0.2.1', 'platform': 'x86_64', 'os_type': 'linux',
                'multipath': False, 'mountpoint': DEVICE}

    def _look(self, volume):
        self._ask('GET', f'/volumes/{self.volumes[volume]}')

    def _reserve(self, name, volume='data'):
        made = self._ask('POST', '/attachments', {'attachment': {
            'volume_uuid': self.volumes[volume], 'instance_uuid': self.id, 'connector': None}})
        self.slots[name] = made['attachment']['id']

    def _connect(self, name, role):
        made = self._ask('POST', '/attachments', {'attachment': {
            'volume_uuid': self.volumes['data'], 'instance_uuid': self.id,
            'connector': self._connector(role)}})['attachment']
        self.slots[name] = made['id']
        self._hold(made)

    def _update(self, name, role):
        self._hold(self._ask('PUT', f'/attachments/{self.slots[name]}', {'attachment': {
            'connector': self._connector(role)}})['attachment'])

    def _show(self, name):
        self._hold(self._ask('GET', f'/attachments/{self.slots[name]}')['attachment'])

    def _complete(self, name):
        self._ask('POST', f'/attachments/{self.slots[name]}/action', {'os-complete': {}})

    def _delete(self, name):
        self._remove(self.slots[name])

    def _remove(self, attachment_id):
        """Who reads by it stops first: Nova asks only then."""
        self._reader.release(attachment_id)
        with contextlib.suppress(Gone):
            self._ask('DELETE', f'/attachments/{attachment_id}')

    def _list(self):
        return self._ask('GET', f'/attachments?instance_id={self.id}')['attachments']

    def _begin_detaching(self, volume):
        self._ask('POST', f'/volumes/{self.volumes[volume]}/action', {'os-begin_detaching': {}})

    def _roll_detaching(self, volume):
        self._ask('POST', f'/volumes/{self.volumes[volume]}/action', {'os-roll_detaching': {}})

    def _hold(self, attachment):
        path = attachment['connection_info'].get('device_path')
        if path:
            self._reader.hold(attachment['id'], path, self._stamps[attachment['volume_id']])

    # What happens within Nova

    def _adopt(self, name='next'):
        if 'current' in self.slots:
            self.slots['previous'] = self.slots['current']
        self.slots['current'] = self.slots.pop(name)

    def _restore(self):
        self.slots['current'] = self.slots.pop('previous')

    def _roll_back(self):
        if 'previous' in self.slots:
            self._remove(self.slots['current'])
            self._restore()

    def _drop(self, name):
        if name in self.slots:
            self._remove(self.slots[name])

    def _forget(self):
        self.slots.clear()

    def _host(self, role):
        self.host = self.hosts[role] if role else None

    def _exchange(self):
        self.volumes['data'], self.volumes['spare'] = (self.volumes['spare'],
                                                       self.volumes['data'])

    # What an operator does with a server that is in error

    @property
    def attachment_id(self):
        return self.slots.get('current')

    def reboot_hard(self):
        """Put Nova's mapping and the server's attachments in accord, as a hard reboot does."""
        self.slots = {key: value for key, value in self.slots.items() if key == 'current'}
        if self.attachment_id is not None:
            try:
                self._show('current')
            except Gone:
                self._reader.release(self.attachment_id)
                self._forget()
        for each in self._list():
            if each['id'] != self.attachment_id:
                self._remove(each['id'])

    def recover(self, sequence, wanted):
        """Bring a server that is in error to where it shall be.

        :param wanted: a host, or None: it shall not have the volume
        """
        self._end_detaching()
        self.reboot_hard()
        if wanted is None:
            if self.attachment_id is not None:
                self.play(tables.DETACH)
            return
        if self.host is None:
            self._unshelve(wanted)
            return
        self.hosts = {'source': self.host, 'destination': wanted}
        if self.attachment_id is None:
            self.play(tables.ATTACH)
        elif not self._is_attached_here():
            self.play(tables.REFRESH)
        if self.host != wanted:
            for stage in (*sequence.stages, sequence.ends['confirm'][0]):
                self.play(stage)

    def _unshelve(self, wanted):
        """A mapping that was lost is made again while the server is nowhere."""
        self.hosts['destination'] = wanted
        if self.attachment_id is None:
            self._reserve('current')
        self.play(tables.SHELVE.ends['confirm'][0])

    def _end_detaching(self):
        """What goes by itself goes; then an administrator's word, after a detach that was given up."""
        settled(lambda: all(each['status'] != 'detaching' for each in self._list()))
        for volume_id in self.volumes.values():
            status = self._wire.ask('GET', f'/volumes/{volume_id}')['volume']['status']
            if status == 'detaching':
                self._wire.ask('POST', f'/volumes/{volume_id}/action',
                               {'os-reset_status': {'status': 'in-use'}})

    def _is_attached_here(self):
        found = self._ask('GET', f'/attachments/{self.attachment_id}')['attachment']
        path = found['connection_info'].get('device_path', '')
        return found['status'] == 'attached' and f'/{self.host}/' in path

    def attach(self):
        """Attach as a user asks, without failure."""
        self.play(tables.ATTACH)

    def destroy(self):
        """Delete the server."""
        for each in self._list():
            self._remove(each['id'])
        self.slots.clear()


def settled(claim, seconds=10):
    """Return when a claim is true: for work that goes on after an answer.

    :raises AssertionError: it stays false
    """
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, 'it does not settle'
        time.sleep(0.02)
