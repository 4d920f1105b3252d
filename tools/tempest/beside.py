"""Services that Tempest wants to see beside block storage: they have nothing, and say so.

Tempest skips or fails whole classes of volume tests without a network and an
image service, although most need none; it asks the network for the default
security group of every project that it removes.
"""
# SPDX-License-Identifier: Apache-2.0

import http.server
import json
import threading


class _Empty(http.server.BaseHTTPRequestHandler):
    """Every collection is empty, every version is 2.0."""

    def do_GET(self):
        name = self.path.partition('?')[0].rstrip('/').rpartition('/')[2].replace('-', '_')
        if name in ('', 'v2.0'):
            document = {'versions': [{'id': 'v2.0', 'status': 'CURRENT', 'links': []}]}
        else:
            document = {name: []}
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Nothing is worth a line."""


def start(running):
    """Serve it from a thread of this process until ``running`` ends; its URL."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Empty)
    threading.Thread(target=server.serve_forever, name='beside', daemon=True).start()
    running.callback(server.server_close)
    running.callback(server.shutdown)
    return f'http://127.0.0.1:{server.server_port}'
