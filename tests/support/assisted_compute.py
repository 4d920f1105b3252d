"""A compute service that takes part in snapshots: Nova's side of ``os-assisted-volume-snapshots``.

Its servers are ``qcow2_guest.Guest``s, whose disks come by ``nfs``; an export is a directory here.
What it does, in which order, is what Nova's API and libvirt driver do:

at the door
    the body is checked by Nova's schema; the volume must be one that a server has, and nothing
    else may be under way with that server; then 200 or 204, and the rest happens on the host.
create
    the guest goes on in ``new_file``, which lies beside the file it writes to.  ``creating`` with
    90 % is reported, then the snapshot is asked for each half second until it is no longer
    ``creating``; then the attachment's connection info is read again.  ``error`` when it went
    wrong.
delete
    ``file_to_merge`` is committed into ``merge_target_file``, or, without one, all that is above
    ``file_to_merge`` is pulled into the active file.  ``deleting`` with 90 % is reported and the
    connection info read again.  ``error_deleting`` when it went wrong.

A report that fails is forgotten.  A ``Manner`` says how the next request goes wrong.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import contextlib
import dataclasses
import json
import os
import threading
import urllib.parse

import compute_service
import jsonschema
import qcow2_guest
from compute_service import Refused

PREFIX = '/v2.1/os-assisted-volume-snapshots'
_WORD = {'type': 'string', 'minLength': 1}
_CREATE = {
    'type': 'object', 'additionalProperties': False, 'required': ['snapshot'],
    'properties': {'snapshot': {
        'type': 'object', 'additionalProperties': False, 'required': ['volume_id', 'create_info'],
        'properties': {'volume_id': _WORD, 'create_info': {
            'type': 'object', 'additionalProperties': False,
            'required': ['snapshot_id', 'type', 'new_file'],
            'properties': {'snapshot_id': _WORD, 'type': {'type': 'string', 'enum': ['qcow2']},
                           'new_file': _WORD, 'id': _WORD}}}}}}
_TOKENS = {'creating': ('creating', 'creating_compute_complete'),
           'deleting': ('deleting', 'deleting_compute_complete'),
           'error': ('error', 'error'), 'error_deleting': ('error_deleting', 'error')}
"""What is reported -> (status, compute_snapshot_status)."""


@dataclasses.dataclass
class Manner:
    """How one request is treated.

    :ivar refusal: status that is answered at the door; nothing is done
    :ivar answers: False: it is taken, and the connection ends without an answer
    :ivar silent: it is taken, and nothing is done
    :ivar waits: threading.Event, before anything is done
    :ivar fails: nothing is done, and that is reported
    :ivar kills_guest: QEMU is killed in the middle of a merge, or before a snapshot
    :ivar report_waits: threading.Event, between what is done and the report
    :ivar reports: how often it is reported
    """

    refusal: int = 0
    answers: bool = True
    silent: bool = False
    waits: threading.Event | None = None
    fails: bool = False
    kills_guest: bool = False
    report_waits: threading.Event | None = None
    reports: int = 1


class AssistedCompute(compute_service.ComputeService):
    """The service; a context.

    :param exports: of the backends: what ``export`` says -> directory
    :ivar kind: of guests that are started: ``daemon`` or ``machine``
    :ivar manners: of the next requests, one each
    :ivar manner: of those that come after them
    :ivar asked: (id of the snapshot, what was asked) of each request that passed the door
    :ivar swallowed: reports and questions that went wrong, and what was wrong
    :ivar speaks_tokens: whether reports are those of 3.75
    :ivar poll_seconds: between two questions for a snapshot that is being made
    """

    def __init__(self, directory, endpoint, exports, patience_seconds=20):
        super().__init__(directory, endpoint, patience_seconds)
        self.exports, self.kind = dict(exports), 'daemon'
        self.manners, self.manner = collections.deque(), Manner()
        self.asked, self.swallowed = [], []
        self.speaks_tokens, self.poll_seconds = False, 0.5
        self._closing = threading.Event()

    @staticmethod
    def handler():
        return Handler

    def __exit__(self, *exc_info):
        self._closing.set()
        super().__exit__(*exc_info)

    # Servers

    def open(self, info):
        assert info['driver_volume_type'] == 'nfs', info
        assert info['format'] == 'qcow2', info
        return qcow2_guest.Guest(self.path_of(info), self.kind)

    def path_of(self, info):
        """Where a connection info leads, with the exports mounted."""
        return os.path.join(self.exports[info['export']], info['name'])

    def attach(self, server, volume_id):
        disk = super().attach(server, volume_id)
        self.refresh(server.devices[volume_id])
        return disk

    def refresh(self, device):
        """Read the connection info of an attachment, and keep it for the next start."""
        found = self.storage.ask('GET', f"/attachments/{device['attachment_id']}")
        device['connection_info'] = found['attachment']['connection_info']

    def reboot(self, server, volume_id):
        """Start a server anew, hard: its disk is what the stored connection info says now."""
        device = server.devices[volume_id]
        if device['disk'].is_alive:
            device['disk'].close()
        self.refresh(device)
        device['disk'] = self.open(device['connection_info'])
        return device['disk']

    # Requests

    def take_create(self, body):
        """A request to make a snapshot; returns the status and the document of the answer."""
        manner = self._manner()
        try:
            jsonschema.validate(body, _CREATE)
        except jsonschema.ValidationError as fault:
            raise Refused(400, fault.message) from fault
        volume_id, info = body['snapshot']['volume_id'], body['snapshot']['create_info']
        device = self._device(volume_id)
        self._begin(manner, info['snapshot_id'], info, self._create, device)
        return 200, {'snapshot': {'id': info.get('id'), 'volumeId': volume_id}}

    def take_delete(self, snapshot_id, query):
        """A request to merge a layer away."""
        manner = self._manner()
        if set(query) != {'delete_info'}:
            raise Refused(400, 'Additional query parameters are not allowed')
        try:
            info = json.loads(query['delete_info'][0])
            device = self._device(info['volume_id'])
        except (ValueError, KeyError) as fault:
            raise Refused(400, str(fault)) from fault
        self._begin(manner, snapshot_id, info, self._delete, device)
        return 204, None

    def _manner(self):
        return self.manners.popleft() if self.manners else self.manner

    def _device(self, volume_id):
        """How a server has a volume.

        :raises Refused: none has it, or one that is busy
        """
        for server in self.servers.values():
            if volume_id in server.devices:
                if server.task_state is not None:
                    raise Refused(400, f'Instance {server.id} is in task_state {server.task_state}')
                return server.devices[volume_id]
        raise Refused(400, f'No volume Block Device Mapping with id {volume_id}.')

    def _begin(self, manner, snapshot_id, info, work, device):
        if manner.refusal:
            raise Refused(manner.refusal, 'not now')
        self.asked.append((snapshot_id, info))
        if not manner.silent:
            thread = threading.Thread(target=work, daemon=True, name='host',
                                      args=(manner, snapshot_id, info, device))
            self.threads.append(thread)
            thread.start()
        if not manner.answers:
            raise Refused(0, 'the answer is lost')

    # On the host

    def _create(self, manner, snapshot_id, info, device):
        try:
            self._wait(manner.waits)
            self._spoil(manner, device['disk'])
            guest = device['disk']
            guest.snapshot(os.path.join(os.path.dirname(guest.path), info['new_file']))
        except Exception as fault:  # noqa: BLE001 - as Nova does
            self._report(manner, snapshot_id, 'error', fault)
            return
        self._report(manner, snapshot_id, 'creating')
        with self._swallowing(snapshot_id):
            while not self._closing.wait(self.poll_seconds) and self._is_creating(snapshot_id):
                pass
            self.refresh(device)

    def _is_creating(self, snapshot_id):
        """Whether to ask again; a snapshot that was deleted meanwhile is not being made."""
        try:
            return self.storage.ask(
                'GET', f'/snapshots/{snapshot_id}')['snapshot']['status'] == 'creating'
        except Refused as refusal:
            if refusal.args[0] == 404:
                return False
            raise

    def _delete(self, manner, snapshot_id, info, device):
        try:
            self._wait(manner.waits)
            self._merge(manner, device['disk'], info)
        except Exception as fault:  # noqa: BLE001 - as Nova does
            self._report(manner, snapshot_id, 'error_deleting', fault)
            return
        self._report(manner, snapshot_id, 'deleting')
        with self._swallowing(snapshot_id):
            self.refresh(device)

    def _merge(self, manner, guest, info):
        if info['type'] != 'qcow2':
            raise qcow2_guest.Refusal(f"Unknown delete_info type {info['type']}")
        if manner.fails:
            raise qcow2_guest.Refusal('it fails')
        on_running = guest.kill if manner.kills_guest else lambda: None
        if info['merge_target_file'] is None:
            guest.stream(info['file_to_merge'], on_running)
        else:
            guest.commit(info['file_to_merge'], info['merge_target_file'], on_running)

    @staticmethod
    def _spoil(manner, guest):
        if manner.fails:
            raise qcow2_guest.Refusal('it fails')
        if manner.kills_guest:
            guest.kill()

    def _wait(self, event):
        while event is not None and not event.wait(0.1):
            assert not self._closing.is_set(), 'nobody has let it go on'

    def _report(self, manner, snapshot_id, status, fault=None):
        """Tell the block storage service how it went; what is wrong with that is swallowed."""
        if fault is not None:
            self.swallowed.append((snapshot_id, fault))
        self._wait(manner.report_waits)
        status, token = _TOKENS[status]
        body = {'status': status, 'progress': '90%'}
        version = '3.0'
        if self.speaks_tokens:
            body, version = {'status': status, 'compute_snapshot_status': token}, '3.75'
        for _ in range(manner.reports):
            with self._swallowing(snapshot_id):
                self.storage.ask('POST', f'/snapshots/{snapshot_id}/action',
                                 {'os-update_snapshot_status': body}, version)

    @contextlib.contextmanager
    def _swallowing(self, snapshot_id):
        try:
            yield
        except Exception as fault:  # noqa: BLE001 - as Nova does
            self.swallowed.append((snapshot_id, fault))


class Handler(compute_service.Handler):
    """The requests of both kinds."""

    def do_POST(self):
        self.answer(self._create)

    def do_DELETE(self):
        self.answer(self._delete)

    def _create(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        if self.path != PREFIX:
            raise Refused(404, self.path)
        return self.server.compute.take_create(json.loads(body))

    def _delete(self):
        path, _, query = self.path.partition('?')
        prefix, _, snapshot_id = path.rpartition('/')
        if prefix != PREFIX:
            raise Refused(404, self.path)
        return self.server.compute.take_delete(snapshot_id, urllib.parse.parse_qs(query))
