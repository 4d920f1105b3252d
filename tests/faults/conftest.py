"""The service as processes that die where a test says: embedded, or separate daemons."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

import daemons
import embedded
import own_servers
import pytest
import requests
import rest
import servers
import sqlalchemy
import warm

from cinder_ext.drivers.conformance import media

MIB, GIB = 1024 ** 2, 1024 ** 3
INTERVAL = 4 * MIB
"""The checkpoint interval of these tests: what may be copied again after a kill."""
KILLABLE = pathlib.Path(__file__).with_name('killable.py')


class Kills:
    """A service that is killed and started again on the same state.

    :ivar kills: how often it was killed
    :ivar process: the one that kills itself, or None
    :ivar lasting: variables of every process
    """

    lasting = {}
    options_of_all = {'migration': {'checkpoint_mib': 4}, 'DEFAULT': {'sweep_interval': 5}}
    daemon = 'all'

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.kills = 0
        self.counter = self.state_dir / 'copied'

    def begin(self, kill_at='', fill_at=''):
        """Start it with a point at which it dies; it may die before its first answer."""
        self.environment = {**self.lasting, 'DAEMON': self.daemon, 'KILL_AT': kill_at,
                            'FILL_AT': fill_at or ':', 'COUNTER': str(self.counter)}
        try:
            self.start()
        except embedded.NotStarted as fault:
            if 'ended with -9' not in str(fault):
                raise
            self.kills += 1

    def dies(self, until, seconds=60):
        """Wait until it was killed, or ``until`` holds.

        :returns: whether it was killed
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None:
                return True
            if self.process.poll() is not None:
                self._reap()
                return True
            try:
                if until():
                    return False
            except requests.RequestException:
                pass
            time.sleep(0.02)
        raise AssertionError(f'neither killed nor done in {seconds} s: {self.log_tail(60)}')

    def _reap(self):
        code = self.process.wait()
        assert code == -9, f'it ended with {code}: {self.log_tail(60)}'
        self.process = None
        self.kills += 1

    def copied(self):
        """Bytes that the copies of all processes wrote."""
        return int.from_bytes(self.counter.read_bytes(), 'little') if self.counter.exists() else 0

    def path(self, backend, kind, name_id):
        return self.state_dir / backend / f'{kind}s' / f'{kind}-{name_id}.raw'

    def files(self, backend):
        return sorted(path.name for path in (self.state_dir / backend).rglob('*')
                      if path.is_file() and path.name != 'ballast')

    def chain(self, noise):
        """A volume on alpha: extended, changed, with snapshots, one deleted out of the middle.

        :returns: (volume id, snapshot ids oldest first, bytes that a copy must write)
        """
        volume_id = self.api.create_volume(1, volume_type='alpha', name='a volume')['id']
        disk = self.path('alpha', 'volume', volume_id)
        write(disk, 0, noise(16 * MIB))
        taken = [self.api.create_snapshot(volume_id, 'first')['id']]
        write(disk, 4 * MIB, noise(2 * MIB))
        taken.append(self.api.create_snapshot(volume_id, 'middle')['id'])
        self.api.post(f'/volumes/{volume_id}/action', {'os-extend': {'new_size': 2}})
        self.api.wait_volume(volume_id)
        write(disk, 1500 * MIB, noise(8 * MIB))
        taken.append(self.api.create_snapshot(volume_id, 'last')['id'])
        write(disk, 0, bytes(2 * MIB))
        write(disk, 700 * MIB, noise(8 * MIB))
        self.api.delete_snapshot(taken.pop(1))
        return volume_id, taken, (16 + 2 + 8 + 8) * MIB

    def contents(self, volume_id, snapshot_ids):
        """Digests at the source's names: to be taken before a migration."""
        found = {volume_id: digest(self.path('alpha', 'volume', volume_id))}
        for snapshot_id in snapshot_ids:
            found[snapshot_id] = digest(self.path('alpha', 'snapshot', snapshot_id))
        return found

    def moved_contents(self, volume_id, backend='beta'):
        """Digests of what the destination holds, by the ids, read off the names of the records."""
        return {row_id: digest(self.path(backend, kind, name_id or row_id))
                for kind, row_id, name_id in self._names(volume_id)}

    def _names(self, volume_id):
        engine = sqlalchemy.create_engine(self.database_url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as database:
            for query in ("SELECT 'volume', id, name_id FROM volumes WHERE id = :id",
                          "SELECT 'snapshot', id, name_id FROM snapshots WHERE volume_id = :id "
                          'AND deleted_at IS NULL'):
                yield from database.execute(sqlalchemy.text(query), {'id': volume_id}).all()


class Killable(Kills, warm.Spawned, embedded.EmbeddedService):
    """The embedded service: one process."""

    def __init__(self, state_dir):
        super().__init__(state_dir, options=self.options_of_all, binary=sys.executable)
        self.arguments = [str(KILLABLE)]
        self.database_url = f'sqlite:///{self.state_dir}/cinder-ext.db'


class KillableDaemons(Kills, warm.Spawned, daemons.Daemons):
    """Separate daemons, of which one kills itself.

    :ivar victim: that one; alpha, the volume service of the source, or beta, the destination's
    """

    options_of_all = {'migration': {'checkpoint_mib': 4, 'destination_timeout': 6},
                      'DEFAULT': {'sweep_interval': 2, 'report_interval': 2}}
    daemon = 'volume'
    victim = 'alpha'

    def __init__(self, state_dir, database_url, transport_url):
        super().__init__(state_dir, database_url, transport_url, options=self.options_of_all)

    def command(self, name):
        if name in self.backends:
            return [sys.executable, str(KILLABLE), '--backend', name]
        return super().command(name)

    def environment_of(self, name):
        harmless = {**self.environment, 'KILL_AT': '', 'FILL_AT': ':'}
        return self.environment if name == self.victim else harmless

    @property
    def process(self):
        return self.processes.get(self.victim)

    @process.setter
    def process(self, value):
        if value is None:
            self.processes.pop(self.victim, None)


class Story:
    """One migration of one chain, through any number of kills."""

    def __init__(self, service, noise):
        self.service = service
        service.begin()
        service.create_types()
        self.volume_id, self.snapshot_ids, self.unique = service.chain(noise)
        self.before = service.contents(self.volume_id, self.snapshot_ids)
        self.shown = self._shown()

    def _shown(self):
        """What must be the same after the migration."""
        api = self.service.api
        kept = [api.volume(self.volume_id)] + [api.snapshot(each) for each in self.snapshot_ids]
        return [{key: item[key] for key in ('id', 'name', 'created_at', 'size', 'status', 'metadata')}
                for item in kept]

    def retype_until_killed(self, kill_at, fill_at=''):
        """Start the migration in a service that will be killed."""
        self.service.stop()
        self.service.begin(kill_at, fill_at)
        self.service.api.retype(self.volume_id, 'beta')
        return self.service.dies(self.is_over)

    def is_over(self):
        found = self.service.api.latest_migration(self.volume_id)
        return found is not None and found['phase'] in ('finished', 'failed')

    def ends_well(self):
        """The last, unharmed service ends it; everything is at the destination and nowhere else."""
        service = self.service
        if not service.is_running:
            service.begin()
        service.dies(self.is_over)
        record = service.api.latest_migration(self.volume_id)
        assert record['phase'] == 'finished', record['error']
        assert record['leftovers'] == []
        assert service.moved_contents(self.volume_id) == self.before
        assert service.files('alpha') == []
        assert len(service.files('beta')) == 1 + len(self.snapshot_ids)
        assert self._shown() == self.shown
        volume = service.api.volume(self.volume_id)
        assert volume['migration_status'] == 'success'
        assert volume['os-vol-host-attr:host'] == 'host@beta#beta'
        assert service.copied() <= self.unique + service.kills * INTERVAL
        return record


class Traveller:
    """One chain that goes there and back again, whole each time, whatever happens on its ways.

    :ivar place: the backend where it is
    """

    def __init__(self, service, noise):
        self.service = service
        service.begin()
        service.create_types()
        self.volume_id, self.snapshot_ids, self.unique = service.chain(noise)
        self.before = service.contents(self.volume_id, self.snapshot_ids)
        self.place, self._migrations = 'alpha', set()

    @property
    def goal(self):
        return 'beta' if self.place == 'alpha' else 'alpha'

    def depart(self):
        """Ask for the way to the other backend."""
        self.service.api.retype(self.volume_id, self.goal)

    def record(self):
        """The record of this way; None when it cannot be asked for."""
        api = self.service.api
        try:
            found = api.get(f'/volume-migrations?volume_id={self.volume_id}')['volume_migrations']
            new = [each['id'] for each in found if each['id'] not in self._migrations]
            return api.migration(new[0]) if new else None
        except (requests.RequestException, rest.ApiError):
            return None

    def wait(self, phases=(), copied=0):
        """The record when it is in one of some phases and so many bytes are done, or has ended."""
        def reached():
            found = self.record()
            ended = found and found['phase'] in (*rest.ENDED_PHASES, 'cancelled')
            return found if ended or (found and found['phase'] in phases
                                      and found['bytes']['done'] >= copied) else None
        return rest.wait_for(reached, f'a migration of {self.volume_id} to be {phases}', 90, 0.02)

    def arrive(self):
        """It ends whole at its goal, and nothing of it is left elsewhere; returns the record."""
        record = self.wait()
        assert record['phase'] == 'finished', (record['error'], record)
        assert record['leftovers'] == []
        self._migrations.add(record['id'])
        self.place = self.goal
        self.is_whole()
        assert self.service.api.volume(self.volume_id)['migration_status'] == 'success'
        return record

    def stays(self, phase):
        """It ends where it was, and nothing is at its goal; returns the record."""
        record = self.wait()
        assert (record['phase'], record['leftovers']) == (phase, []), record
        self._migrations.add(record['id'])
        self.is_whole()
        return record

    def is_whole(self):
        service, volume = self.service, self.service.api.volume(self.volume_id)
        assert service.moved_contents(self.volume_id, self.place) == self.before
        assert service.files(self.goal) == []
        assert len(service.files(self.place)) == 1 + len(self.snapshot_ids)
        assert (volume['status'], volume['volume_type']) == ('available', self.place)
        for snapshot_id in self.snapshot_ids:
            assert service.api.snapshot(snapshot_id)['status'] == 'available'


def write(path, offset, content):
    with open(path, 'r+b') as stream:
        stream.seek(offset)
        stream.write(content)


def digest(path):
    """SHA-256 over the blocks that are not zero, with their offsets, and the size."""
    found, size, offset = hashlib.sha256(), os.stat(path).st_size, 0
    with open(path, 'rb') as stream:
        while offset < size:
            try:
                offset = os.lseek(stream.fileno(), offset, os.SEEK_DATA) // MIB * MIB
            except OSError:
                break
            block = os.pread(stream.fileno(), MIB, offset)
            if block.strip(b'\0'):
                found.update(b'%d:' % offset + block)
            offset += MIB
    return found.hexdigest(), size


@pytest.fixture(scope='session')
def killable():
    """killable(state_dir): the embedded service, which dies where it is told to."""
    return Killable


@pytest.fixture
def noise():
    return random.Random(11).randbytes


@pytest.fixture(params=['plain', 'xfs'])
def service(request, tmp_path):
    """On a plain file system snapshots are copies; on XFS they share blocks.

    The URL of a database stands for separate daemons on it, on a plain file system.
    """
    with contextlib.ExitStack() as stack:
        if request.param in ('plain', 'xfs'):
            place = tmp_path
            if request.param == 'xfs':
                place = pathlib.Path(stack.enter_context(media.mounted_xfs(str(tmp_path), 6 * GIB)))
            made = Killable(place / 'state')
        else:
            made = KillableDaemons(tmp_path / 'state', servers.neighbour(request.param, 'daemons'),
                                   servers.transport_urls()[0])
        stack.callback(made.kill)
        yield made


@pytest.fixture
def own_server():
    """own_server(name, variable) -> own_servers.OwnServer, as tools/services.sh calls both."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix='own-servers-'))
    # They do not run as root, and enter.
    directory.chmod(0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory)
        stack.callback(subprocess.run, [own_servers.SERVICES, 'stop', directory], check=True,
                       timeout=120)

        def make(name, variable):
            made = own_servers.OwnServer(directory, name, variable)
            stack.callback(made.proxy.close)
            return made

        yield make


@pytest.fixture
def travel(service, noise):
    """travel() -> Traveller, begun."""
    return lambda: Traveller(service, noise)


@pytest.fixture
def tell(service, noise):
    """tell() -> Story, begun."""
    return lambda: Story(service, noise)


@pytest.fixture
def story(tell):
    return tell()
