"""A database server ends and starts again while the API is asked: 503 meanwhile, and never a 500."""
# SPDX-License-Identifier: Apache-2.0

import collections
import contextlib
import threading
import time

import embedded
import pytest
import rest
import servers

OWN = [(name, f'{name.upper()}_URL_BASE') for name in ('mariadb', 'postgresql')
       if {'mariadb': 'mysql'}.get(name, name) in map(servers.kind, servers.database_urls())]
SECONDS = 60


class Asker(threading.Thread):
    """Asks for one volume again and again: shown, listed, renamed, extended, and a snapshot taken.

    :ivar answers: (method, status) -> how many; a 503 without Retry-After has status 'no time'
    :ivar size: of the volume by the last extend that was accepted, or was done without an answer
    """

    def __init__(self, root):
        super().__init__(daemon=True)
        self._api = rest.Client(root, embedded.PROJECT_ID)
        self.volume_id = self._api.create_volume(1)['id']
        self.path = f'/volumes/{self.volume_id}'
        self.answers, self.size, self.is_done = collections.Counter(), 1, False

    def run(self):
        number = 0
        while not self.is_done:
            number += 1
            shown = self._ask('GET', self.path)
            if shown.ok:
                self.size = max(self.size, shown.json()['volume']['size'])
            self._ask('GET', '/volumes/detail?limit=5')
            self._ask('PUT', self.path, {'volume': {'name': f'name {number}'}})
            self._ask('POST', '/snapshots', {'snapshot': {'volume_id': self.volume_id}})
            if self._ask('POST', f'{self.path}/action',
                         {'os-extend': {'new_size': self.size + 1}}).status_code == 202:
                self.size += 1

    def _ask(self, method, path, body=None):
        response = self._api.request(method, path, body)
        status = response.status_code
        if status == 503 and not response.headers.get('Retry-After', '').isdigit():
            status = 'no time'
        self.answers[method, status] += 1
        return response

    def has_had(self, statuses):
        return all(any(found[0] == method and found[1] in statuses for found in self.answers)
                   for method in ('GET', 'PUT', 'POST'))


def _await(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def deployed(own_server, tmp_path, request):
    """(the server of the database, the embedded service on it)."""
    server = own_server(*request.param)
    url = server.proxy.url(server.url + '/cinder_ext')
    made = embedded.EmbeddedService(tmp_path / 'state', options={
        'DEFAULT': {'sweep_interval': 1}, 'database': {'connection': url}})
    servers.make_empty(server.url + '/cinder_ext')
    try:
        made.start(SECONDS)
        made.create_types()
        yield server, made
    finally:
        made.kill()


@pytest.mark.parametrize('deployed', OWN, indirect=True, ids=lambda own: own[0])
def test_a_server_ends_and_starts_while_the_api_is_asked(deployed, record_property):
    server, service = deployed
    askers = [Asker(service.api.root) for _ in range(4)]
    for each in askers:
        each.start()
    counts = collections.Counter()
    for end in (server.stop, None):
        _meet(askers, counts, (200, 202))
        with contextlib.nullcontext() if end else server.dead():
            if end:
                end()
            _meet(askers, counts, (503,))
        if end:
            server.start()
        _meet(askers, counts, (200, 202))
    for each in askers:
        each.is_done = True
        each.join(SECONDS)
        counts.update(each.answers)
    record_property('answers', str(counts))
    # 400: what was asked for before is still being done.
    assert {status for _, status in counts} <= {200, 202, 400, 503}, service.log_tail(80)
    _await(lambda: _statuses(service.api) == {'available'})
    for each in askers:
        assert service.api.volume(each.volume_id)['size'] - each.size in (0, 1)
    assert service.api.get('/messages')['messages'] == []


def _statuses(api):
    return {each['status'] for kind in ('volumes', 'snapshots')
            for each in api.get(f'/{kind}/detail')[kind]}


def _meet(askers, counts, statuses):
    """Wait until every asker has had one of these answers to each method from now on."""
    for each in askers:
        counts.update(each.answers)
        each.answers = collections.Counter()
    _await(lambda: all(each.has_had(statuses) for each in askers))
