"""Stand-ins of the services beside this one: what the ``openstack`` client asks Keystone and Nova.

One HTTP server on the loopback interface.  It issues tokens to whoever asks and checks none: a
token is ``user:project``, which the block storage service believes with ``auth_strategy =
noauth``.  It knows the projects and the servers it was made with.
"""
# SPDX-License-Identifier: Apache-2.0

import http.server
import json
import threading
import urllib.parse

CLOUD = """\
  {user}:
    auth:
      auth_url: {url}/identity/v3
      username: {user}
      password: {user}
      project_name: {project}
      user_domain_id: default
      project_domain_id: default
    region_name: RegionOne
"""


class Neighbours:
    """Keystone and Nova, as far as the client looks at them.

    :param block_storage: URL of the endpoint, ``{project_id}`` where that of the token belongs
    :param users: name -> name of the project; their ids are their names
    :param projects: name -> id
    :param servers: name -> id
    """

    def __init__(self, block_storage, users, projects, servers):
        self._http = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
        self._http.neighbours = self
        self.url = f'http://127.0.0.1:{self._http.server_port}'
        self.block_storage = block_storage
        self.users = users
        self.projects = projects
        self.servers = servers
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def clouds(self):
        """Text of a clouds.yaml with a cloud per user, named like the user."""
        return 'clouds:\n' + ''.join(CLOUD.format(url=self.url, user=user, project=project)
                                     for user, project in self.users.items())

    def token(self, body):
        """Id and body of the token for the body of POST /v3/auth/tokens."""
        user = body['auth']['identity']['password']['user']['name']
        name = body['auth']['scope']['project']['name']
        project_id = self.projects[name]
        domain = {'id': 'default', 'name': 'Default'}
        return f'{user}:{project_id}', {'token': {
            'methods': ['password'], 'issued_at': '2026-01-01T00:00:00.000000Z',
            'expires_at': '2099-01-01T00:00:00.000000Z',
            'user': {'id': user, 'name': user, 'domain': domain},
            'project': {'id': project_id, 'name': name, 'domain': domain},
            'roles': [{'id': user, 'name': user}],
            'catalog': [_service('block-storage', self.block_storage.format(project_id=project_id)),
                        _service('identity', f'{self.url}/identity'),
                        _service('compute', f'{self.url}/compute/v2.1')]}}

    def answer(self, path, name):
        """The document of a GET, or None.

        :param name: the value of ``name`` in the query, or None
        """
        known = {'': self._versions, 'identity/v3': self._identity_version,
                 'identity': self._versions, 'compute/v2.1': self._compute_version,
                 'compute/v2.1/limits': self._compute_limits}
        if path in known:
            return known[path]()
        for collection, kind, present in (
                ('identity/v3/projects', 'project', self.projects),
                ('identity/v3/users', 'user', {user: user for user in self.users}),
                ('compute/v2.1/servers', 'server', self.servers)):
            found = self._entity(path, collection, kind, present, name)
            if found is not None:
                return found
        return None

    def _entity(self, path, collection, kind, present, name):
        """A list (by name), or one by its id."""
        found = [{'id': each_id, 'name': each} for each, each_id in present.items()
                 if name in (None, each)]
        if path in (collection, f'{collection}/detail'):
            return {f'{kind}s': found, 'links': {}}
        for each in found:
            if path == f"{collection}/{each['id']}":
                return {kind: each}
        return None

    def _versions(self):
        return {'versions': {'values': [self._identity_version()['version']]}}

    def _identity_version(self):
        return {'version': {'id': 'v3.14', 'status': 'stable', 'links': [
            {'rel': 'self', 'href': f'{self.url}/identity/v3/'}]}}

    def _compute_limits(self):
        return {'limits': {'absolute': {'maxTotalInstances': 10}, 'rate': []}}

    def _compute_version(self):
        return {'version': {'id': 'v2.1', 'status': 'CURRENT', 'version': '2.96',
                            'min_version': '2.1', 'links': [
                                {'rel': 'self', 'href': f'{self.url}/compute/v2.1/'}]}}


def _service(kind, url):
    return {'id': kind, 'type': kind, 'name': kind, 'endpoints': [
        {'id': f'{kind}-public', 'interface': 'public', 'region': 'RegionOne',
         'region_id': 'RegionOne', 'url': url}]}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        name, = urllib.parse.parse_qs(parts.query).get('name', [None])
        document = self.server.neighbours.answer(parts.path.strip('/'), name)
        if document is None:
            self._send(404, {'error': {'code': 404, 'title': 'Not Found', 'message': self.path}})
        else:
            self._send(200, document)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        token, document = self.server.neighbours.token(body)
        self._send(201, document, {'X-Subject-Token': token})

    def _send(self, status, document, headers=()):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Nothing on the terminal."""
