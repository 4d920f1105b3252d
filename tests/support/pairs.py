"""Two volume services of the same backends as processes, which share a database and a directory.

They have no messages in common: what one does not hear of it finds in the
records, and each is the destination of its own migrations.
"""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import layered
import sqlalchemy as sa

from cinder_ext import context
from cinder_ext.conf import options
from cinder_ext.db import (
    models,
    schema,
    session,
    snapshots,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.drivers import loader, values
from cinder_ext.states import migration as states
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as volume_states
from cinder_ext.volume import engine

MIB, GIB = values.MIB, values.GIB
FREEZABLE = pathlib.Path(__file__).parents[1] / 'faults' / 'freezable.py'
BACKENDS = ('alpha', 'beta')

CONFIGURATION = """\
[DEFAULT]
enabled_backends = alpha,beta
host = host
state_path = {state}
transport_url = local://
sweep_interval = 600
quota_volumes = -1
quota_snapshots = -1
quota_gigabytes = -1
log_file = {log}
debug = true
[database]
connection = {url}
[flows]
connection = {flows}
[migration]
lease_seconds = {lease}
checkpoint_mib = 1
destination_timeout = 6
[alpha]
volume_driver = file
file_path = {directory}/alpha
{more}
[beta]
volume_driver = file
file_path = {directory}/beta
file_format = {beta_format}
{more}
"""


class Pair:
    """Processes ``one`` and ``two``; the test itself has the database and the drivers.

    :param directory: empty; on a file system that shares blocks or not
    :param url: of an empty database
    :param flows_url: of the database of the flows
    :param lease_seconds: of both
    """

    beta_format = 'raw'

    def __init__(self, directory, url=None, flows_url=None, lease_seconds=1, more=''):
        self.directory = directory
        self.url = url or f'sqlite:///{directory}/shared.db'
        self.flows_url = flows_url or f'sqlite:///{directory}/flows.db'
        self.context = context.RequestContext(user_id='user', project_id='project', is_admin=True,
                                              overwrite=False)
        self.processes, self._told = {}, {}
        for name in (*BACKENDS, 'one', 'two'):
            (directory / name).mkdir()
        for name in ('one', 'two'):
            (directory / f'{name}.conf').write_text(CONFIGURATION.format(
                state=directory, log=directory / f'{name}.log', url=self.url, flows=self.flows_url,
                lease=lease_seconds, directory=directory, more=more,
                beta_format=self.beta_format))
        conf = options.new()
        options.parse(conf, ['--config-file', str(directory / 'one.conf')])
        session.configure(conf)
        schema.sync()
        flows = engine.Engine(conf)
        flows.prepare()
        flows.close()
        self.drivers = {}
        for name in BACKENDS:
            self.drivers[name] = loader.load(conf, name)
            self.drivers[name].start()

    def launch(self, *names):
        """Start processes, and wait until they are there."""
        for name in names:
            with open(self.directory / f'{name}.console', 'ab') as stream:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, str(FREEZABLE), '--config-file',
                     str(self.directory / f'{name}.conf')],
                    env={**os.environ, 'FREEZE': str(self.directory / name)},
                    stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)
        for name in names:
            self.until(lambda name=name: all(f'backend host@{each} is up' in self._log(name)
                                             for each in BACKENDS), name=name)

    def has_logged(self, words):
        """Whether any of the processes has."""
        return any(words in (self.directory / f'{name}.log').read_text() for name in ('one', 'two'))

    def _log(self, name):
        """What the running process of a name has logged."""
        path, mark = self.directory / f'{name}.log', f' {self.processes[name].pid} '
        lines = path.read_text().splitlines() if path.exists() else []
        return '\n'.join(line for line in lines if mark in line)

    def identity(self, name):
        """What a process calls itself in the records."""
        mark = f'.{self.processes[name].pid}.'
        return next(each for each in os.listdir(self.directory / 'owners') if mark in each)

    def kill(self, name):
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)

    def close(self):
        for name in tuple(self.processes):
            self.kill(name)
        session.dispose()

    def until(self, claim, seconds=30, name=''):
        """Wait until something is true; returns it."""
        deadline = time.monotonic() + seconds
        while not (found := claim()):
            if time.monotonic() > deadline:
                tails = [path.read_text()[-3000:] for path in self.directory.glob('*.log')]
                raise AssertionError(f'{name} not in {seconds} s\n' + '\n\n'.join(tails))
            time.sleep(0.02)
        return found

    def arm(self, name, point):
        """Let a process freeze at a point, see tests/faults/freezable.py."""
        (self.directory / name / 'armed.new').write_text(point)
        os.rename(self.directory / name / 'armed.new', self.directory / name / 'armed')

    def events(self, name):
        path = self.directory / name / 'events'
        return path.read_text().splitlines() if path.exists() else []

    def is_frozen(self, name):
        status = pathlib.Path(f'/proc/{self.processes[name].pid}/stat').read_text()
        return status.rpartition(') ')[2][0] == 'T'

    def thaw(self, name):
        os.kill(self.processes[name].pid, signal.SIGCONT)

    def chain(self, noise):
        """A volume on alpha with two snapshots, changed after each; (id, contents)."""
        row = volumes.create(self.context, {
            'project_id': 'project', 'user_id': 'user', 'size': 1, 'name': 'a volume',
            'host': 'host@alpha#alpha'})
        volume, path = values.Volume(row.id, GIB), self.path('alpha', 'volume', row.id)
        self.drivers['alpha'].create_volume(volume)
        transition.move(self.context, volume_states.MACHINE, row.id, 'created')
        write(path, 0, noise(6 * MIB))
        for number in range(2):
            made = snapshots.create(self.context, {'volume_id': row.id, 'name': f's{number}'})
            self.drivers['alpha'].create_snapshot(values.Snapshot(made.id, row.id, GIB))
            transition.move(self.context, snapshot_states.MACHINE, made.id, 'created')
            write(path, 2 * MIB, noise(MIB))
            write(path, (100 + 9 * number) * MIB, noise(3 * MIB))
        write(path, 0, bytes(MIB))
        return row.id, self.contents(row.id)

    def path(self, backend, kind, name_id):
        return self.directory / backend / f'{kind}s' / f'{kind}-{name_id}.raw'

    def _resources(self, volume_id):
        volume = volumes.get(self.context, volume_id)
        backend = volume.host.partition('#')[2]
        yield volume.id, self.path(backend, 'volume', volume.name_id or volume.id)
        for row in snapshots.of_volume(self.context, volume_id):
            yield row.id, self.path(backend, 'snapshot', row.name_id or row.id)

    def contents(self, volume_id):
        """Digests of what the records name, by id."""
        return {each: self._digest(path) for each, path in self._resources(volume_id)}

    @staticmethod
    def _digest(path):
        return digest(path)

    def expected(self, volume_ids):
        """Every file that the records name."""
        return sorted(str(path) for each in volume_ids for _, path in self._resources(each))

    def files(self):
        return sorted(str(path) for name in BACKENDS
                      for path in (self.directory / name).rglob('*') if path.is_file())

    def migrate(self, volume_id, owner):
        """Record and place a migration that a process is to take up; returns its id."""
        record = volume_migrations.start(self.context, volume_id, {
            'operation': 'retype', 'include_snapshots': True}, 'retype')
        volume_migrations.update(self.context, record.id, {'owner': self.identity(owner)})
        transition.move(self.context, states.MACHINE, record.id, 'schedule',
                        {'destination_host': 'host@beta#beta'})
        return record.id

    def record(self, migration_id):
        return volume_migrations.get(self.context, migration_id)

    def is_over(self, migration_id):
        """Return the record when it has ended, and whoever is not frozen has let it go."""
        def found():
            record = self.record(migration_id)
            is_left = record.owner is None or self._is_of_a_frozen(record)
            return record.phase in states.ENDED and is_left and record
        return self.until(found, 40, migration_id)

    def _is_of_a_frozen(self, record):
        return any(record.owner == self.identity(name) and self.is_frozen(name)
                   for name in self.processes)

    def rows(self):
        """All that a migration may change."""
        with session.get_engine().connect() as connection:
            return {table.name: connection.execute(sa.select(table)).all() for table in (
                models.VolumeMigration.__table__, models.MigrationLink.__table__,
                models.MigrationDelta.__table__, models.Volume.__table__,
                models.Snapshot.__table__, models.Message.__table__)}


class LayeredPair(Pair):
    """beta has qcow2 layers; alpha raw files, as ever."""

    beta_format = 'qcow2'

    def close(self):
        super().close()
        layered.let_go(self.drivers['beta'], self.directory / 'beta')

    def path(self, backend, kind, name_id):
        if backend == 'alpha':
            return super().path(backend, kind, name_id)
        return layered.layer(self.directory / 'beta', kind, name_id)

    def _digest(self, path):
        if path.suffix == '.raw':
            return digest(path)
        return digest(layered.flat(path, self.directory / 'flat'))

    def files(self):
        """Layers have one file for each volume and each snapshot, too."""
        return sorted(map(str, (*(self.directory / 'alpha').rglob('*.raw'),
                                *layered.layers(self.directory / 'beta'))))


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
