"""A cloud with qcow2 volumes that servers use, and a compute service that takes part in snapshots.

The compute service is an HTTP server that writes down what it is asked; its servers run no guest:
what a guest would do to the files is done with qemu-img when a test says so.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import http.server
import json
import subprocess
import threading
import urllib.parse

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import (
    assisted_reports,
    assisted_snapshots,
    attachments,
    models,
    session,
    snapshots,
)

EXPORT = 'nfs.example.org:/volumes'
CONFIGURATION = """
[DEFAULT]
auth_strategy = noauth
quota_snapshots = -1
[nova]
endpoint_override = {url}
answer_timeout = 2
[alpha]
file_format = qcow2
file_export = {export}
"""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self._answer('POST', body)

    def do_DELETE(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        self._answer('DELETE', json.loads(query['delete_info'][0]))

    def _answer(self, method, document):
        nova = self.server
        path = urllib.parse.urlsplit(self.path).path
        nova.tokens.append(self.headers['X-Auth-Token'])
        nova.asked.append((method, path.removeprefix('/v2.1'), document))
        status = nova.answer(method, path, document)
        if status is None:
            # Nothing is answered until the caller gives up.
            nova.silence.wait(10)
            self.close_connection = True
            return
        body = b'' if status == 204 else json.dumps({}).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Nothing on the terminal."""


def answered(method, _path, _document):
    """The status of a compute service that takes part."""
    return 200 if method == 'POST' else 204


@contextlib.contextmanager
def compute_service():
    """The HTTP server; ``asked`` has (method, path, document) of every request, ``tokens`` its token.

    ``answer`` is a function(method, path, document) that returns the status; None: no answer.
    """
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    server.daemon_threads = True
    server.asked, server.tokens, server.silence = [], [], threading.Event()
    server.answer = answered
    server.url = f'http://127.0.0.1:{server.server_port}/v2.1'
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.silence.set()
        server.shutdown()
        thread.join()
        server.server_close()


@session.reader
def _snapshots(context):
    table = models.Snapshot
    return list(context.session.execute(
        sa.select(table.id).where(table.deleted_at.is_(None))).scalars())


class Work:
    """What users, their servers and the compute service do on a Cloud."""

    SERVER = '11111111-2222-4333-8444-555555555555'

    def __init__(self, cloud, nova):
        self.cloud, self.nova, self.context = cloud, nova, cloud.context
        self.layers = cloud.directory / 'alpha' / 'layers'
        self._earlier = set()
        self._earlier = self.names()
        nova.asked.clear()
        nova.answer = answered
        self.expire_after(600)
        if cloud.backends is None:
            cloud.start()

    def expire_after(self, seconds):
        """The compute service has to report within so long from now on."""
        self.cloud.conf.set_override('assisted_snapshot_deadline', seconds, 'nova')

    def forget_all(self):
        """No snapshot is left of which anything is to be done."""
        self.nova.silence.set()
        for snapshot_id in _snapshots(self.context):
            snapshots.mark_deleted(self.context, snapshot_id)
        self.nova.silence.clear()

    def attached(self, host='compute-1', volume_id=None):
        """A volume that a server uses; returns its id."""
        volume_id = volume_id or self.cloud.volume()
        self.attach(volume_id, host)
        return volume_id

    def attach(self, volume_id, host='compute-1', complete=True):
        made = attachments.reserve(self.context, volume_id, self.SERVER)
        attachments.connect(self.context, made.id, {'host': host, 'ip': '192.0.2.1'})
        self.cloud.volume_api.connect_attachment(
            self.context, self.cloud.row(volume_id).host, made.id)
        if complete:
            attachments.complete(self.context, made.id)
        return made.id

    def detach(self, volume_id):
        for each in attachments.of_volume(self.context, volume_id):
            attachments.begin_detach(self.context, each.id)
            self.cloud.volume_api.disconnect_attachment(
                self.context, self.cloud.row(volume_id).host, each.id)

    def files(self, volume_id):
        """The files that the volume's attachments name."""
        return {each.connection_info['name'] for each
                in attachments.of_volume(self.context, volume_id)}

    def ask_create(self, volume_id):
        row = snapshots.create(self.context, {'volume_id': volume_id}, force=True)
        self.cloud.volume_api.create_snapshot(
            self.context, self.cloud.row(volume_id).host, row.id)
        return row.id

    def ask_delete(self, snapshot_id, force=False):
        row = snapshots.get(self.context, snapshot_id)
        snapshots.begin_delete(self.context, snapshot_id, force)
        self.cloud.volume_api.delete_snapshot(
            self.context, self.cloud.row(row.volume_id).host, snapshot_id)

    def stage(self, snapshot_id):
        found = assisted_snapshots.find(self.context, snapshot_id)
        return None if found is None else found.stage

    def is_asked(self, snapshot_id):
        """Wait until the compute service has answered about a snapshot."""
        self.cloud.until(lambda: self.stage(snapshot_id) == 'asked')

    def report_alone(self, snapshot_id, *said):
        """A report whose message to the volume service is lost."""
        assert assisted_reports.take(self.context, snapshot_id, *said)

    def cloud_is_without(self, volume_id):
        try:
            self.cloud.row(volume_id)
        except exceptions.VolumeNotFound:
            return True
        return False

    def report(self, snapshot_id, status, progress=None, token=None):
        """As the API takes a report; returns whether the volume service was told."""
        is_work = assisted_reports.take(self.context, snapshot_id, status, progress, token)
        if is_work:
            row = snapshots.get(self.context, snapshot_id)
            self.cloud.volume_api.complete_snapshot(
                self.context, self.cloud.row(row.volume_id).host, snapshot_id)
        return is_work

    def becomes(self, snapshot_id, status):
        self.cloud.until(lambda: snapshots.get(self.context, snapshot_id).status == status)

    def is_gone(self, snapshot_id):
        self.cloud.until(lambda: not self._exists(snapshot_id))

    def _exists(self, snapshot_id):
        return any(each.id == snapshot_id for each in snapshots.of_volume(
            self.context, assisted_snapshots.volume_of(self.context, snapshot_id)))

    def snapshot(self, volume_id):
        """A snapshot of a volume that is used; returns its id."""
        snapshot_id = self.ask_create(volume_id)
        self.is_asked(snapshot_id)
        self.report(snapshot_id, 'creating', '90%')
        self.becomes(snapshot_id, 'available')
        return snapshot_id

    def noted(self, snapshot_id):
        return assisted_snapshots.noted(self.context, snapshot_id)

    def sweep(self):
        """As the periodic job does."""
        for service in self.cloud.backends._services:
            service._sweeper.poke()

    def names(self):
        """The files of the layers, without those that were there before."""
        return {path.name for path in self.layers.glob('*.qcow2')} - self._earlier

    def merge(self, request, active=None):
        """What a server does for a delete, with its guest at rest.

        :param active: the file that it has open; by default the only one on which none stands
        """
        if request['merge_target_file'] is None:
            name, = [active] if active else self._tops()
            base = request['file_to_merge']
            self._image('rebase', '-b', base or '', *(['-F', 'qcow2'] if base else []), name)
        else:
            above = [name for name in self.names()
                     if self._parent(name) == request['file_to_merge']]
            self._image('commit', '-d', request['file_to_merge'])
            for name in above:
                self._image('rebase', '-u', '-b', request['merge_target_file'], '-F', 'qcow2', name)

    def _tops(self):
        parents = {self._parent(name) for name in self.names()}
        return self.names() - parents

    def _parent(self, name):
        said = json.loads(self._image('info', '-U', '--output=json', name))
        return said.get('backing-filename')

    def _image(self, *words):
        return subprocess.run(['qemu-img', *words], cwd=self.layers, check=True,
                              capture_output=True, timeout=30).stdout

    def write(self, name, offset, pattern):
        """A guest writes 4 KiB of one byte to the file that it has open."""
        subprocess.run(['qemu-io', '-c', f'write -P {pattern} {offset} 4096', name],
                       cwd=self.layers, check=True, capture_output=True, timeout=30)

    def reads(self, name, offset, pattern):
        done = subprocess.run(['qemu-io', '-r', '-c', f'read -P {pattern} {offset} 4096', name],
                              cwd=self.layers, check=True, capture_output=True, timeout=30)
        return b'Pattern verification failed' not in done.stdout
