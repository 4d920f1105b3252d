"""The hint ``local_to_instance``, with a small HTTP server in the compute service's place."""
# SPDX-License-Identifier: Apache-2.0

import http.server
import json
import threading
import uuid

import pytest

HOST = 'OS-EXT-SRV-ATTR:host'


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, document = self.server.answers.get(self.path, (404, {}))
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Nothing on the terminal."""


@pytest.fixture
def compute():
    """The compute service: ``answers`` has (status, document) by path."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    server.answers = {}
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def near(make_cloud, compute):
    """near(server) -> the reasons why a volume with the hint is in error, or its host."""
    cloud = make_cloud(more=f"""
[DEFAULT]
scheduler_default_filters = InstanceLocalityFilter,CapacityFilter
auth_strategy = noauth
[nova]
auth_type = none
endpoint_override = http://127.0.0.1:{compute.server_port}
""")
    cloud.start()

    def ask(hint, status='available'):
        volume_id = cloud.volume(status, volume_type_id=None,
                                 request={'scheduler_hints': {'local_to_instance': hint}})
        told = cloud.told(volume_id)
        return told[0][2] if told else cloud.row(volume_id).host

    return ask


@pytest.mark.parametrize(('host', 'project', 'status', 'expected'), [
    ('node', 'project', 'available', 'node@'),
    ('elsewhere', 'project', 'error', 'is on another host'),
    ('node', 'another', 'error', 'there is no such server'),
])
def test_volume_goes_to_the_host_of_a_server_of_its_project(near, compute, host, project, status,
                                                           expected):
    server_id = str(uuid.uuid4())
    compute.answers[f'/servers/{server_id}'] = (
        200, {'server': {'id': server_id, 'tenant_id': project, HOST: host}})
    assert expected in near(server_id, status)


@pytest.mark.parametrize(('answer', 'expected'), [
    ((404, {}), 'there is no such server'),
    ((500, {}), 'did not say where the server is'),
    ((200, {'server': {'tenant_id': 'project'}}), 'did not say where the server is'),
    ((200, []), 'did not say where the server is'),
])
def test_server_that_cannot_be_found_is_a_refusal_with_its_reason(near, compute, answer, expected):
    server_id = str(uuid.uuid4())
    compute.answers[f'/servers/{server_id}'] = answer
    assert expected in near(server_id, 'error')


@pytest.mark.parametrize('hint', ['x', ['x'], 5, '../servers'])
def test_hint_that_names_no_server_is_refused(near, hint):
    assert 'it names no server' in near(hint, 'error')
