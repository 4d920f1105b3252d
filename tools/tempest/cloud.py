"""API, scheduler and volume service of this checkout, a process each, behind Keystone."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import sys
import time

import daemons
import identity
import requests

DEFAULT_TYPE = 'plain'
BACKENDS = {'first': 'alpha', 'second': 'beta'}
"""Section -> volume_backend_name; Tempest's tests want two names."""
REPLICATING = 'first'
"""The section with a replication target; Tempest wants one with and one without."""

POLICY = """\
"snapshot_extension:snapshot_actions:update_snapshot_status": "rule:xena_system_admin_or_project_member"
"""
"""One test reports on a snapshot as a member, which our default forbids and upstream's allows."""


class Cloud:
    """The block storage service.

    :param running: daemons.Daemons that its processes become some of
    :param state: directory for its configuration and volumes
    :param keystone: identity.Keystone, running
    :param servers: servers.Servers
    """

    def __init__(self, running, state, keystone, servers):
        self._running = running
        self._state = state
        self._keystone = keystone
        self._port = daemons.any_free_port()
        self._config = state / 'cinder-ext.conf'
        self.url = f'http://127.0.0.1:{self._port}/v3'
        for section in (*BACKENDS, 'remote'):
            (state / section).mkdir(parents=True)
        (state / 'policy.yaml').write_text(POLICY)
        identity.write_config(self._config, self._sections(servers))

    def start(self):
        """Make the tables and start the three services."""
        self._running.run('manage', _command('manage'), '--config-file', self._config, 'db', 'sync')
        self._start('scheduler')
        self._start('volume')
        self._running.await_answer('api', self._start('api'), self.url + '/')
        self._call('POST', '/types', {'volume_type': {'name': DEFAULT_TYPE}})
        self._await_backends()

    def _await_backends(self, timeout=30):
        deadline = time.monotonic() + timeout
        while len(self._call('GET', '/scheduler-stats/get_pools')['pools']) < len(BACKENDS):
            if time.monotonic() > deadline:
                raise daemons.Failed(f"The backends do not report:\n{self._running.tail('volume')}")
            time.sleep(0.2)

    def _call(self, method, path, body=None):
        answer = requests.request(method, self.url + path, json=body, timeout=60,
                                  headers={'X-Auth-Token': self._keystone.admin_token()})
        if not answer.ok:
            raise daemons.Failed(f'{method} {path}: {answer.status_code} {answer.text}')
        return answer.json()

    def _start(self, name):
        return self._running.start(name, _command(name), '--config-file', self._config)

    def register(self):
        """Its service user and its two entries in the catalogue."""
        keystone = self._keystone
        project_id = keystone.create_project('service')
        keystone.create_user('cinder', keystone.service_password, project_id, 'admin', 'service')
        keystone.register('cinder', 'block-storage', self.url)
        keystone.register('cinderv3', 'volumev3', self.url + '/%(project_id)s')

    def _sections(self, servers):
        sections = {
            'DEFAULT': {
                'auth_strategy': 'keystone', 'transport_url': servers.broker, 'host': 'host',
                'state_path': self._state, 'enabled_backends': ','.join(BACKENDS),
                'default_volume_type': DEFAULT_TYPE, 'debug': 'true',
                'capacity_report_interval': 5},
            'database': {'connection': servers.database('cinder')},
            'flows': {'connection': servers.database('flows')},
            'api': {'port': self._port},
            'oslo_policy': {'policy_file': self._state / 'policy.yaml'},
            'keystone_authtoken': {
                'auth_type': 'password', 'auth_url': self._keystone.url, 'username': 'cinder',
                'password': self._keystone.service_password, 'project_name': 'service',
                'user_domain_id': 'default', 'project_domain_id': 'default',
                'www_authenticate_uri': self._keystone.url, 'memcached_servers': servers.memcached,
                'service_token_roles': 'service', 'service_token_roles_required': 'true'},
        }
        for section, name in BACKENDS.items():
            sections[section] = {'volume_driver': 'file', 'volume_backend_name': name,
                                 'file_path': self._state / section}
        sections[REPLICATING]['replication_device'] = (
            f"backend_id:remote,path:{self._state / 'remote'},modes:async")
        return sections


def _command(name):
    return pathlib.Path(sys.prefix) / 'bin' / f'cinder-ext-{name}'
