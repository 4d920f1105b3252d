"""Two complete clouds as processes, each with its own database, bus and keys, and a pair of arrays.

The array of one is the target of the other's backend.  In the quick form each cloud is one embedded
service; in the long form it is daemons on a broker and a database server.
"""
# SPDX-License-Identifier: Apache-2.0

import copy
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

import daemons
import embedded
import rest
import servers
import sparse
import sqlalchemy as sa
import two_clouds
import warm

from cinder_ext.objects import manifest

KEY = 'only these two clouds know it'
SIZE_GIB = 1
ALL = pathlib.Path(sys.prefix) / 'bin' / 'cinder-ext-all'
MANAGE = pathlib.Path(sys.prefix) / 'bin' / 'cinder-ext-manage'
_DEVICE = ('backend_id:{target},path:{path},modes:async,cross_os:true,peer:{peer},'
           'control_file:{path}.json')


class _Settled:
    """What is common to both forms of a site."""

    def settle(self):
        """Types and a group type, as both clouds have them."""
        self.until(lambda: self.api.get('/scheduler-stats/get_pools')['pools'], 'a pool')
        self.api.create_type('gold', {'volume_backend_name': self.backend})
        self.api.post('/group_types', {'group_type': {'name': 'together'}})

    @staticmethod
    def until(claim, what, seconds=60):
        return rest.wait_for(claim, what, seconds)

    @property
    def array(self):
        return self.state_dir / self.backend

    @property
    def host(self):
        return f'host@{self.backend}'

    def control(self, **said):
        """How its array fails from now on, for both clouds."""
        path = pathlib.Path(f'{self.array}.json')
        path.with_suffix('.new').write_text(json.dumps(said))
        path.with_suffix('.new').rename(path)

    def manage(self, *words):
        return subprocess.run([MANAGE, '--config-file', self.config_file, *words],
                              capture_output=True, text=True, timeout=120, check=False)

    def path(self, volume_id):
        return self.array / 'volumes' / f'volume-{volume_id}.raw'

    def newest_manifest(self, volume_id, replication):
        """What lies on its array beside the newest point of a replication; None until it is there."""
        path = (self.array / 'replication' / 'volumes' / volume_id
                / f"{replication['last_consistent_point']}.manifest")
        points = self.array / 'replication' / 'points'
        newest = max(points.glob('*.json'), key=lambda each: each.stat().st_mtime)
        return json.loads(path.read_text()) if newest.stem == path.stem else None

    def state(self):
        """All rows of its database but signs of life, and its whole array."""
        return self.rows(), two_clouds.tree(self.array)

    # the API

    def ask(self, path, body, expected=200):
        """POST; the answer's body, or the error's when that is what is expected."""
        answer = self.api.request('POST', path, body)
        assert answer.status_code == expected, (answer.status_code, answer.text, self.log_tail())
        return answer.json() if answer.content else None

    def take(self, expected=200, **body):
        found = self.ask('/volumes/import-replica',
                         {'import-replica': {'backend': self.host, **body}}, expected)
        return found['import-replica'] if expected == 200 else found

    def export(self, volume_id, expected=200, **body):
        found = self.ask(f'/volumes/{volume_id}/export-replica', {'export-replica': body}, expected)
        return found['export-replica'] if expected == 200 else found

    def protect(self, group_id, target):
        """Have a group replicated; the id of the replication."""
        made = self.ask('/replications', {'replication': {
            'scope': 'group', 'id': group_id, 'target': target, 'rpo_seconds': 2}}, 202)
        return made['replication']['id']

    def replication(self, replication_id):
        return self.api.get(f'/replications/{replication_id}')['replication']

    def becomes(self, replication_id, state):
        def reached():
            found = self.replication(replication_id)
            return found if found['state'] == state else None
        return self.until(reached, f'replication {replication_id} to be {state}')

    def do(self, replication_id, action, **body):
        """An operation, once it has succeeded."""
        made = self.ask(f'/replications/{replication_id}/action', {action: body}, 202)['operation']

        def ended():
            found = self.api.get(f"/replication-operations/{made['id']}")['operation']
            return found if found['state'] not in ('queued', 'running') else None
        found = self.until(ended, f'{action} of {replication_id} to end')
        assert found['state'] == 'succeeded', (found, self.log_tail(60))
        return found

    def next_point(self, replication_id):
        """When a point was taken that is newer than this call."""
        before = self.replication(replication_id)['last_consistent_at']
        return self.until(lambda: self._newer(replication_id, before), 'a newer point')

    def _newer(self, replication_id, before):
        now = self.replication(replication_id)['last_consistent_at']
        return now if now is not None and (before is None or now > before) else None


def _options(site, cloud, other, target):
    name = other.name
    return {
        site.backend: {'file_control_file': f'{site.array}.json',
                       'replication_device': _DEVICE.format(
                           target=target, path=other / _BACKENDS[name], peer=name)},
        'DEFAULT': {'default_volume_type': '', 'report_interval': 1, 'host': 'host'},
        'replication': {'cloud': cloud, 'peer_keys': f'{name}:{KEY}'},
    }


_BACKENDS = {'a': 'alpha', 'b': 'beta'}
_TARGETS = {'a': 'alpha-dr', 'b': 'beta-dr'}


class Embedded(_Settled, warm.Spawned, embedded.EmbeddedService):
    """One process, SQLite, messages inside of it."""

    def __init__(self, directory, cloud, other):
        self.backend, self.target = _BACKENDS[cloud], _TARGETS[cloud]
        self.state_dir = (directory / cloud).absolute()
        super().__init__(directory / cloud, backends=(self.backend,), binary=sys.executable,
                         options=_options(self, cloud, directory / other, self.target))
        self.arguments = [str(ALL)]

    def rows(self):
        return {name: rows for name, rows in two_clouds.rows(self.state_dir / 'cinder-ext.db').items()
                if name != 'services'}

    def lose_database(self):
        for pattern in ('cinder-ext.db*', 'flows.db*'):
            for path in self.state_dir.glob(pattern):
                path.unlink()


class OnServers(_Settled, daemons.Daemons):
    """Daemons, a database server, a virtual host of a broker."""

    def __init__(self, directory, cloud, other, database_url, transport_url):
        self.backend, self.target = _BACKENDS[cloud], _TARGETS[cloud]
        self.state_dir = (directory / cloud).absolute()
        super().__init__(directory / cloud, servers.neighbour(database_url, f'cloud_{cloud}'),
                         transport_url, _options(self, cloud, directory / other, self.target))
        self.backends = (self.backend,)

    def rows(self):
        engine = sa.create_engine(self.database_url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            return {name: sorted(map(repr, connection.exec_driver_sql(f'SELECT * FROM {name}')))
                    for name in sa.inspect(engine).get_table_names() if name not in _UNSTEADY}

    def lose_database(self):
        self.prepare()


_UNSTEADY = ('services', 'groups')
"""Tables with signs of life, and one whose name the server keeps for itself."""


def signed(document, **changes):
    """A manifest with another word in it, signed by who knows the key; ``room__name=value``."""
    made = copy.deepcopy(document)
    for path, value in changes.items():
        room, name = path.split('__')
        made[room][name] = value
    return json.loads(manifest.signed(made, KEY.encode()))


class Writer:
    """Writes one number after the other, to the first volume and then to the second, and so on.

    So at every moment the first is at most one ahead: two contents of one moment are told by that.
    """

    def __init__(self, paths):
        self._files = [os.open(path, os.O_RDWR | os.O_DSYNC) for path in paths]
        self._stop = threading.Event()
        self.acknowledged = []
        """(time, number) of each round that both files had on the medium."""
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self):
        number = 0
        while not self._stop.wait(0.05):
            number += 1
            for descriptor in self._files:
                os.pwrite(descriptor, b'%020d' % number, 4096)
                os.pwrite(descriptor, b'%020d' % number, (number % 256) * 65536)
            self.acknowledged.append((time.time(), number))

    def stop(self):
        self._stop.set()
        self._thread.join()
        for descriptor in self._files:
            os.close(descriptor)

    def acknowledged_before(self, moment):
        return max((number for at, number in self.acknowledged if at < moment), default=0)


def number(path):
    """What a Writer has written last."""
    with open(path, 'rb') as stream:
        stream.seek(4096)
        return int(stream.read(20) or b'0')


def digest(path):
    """Of every byte of a sparse file, and its size."""
    found = hashlib.sha256()
    for offset, part in sparse.parts(path, 1 << 16):
        # Zeros that were written and holes are the same bytes.
        if part.count(0) != len(part):
            found.update(b'%d:' % offset + part)
    return path.stat().st_size, found.hexdigest()
