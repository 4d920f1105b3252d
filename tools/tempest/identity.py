"""Keystone on a private port, bootstrapped, with the services in its catalogue."""
# SPDX-License-Identifier: Apache-2.0

import configparser
import secrets

import daemons
import environments
import requests

REGION = 'RegionOne'


def write_config(path, sections):
    """Write an INI file that only its owner may read."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_dict({section: {key: str(value) for key, value in options.items()}
                      for section, options in sections.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with open(path, 'w', encoding='utf-8') as stream:
        parser.write(stream)


class Keystone:
    """The identity service.

    :param running: daemons.Daemons that it becomes one of
    :param state: directory for its configuration and keys
    :param database: URL of its empty database
    :param memcached: host:port, or None
    """

    def __init__(self, running, state, database, memcached=None):
        self._running = running
        self._state = state
        self._port = daemons.any_free_port()
        self._headers = {}
        self.url = f'http://127.0.0.1:{self._port}/v3'
        self.admin_password = secrets.token_urlsafe(16)
        self.service_password = secrets.token_urlsafe(16)
        self._config = state / 'keystone.conf'
        write_config(self._config, _sections(state, database, memcached))
        (state / 'gunicorn.conf.py').write_text(
            f"wsgi_app = 'keystone.wsgi.api:application'\nbind = '127.0.0.1:{self._port}'\n"
            f"workers = 2\naccesslog = '{state / 'access.log'}'\n")

    @property
    def _environment(self):
        # No words on the command line: Keystone takes those of gunicorn for its own.
        return {'OS_KEYSTONE_CONFIG_FILES': str(self._config),
                'GUNICORN_CMD_ARGS': f"--config {self._state / 'gunicorn.conf.py'}"}

    def start(self):
        """Make its tables and keys, and start it."""
        self._manage('db_sync')
        for each in ('fernet_setup', 'credential_setup'):
            self._manage(each, '--keystone-user', 'root', '--keystone-group', 'root')
        self._running.run(
            'keystone-manage', environments.python_of('keystone').with_name('keystone-manage'),
            '--config-file', self._config, 'bootstrap', '--bootstrap-region-id', REGION,
            *(word for kind in ('public', 'internal', 'admin')
              for word in (f'--bootstrap-{kind}-url', self.url)),
            environment={'OS_BOOTSTRAP_PASSWORD': self.admin_password})
        process = self._running.start(
            'keystone', environments.python_of('keystone').with_name('gunicorn'),
            environment=self._environment)
        self._running.await_answer('keystone', process, self.url)

    def _manage(self, *words):
        command = environments.python_of('keystone').with_name('keystone-manage')
        self._running.run('keystone-manage', command, '--config-file', self._config, *words)

    def token(self, user, password, scope):
        """A new token.

        :param scope: as in the body of POST /v3/auth/tokens
        """
        answer = requests.post(f'{self.url}/auth/tokens', timeout=60, json={'auth': {
            'identity': {'methods': ['password'], 'password': {'user': {
                'name': user, 'password': password, 'domain': {'id': 'default'}}}},
            'scope': scope}})
        answer.raise_for_status()
        return answer.headers['X-Subject-Token']

    def admin_token(self, scope=None):
        return self.token('admin', self.admin_password, scope or project('admin'))

    def call(self, method, path, body=None):
        """A request of the administrator; what the answer holds, decoded."""
        if not self._headers:
            self._headers = {'X-Auth-Token': self.admin_token()}
        answer = requests.request(method, self.url + path, json=body, headers=self._headers, timeout=60)
        if not answer.ok:
            raise daemons.Failed(f'{method} {path}: {answer.status_code} {answer.text}')
        return answer.json() if answer.content else None

    def create_project(self, name):
        return self.call('POST', '/projects', {'project': {'name': name}})['project']['id']

    def create_user(self, name, password, project_id, *roles):
        """A user with roles in a project; its id."""
        user = self.call('POST', '/users', {'user': {'name': name, 'password': password}})['user']
        known = {role['name']: role['id'] for role in self.call('GET', '/roles')['roles']}
        for role in roles:
            self.call('PUT', f"/projects/{project_id}/users/{user['id']}/roles/{known[role]}")
        return user['id']

    def register(self, name, kind, url):
        """Put a service with its three endpoints into the catalogue."""
        service = self.call('POST', '/services', {'service': {'name': name, 'type': kind}})['service']
        for interface in ('public', 'internal', 'admin'):
            self.call('POST', '/endpoints', {'endpoint': {
                'service_id': service['id'], 'interface': interface, 'region_id': REGION, 'url': url}})


def project(name):
    """A scope: a project of the default domain."""
    return {'project': {'name': name, 'domain': {'id': 'default'}}}


def _sections(state, database, memcached):
    # Four rounds, the least that is allowed: a password is hashed for every user that a test makes.
    sections = {
        'DEFAULT': {'log_file': state / 'keystone.log'},
        'database': {'connection': database},
        'identity': {'password_hash_rounds': 4},
        'fernet_tokens': {'key_repository': state / 'fernet-keys'},
        'credential': {'key_repository': state / 'credential-keys'},
    }
    if memcached:
        sections['cache'] = {'enabled': 'true', 'backend': 'oslo_cache.memcache_pool',
                             'memcache_servers': memcached}
    return sections
