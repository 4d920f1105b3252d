"""Services that Tempest or ours wants to see beside block storage.

Tempest skips or fails whole classes of volume tests without a network and an
image service, although most need none; it asks the network for the default
security group of every project that it removes.  Those two have nothing, and
say so.  The compute service knows what servers use, as far as it is told.
"""
# SPDX-License-Identifier: Apache-2.0

import functools
import http.server
import json
import threading


class _Handler(http.server.BaseHTTPRequestHandler):
    """Every collection is empty, every version is 2.0."""

    def __init__(self, used, *rest):
        self._used = used
        super().__init__(*rest)

    def do_GET(self):
        words = self.path.partition('?')[0].strip('/').split('/')
        name = words[-1].replace('-', '_')
        if words[-2:-1] == ['os-volume_attachments']:
            self._tell_use(words[-3], words[-1])
        elif name in ('', 'v2.0'):
            self._answer({'versions': [{'id': 'v2.0', 'status': 'CURRENT', 'links': []}]})
        else:
            self._answer({name: []})

    def _tell_use(self, server_id, volume_id):
        attachment_id = self._used.get((server_id, volume_id))
        if attachment_id is None:
            self._answer({'itemNotFound': {'code': 404, 'message': 'It does not use it.'}}, 404)
        else:
            self._answer({'volumeAttachment': {
                'serverId': server_id, 'volumeId': volume_id, 'attachment_id': attachment_id}})

    def _answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Nothing is worth a line."""


class Beside:
    """Those services, on a thread of this process until ``running`` ends.

    :ivar url: of each of them
    :ivar used: (server id, volume id) -> id of the attachment by which the server uses it
    """

    def __init__(self, running):
        self.used = {}
        server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), functools.partial(_Handler, self.used))
        threading.Thread(target=server.serve_forever, name='beside', daemon=True).start()
        running.callback(server.server_close)
        running.callback(server.shutdown)
        self.url = f'http://127.0.0.1:{server.server_port}'

    def register(self, keystone):
        """Put them into the catalogue."""
        for name, kind in (('neutron', 'network'), ('glance', 'image'), ('nova', 'compute')):
            keystone.register(name, kind, self.url)
