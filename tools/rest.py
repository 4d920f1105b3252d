"""The Block Storage API as short calls: for the quickstart, the tests and the benchmarks."""
# SPDX-License-Identifier: Apache-2.0

import time

import requests

LATEST = '3.76'

ENDED_PHASES = ('finished', 'failed', 'refused', 'unneeded', 'cancelled')

CONNECTOR = {'host': 'quickstart', 'ip': '127.0.0.1', 'initiator': None, 'multipath': False,
             'platform': 'x86_64', 'os_type': 'linux', 'do_local_attach': False}


class ApiError(Exception):
    """An answer with another code than the one expected."""

    def __init__(self, response):
        self.status = response.status_code
        self.body = response.text
        super().__init__(f'{response.request.method} {response.url}: {self.status} {self.body}')


class TimedOut(Exception):
    """What was waited for did not come."""


class Client:
    """Requests to one service.

    :param root: ``http://host:port``
    :param project_id: for the paths
    """

    def __init__(self, root, project_id):
        self.root = root
        self.endpoint = f'{root}/v3/{project_id}'
        self._session = requests.Session()

    def request(self, method, path, json=None, microversion=LATEST, token=None, timeout=60):
        """Send one request below ``/v3/{project_id}``; the answer as it is, whatever its code.

        :param microversion: None sends no header
        """
        headers = {}
        if microversion:
            headers['OpenStack-API-Version'] = f'volume {microversion}'
        if token:
            headers['X-Auth-Token'] = token
        return self._session.request(method, self.endpoint + path, json=json, headers=headers,
                                     timeout=timeout)

    def call(self, method, path, json=None, **kwargs):
        """The decoded body of a successful answer (None when empty).

        :raises ApiError: the code is 400 or more
        """
        response = self.request(method, path, json, **kwargs)
        if response.status_code >= 400:
            raise ApiError(response)
        return response.json() if response.content else None

    def get(self, path, **kwargs):
        return self.call('GET', path, **kwargs)

    def post(self, path, json, **kwargs):
        return self.call('POST', path, json, **kwargs)

    def delete(self, path, **kwargs):
        return self.call('DELETE', path, **kwargs)

    def create_type(self, name, extra_specs):
        body = {'volume_type': {'name': name, 'extra_specs': extra_specs}}
        return self.post('/types', body)['volume_type']

    def volume(self, volume_id):
        return self.get(f'/volumes/{volume_id}')['volume']

    def snapshot(self, snapshot_id):
        return self.get(f'/snapshots/{snapshot_id}')['snapshot']

    def create_volume(self, size_gib, wait=True, **values):
        """:param values: more of the body: name, volume_type, snapshot_id, source_volid ..."""
        made = self.post('/volumes', {'volume': {'size': size_gib, **values}})['volume']
        return self.wait_volume(made['id']) if wait else made

    def create_snapshot(self, volume_id, name=None, wait=True, **values):
        body = {'snapshot': {'volume_id': volume_id, 'name': name, **values}}
        made = self.post('/snapshots', body)['snapshot']
        return self.wait_snapshot(made['id']) if wait else made

    def wait_volume(self, volume_id, status='available', timeout=120):
        """The volume when it has a status.

        :raises TimedOut: it went to an error status, or time is up
        """
        return _wait_status(lambda: self.volume(volume_id), status, timeout)

    def wait_snapshot(self, snapshot_id, status='available', timeout=120):
        return _wait_status(lambda: self.snapshot(snapshot_id), status, timeout)

    def wait_gone(self, path, timeout=120):
        """Return when a GET of the path answers 404."""
        def gone():
            return self.request('GET', path).status_code == 404
        wait_for(gone, f'{path} to disappear', timeout)

    def delete_volume(self, volume_id):
        self.delete(f'/volumes/{volume_id}')
        self.wait_gone(f'/volumes/{volume_id}')

    def delete_snapshot(self, snapshot_id):
        self.delete(f'/snapshots/{snapshot_id}')
        self.wait_gone(f'/snapshots/{snapshot_id}')

    def attach(self, volume_id, mode='rw'):
        """Connect a volume to this host and complete the attachment.

        :returns: (attachment id, device path)
        """
        body = {'attachment': {'volume_uuid': volume_id, 'instance_uuid': None,
                               'connector': CONNECTOR, 'mode': mode}}
        made = self.post('/attachments', body)['attachment']
        self.post(f"/attachments/{made['id']}/action", {'os-complete': {}})
        return made['id'], made['connection_info']['device_path']

    def detach(self, attachment_id, volume_id):
        self.delete(f'/attachments/{attachment_id}')
        self.wait_volume(volume_id)

    def retype(self, volume_id, new_type, policy='on-demand-include-snapshots'):
        self.post(f'/volumes/{volume_id}/action',
                  {'os-retype': {'new_type': new_type, 'migration_policy': policy}})

    def migrate(self, volume_id, host, include_snapshots=False, lock_volume=False):
        self.post(f'/volumes/{volume_id}/action', {'os-migrate_volume': {
            'host': host, 'include_snapshots': include_snapshots, 'lock_volume': lock_volume}})

    def migration(self, migration_id):
        return self.get(f'/volume-migrations/{migration_id}')['volume_migration']

    def latest_migration(self, volume_id):
        """The newest record of a volume in full, or None."""
        found = self.get(f'/volume-migrations?volume_id={volume_id}')['volume_migrations']
        if not found:
            return None
        newest = max(found, key=lambda item: item['created_at'])
        return self.migration(newest['id'])

    def wait_migration(self, migration_id, phases=ENDED_PHASES, timeout=300):
        """The record when it is in one of some phases."""
        def reached():
            record = self.migration(migration_id)
            return record if record['phase'] in phases else None
        return wait_for(reached, f'migration {migration_id} to be {phases}', timeout)


def wait_for(attempt, what, timeout=60, interval=0.1):
    """Repeat ``attempt`` until it returns something true, and return that.

    :raises TimedOut: ``timeout`` seconds passed; names ``what``
    """
    deadline = time.monotonic() + timeout
    while True:
        found = attempt()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimedOut(f'Waited {timeout} s for {what}.')
        time.sleep(interval)


def _wait_status(show, status, timeout):
    def reached():
        found = show()
        if found['status'] != status and found['status'].startswith('error'):
            raise TimedOut(f"{found['id']} is {found['status']}, not {status}.")
        return found if found['status'] == status else None
    return wait_for(reached, f'status {status}', timeout)
