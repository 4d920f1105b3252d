"""A compute service for tests: real where a volume moves under a running server.

An HTTP service with the volume calls of Nova's API.  Its servers run: each has a
``guest_disk.GuestDisk``, and a swap mirrors that to the new volume and pivots.  What it asks of the
block storage service, and in which order, is what Nova asks:

in the request (PUT ``os-volume_attachments``)
    old and new volume are read; ``os-begin_detaching`` of the old one; an attachment of the new
    one is created.  Then 202 is answered.
afterwards, on the host
    the new attachment is given its connector; the disk is mirrored and pivots; the new attachment
    is completed; the old one is deleted; ``os-migrate_volume_completion`` of the old volume, whose
    answer says under which id the server keeps it.
when that fails
    ``os-roll_detaching`` of the old volume, the new attachment is deleted, and
    ``os-migrate_volume_completion`` says ``error``.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import http.server
import json
import pathlib
import re
import threading
import time
import uuid

import guest_disk
import requests

PROJECT = '0123456789abcdef0123456789abcdef'
CONNECTOR = {'host': 'compute-1', 'ip': '127.0.0.1', 'platform': 'x86_64', 'os_type': 'linux',
             'multipath': False}
SWAPPABLE = ('active', 'paused', 'resized')
NEWEST = (2, 96)
FAULTS = {400: 'badRequest', 404: 'itemNotFound', 409: 'conflictingRequest'}


class Refused(Exception):
    """An answer that is no success: the arguments are its status and its text."""


@dataclasses.dataclass
class Server:
    """What the compute service knows of a server.

    :ivar devices: volume id -> {'attachment_id', 'disk'}
    """

    id: str
    vm_state: str = 'active'
    task_state: str | None = None
    devices: dict = dataclasses.field(default_factory=dict)

    def document(self):
        return {'server': {
            'id': self.id, 'status': self.vm_state.upper(), 'tenant_id': PROJECT,
            'OS-EXT-STS:vm_state': self.vm_state, 'OS-EXT-STS:task_state': self.task_state,
            'OS-EXT-SRV-ATTR:host': 'compute-1', 'locked': False}}


class Storage:
    """The block storage service, as the compute service asks it.

    :param patience_seconds: how long a call that finds nobody is repeated
    """

    def __init__(self, endpoint, patience_seconds):
        self._endpoint = endpoint
        self.patience_seconds = patience_seconds
        self.calls = []

    def ask(self, method, path, body=None, version='3.71'):
        """One call; returns the answer's document.

        :raises Refused: by the service, or because it is not there
        """
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                answer = requests.request(method, self._endpoint + path, json=body, timeout=30,
                                          headers={'OpenStack-API-Version': f'volume {version}'})
                break
            except requests.ConnectionError as fault:
                if time.monotonic() > deadline:
                    self.calls.append((method, path, body, None))
                    raise Refused(0, 'nobody answers') from fault
                time.sleep(0.05)
        self.calls.append((method, path, body, answer.status_code))
        if answer.status_code >= 400:
            raise Refused(answer.status_code, answer.text)
        return answer.json() if answer.content else {}

    def volume(self, volume_id):
        return self.ask('GET', f'/volumes/{volume_id}')['volume']

    def act(self, volume_id, action, body=None):
        return self.ask('POST', f'/volumes/{volume_id}/action', {action: body})

    def reserve(self, volume_id, server_id):
        return self.ask('POST', '/attachments', {'attachment': {
            'volume_uuid': volume_id, 'instance_uuid': server_id}})['attachment']['id']

    def connect(self, attachment_id):
        """Returns the connection info."""
        return self.ask('PUT', f'/attachments/{attachment_id}', {'attachment': {
            'connector': {**CONNECTOR, 'mountpoint': '/dev/vdb'}}})['attachment']['connection_info']

    def complete(self, attachment_id):
        self.ask('POST', f'/attachments/{attachment_id}/action', {'os-complete': {}})

    def delete(self, attachment_id):
        self.ask('DELETE', f'/attachments/{attachment_id}')


class ComputeService:
    """The service; a context.

    :param directory: for the sockets of the disks; its path must be short
    :param endpoint: of the block storage API, with the project
    :ivar hooks: point -> function, called when a swap gets there; what it raises fails the swap.
        Points: ``requested, created, connected, ready, pivoted, completed, detached, done``
    :ivar requests: (method, path) of what was asked of it
    :ivar swap_progress: what is said of a swap that runs, or None
    :ivar newest: the newest microversion that it speaks
    :ivar unavailable: how many questions are not answered but by a gateway
    :ivar loses_answers: whether requests to swap are done and not answered
    """

    def __init__(self, directory, endpoint, patience_seconds=20):
        self.directory = pathlib.Path(directory)
        self.storage = Storage(endpoint, patience_seconds)
        self.servers, self.hooks, self.requests, self.threads = {}, {}, [], []
        self.swap_progress, self.newest = None, NEWEST
        self.answers, self.loses_answers, self.unavailable = {}, False, 0
        self._disks = 0
        self._http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), self.handler())
        self._http.daemon_threads = True
        self._http.compute = self
        self.url = f'http://127.0.0.1:{self._http.server_port}/v2.1'
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @staticmethod
    def handler():
        """The class of what answers the requests."""
        return Handler

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._http.shutdown()
        self._http.server_close()
        self.storage.patience_seconds = 0
        for thread in self.threads:
            thread.join(30)
        for server in self.servers.values():
            for device in server.devices.values():
                device['disk'].close()

    def boot(self):
        """A new server, without volumes."""
        made = Server(str(uuid.uuid4()))
        self.servers[made.id] = made
        return made

    def attach(self, server, volume_id):
        """Attach a volume as Nova does; returns the disk of the guest."""
        attachment_id = self.storage.reserve(volume_id, server.id)
        info = self.storage.connect(attachment_id)
        disk = self.open(info)
        self.storage.complete(attachment_id)
        server.devices[volume_id] = {'attachment_id': attachment_id, 'disk': disk}
        return disk

    def open(self, info):
        """The disk of a guest that a connection info leads to."""
        self._disks += 1
        return guest_disk.GuestDisk(self.directory / f'disk-{self._disks}', info['device_path'])

    def detach(self, server, volume_id):
        """Detach a volume, as its user asks."""
        self.storage.act(volume_id, 'os-begin_detaching')
        device = server.devices.pop(volume_id)
        device['disk'].close()
        self.storage.delete(device['attachment_id'])

    def delete(self, server):
        """Delete a server: a swap of its volume is cut off, its volumes are let go."""
        del self.servers[server.id]
        for device in server.devices.values():
            device['disk'].cancel()
            device['disk'].close()
            self.storage.delete(device['attachment_id'])

    def at(self, point):
        """A swap has come to a point."""
        self.hooks.get(point, lambda: None)()

    def request_swap(self, server, old_id, new_id):
        """The part of a swap that its request does; the rest goes on in a thread."""
        self.at('requested')
        if server.vm_state not in SWAPPABLE or server.task_state is not None:
            raise Refused(409, f"Cannot 'swap_volume' instance {server.id} while it is in "
                               f'vm_state {server.vm_state}')
        device = server.devices.get(old_id)
        if device is None:
            raise Refused(404, f'Volume {old_id} is not attached')
        old = self._volume(old_id, 404)
        if not old.get('migration_status'):
            raise Refused(409, f'volume {old_id} is not migrating')
        new = self._volume(new_id, 400)
        if new['attachments'] or new['status'] == 'in-use':
            raise Refused(400, 'New volume must be detached in order to swap.')
        if new['size'] < old['size']:
            raise Refused(400, 'New volume must be the same size or larger.')
        try:
            self.storage.act(old_id, 'os-begin_detaching')
            attachment_id = self.storage.reserve(new_id, server.id)
        except Refused as refusal:
            raise Refused(400, refusal.args[1]) from refusal
        self.at('created')
        thread = threading.Thread(target=self._swap, daemon=True,
                                  args=(server, device, old_id, new_id, attachment_id))
        self.threads.append(thread)
        thread.start()

    def _volume(self, volume_id, status):
        try:
            return self.storage.volume(volume_id)
        except Refused as refusal:
            raise Refused(status, refusal.args[1]) from refusal

    def _swap(self, server, device, old_id, new_id, attachment_id):
        """The part of a swap that happens on the host."""
        storage, has_failed = self.storage, False
        try:
            info = storage.connect(attachment_id)
            self.at('connected')
            device['disk'].mirror(info['device_path'], lambda: self.at('ready'))
            self.at('pivoted')
            storage.complete(attachment_id)
            self.at('completed')
        except Exception as fault:  # noqa: BLE001 - as Nova does
            has_failed = True
            self.answers['fault'] = fault
            self._quietly(storage.act, old_id, 'os-roll_detaching')
            self._quietly(storage.delete, attachment_id)
        try:
            if not has_failed:
                storage.delete(device['attachment_id'])
                self.at('detached')
            said = storage.act(old_id, 'os-migrate_volume_completion', {
                'new_volume': new_id, 'error': has_failed})
        except Exception as fault:  # noqa: BLE001 - as Nova does
            self.answers['fault'] = fault
            return
        self.answers['completion'] = said
        if not has_failed:
            server.devices.pop(old_id, None)
            device['attachment_id'] = attachment_id
            server.devices[said['save_volume_id']] = device
        self.at('done')

    @staticmethod
    def _quietly(call, *arguments):
        with contextlib.suppress(Refused):
            call(*arguments)

    def settle(self, seconds=30):
        """Return when no swap is on its way."""
        for thread in self.threads:
            thread.join(seconds)
            assert not thread.is_alive(), 'a swap is stuck'


class Handler(http.server.BaseHTTPRequestHandler):
    ROUTE = re.compile(r'/v2\.1/servers/([^/]+)(?:/os-volume_attachments(?:/([^/]+))?)?')

    def do_GET(self):
        self._answer(self._get)

    def do_PUT(self):
        self._answer(self._put)

    def _get(self, server, volume_id):
        if self.server.compute.unavailable:
            self.server.compute.unavailable -= 1
            raise Refused(503, 'no')
        if not self.path.partition('/os-volume_attachments')[1]:
            return 200, server.document()
        if volume_id is None:
            return 200, {'volumeAttachments': [self._attachment(server, each)
                                               for each in server.devices]}
        if volume_id not in server.devices:
            raise Refused(404, f'Volume {volume_id} is not attached')
        return 200, {'volumeAttachment': self._attachment(server, volume_id)}

    def _attachment(self, server, volume_id):
        found = {'volumeId': volume_id, 'serverId': server.id, 'device': '/dev/vdb', 'tag': None,
                 'delete_on_termination': False, 'bdm_uuid': server.id,
                 'attachment_id': server.devices[volume_id]['attachment_id']}
        progress = self.server.compute.swap_progress
        return found if progress is None else {**found, 'swap_progress': progress}

    def _put(self, server, volume_id):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.compute.request_swap(server, volume_id, body['volumeAttachment']['volumeId'])
        if self.server.compute.loses_answers:
            raise Refused(0, 'the answer is lost')
        return 202, None

    def _answer(self, handle):
        def of_a_server():
            found = self.ROUTE.fullmatch(self.path)
            server = self.server.compute.servers.get(found.group(1)) if found else None
            if server is None:
                raise Refused(404, 'Instance could not be found.')
            return handle(server, found.group(2))
        self.answer(of_a_server)

    def answer(self, handle):
        """Answer with what a function returns, a status and a document, or with its refusal."""
        compute = self.server.compute
        compute.requests.append((self.command, self.path))
        try:
            self._refuse_version(compute.newest)
            status, document = handle()
        except Refused as refusal:
            status, text = refusal.args
            document = {FAULTS.get(status, 'computeFault'): {'code': status, 'message': text}}
        if status:
            self._send(status, document)
        else:
            self.close_connection = True

    def _refuse_version(self, newest):
        asked = self.headers.get('OpenStack-API-Version', 'compute 2.1').split()[1]
        if tuple(int(part) for part in asked.split('.')) > newest:
            raise Refused(406, f'Version {asked} is not supported by the API.')

    def _send(self, status, document):
        body = b'' if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Nothing on the terminal."""
