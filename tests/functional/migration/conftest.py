"""A cloud of two backends in this process: real files, real database, real messages, real flows."""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import os
import pathlib
import random
import shutil
import subprocess
import threading
import time
import uuid

import blank
import oslo_messaging
import pytest

from cinder_ext import context
from cinder_ext.conf import options
from cinder_ext.db import lease, models, session, snapshots, transition, volume_migrations, volumes
from cinder_ext.drivers import loader, values
from cinder_ext.objects import base as objects_base
from cinder_ext.rpc import transport
from cinder_ext.states import migration as states
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as volume_states
from cinder_ext.volume import engine, ownership
from cinder_ext.volume.migration import destination, endpoint, flow, journey
from cinder_ext.volume.migration import work as works


class Cloud:
    """Backends alpha and beta; volumes are put on alpha and migrated to beta.

    :param kinds: backend -> driver class; FileDriver where none is named
    """

    def __init__(self, directory, kinds=None, **backend_options):
        self.directory = directory
        self.kinds = kinds or {}
        self.context = context.RequestContext(user_id='user', project_id='project',
                                              is_admin=True, overwrite=False)
        self.conf = options.new()
        options.parse(self.conf, [])
        self.conf.set_override('connection', f'sqlite:///{directory}/test.db', 'database')
        self.conf.set_override('state_path', str(directory))
        blank.put(directory / 'test.db')
        session.configure(self.conf)
        transport.init(self.conf, f'local:///{uuid.uuid4()}')
        self.drivers, self.endpoints, self.servers, self.steps = {}, {}, [], []
        self._works = []
        self.engine = engine.Engine(self.conf, watchers=[self._watch])
        self.ownership = ownership.Ownership(self.conf)
        for name in ('alpha', 'beta'):
            self._start(name, backend_options)

    def _watch(self, flow, step, state):
        self.steps.append((flow, step, state))

    def _start(self, name, backend_options):
        path = self.directory / name
        path.mkdir(exist_ok=True)
        driver = loader.load(self.conf, name)
        self.conf.set_override('file_path', str(path), name)
        for key, value in backend_options.items():
            self.conf.set_override(key, value, name)
        driver = loader.load(self.conf, name)
        driver = self.kinds.get(name, type(driver))(driver.settings)
        driver.start()
        host = f'host@{name}'
        served = endpoint.MigrationEndpoint(self.conf, host, driver, self.engine, self.ownership)
        server = transport.get_server(
            oslo_messaging.Target(topic=transport.VOLUME_TOPIC, server=host),
            [served, destination.DestinationEndpoint(driver)],
            serializer=transport.ContextSerializer(objects_base.Serializer()))
        server.start()
        self.drivers[name], self.endpoints[name] = driver, served
        self.servers.append(server)

    def work(self, migration_id, fence=None):
        """A migration in the hands of the test: work.Work; closed with the cloud."""
        made = works.Work(self.endpoints['alpha']._tools, self.context, migration_id, fence)
        self._works.append(made)
        return made

    def stop(self):
        for work in self._works:
            work.close()
        for served in self.endpoints.values():
            served.stop()
        for server in self.servers:
            server.stop()
            server.wait()
        transport.cleanup()
        self.ownership.stop()
        self.engine.close()
        session.dispose()

    def restart(self):
        """A new process takes over: other endpoints, other flows in memory, the same records."""
        for served in self.endpoints.values():
            assert served.stop(), 'a migration does not park'
        for server in self.servers:
            server.stop()
            server.wait()
        transport.cleanup()
        self.ownership.stop()
        self.ownership = ownership.Ownership(self.conf)
        self.engine.close()
        transport.init(self.conf, f'local:///{uuid.uuid4()}')
        self.servers = []
        self.engine = engine.Engine(self.conf, watchers=[self._watch])
        for name in ('alpha', 'beta'):
            self._start(name, {})
        for served in self.endpoints.values():
            served.resume()

    def volume(self, size=1, backend='alpha'):
        """A new volume; returns its id."""
        row = volumes.create(self.context, {
            'project_id': 'project', 'user_id': 'user', 'size': size, 'name': 'a volume',
            'host': f'host@{backend}#{backend}'})
        self.drivers[backend].create_volume(values.Volume(row.id, size * values.GIB))
        transition.move(self.context, volume_states.MACHINE, row.id, 'created')
        return row.id

    def snapshot(self, volume_id):
        """A new snapshot; returns its id."""
        row = snapshots.create(self.context, {'volume_id': volume_id, 'name': 'a snapshot'})
        volume = volumes.get(self.context, volume_id)
        backend = volume.host.partition('#')[2]
        self.drivers[backend].create_snapshot(values.Snapshot(
            row.id, volume.name_id or volume.id, volume.size * values.GIB))
        transition.move(self.context, snapshot_states.MACHINE, row.id, 'created')
        return row.id

    def extend(self, volume_id, size):
        volume = volumes.get(self.context, volume_id)
        self.drivers['alpha'].extend_volume(
            values.Volume(volume.id, volume.size * values.GIB), size * values.GIB)
        volumes.update(self.context, volume_id, {'size': size})

    def delete_snapshot(self, snapshot_id):
        row = snapshots.get(self.context, snapshot_id)
        self.drivers['alpha'].delete_snapshot(values.Snapshot(row.id, row.volume_id, row.size))
        snapshots.mark_deleted(self.context, snapshot_id)

    def path(self, resource_id, backend, kind='volume'):
        """The file of a volume or snapshot by its backend name."""
        return self.directory / backend / f'{kind}s' / f'{kind}-{resource_id}.raw'

    def write(self, volume_id, offset, content, backend='alpha'):
        with open(self.path(volume_id, backend), 'r+b') as stream:
            stream.seek(offset)
            stream.write(content)

    def contents(self, volume_id):
        """SHA-256 of the volume and of each snapshot where the records say they are."""
        volume = volumes.get(self.context, volume_id)
        backend = volume.host.partition('#')[2]
        found = {volume.id: digest(self.path(volume.name_id or volume.id, backend))}
        for row in snapshots.of_volume(self.context, volume_id):
            found[row.id] = digest(self.path(row.name_id or row.id, backend, 'snapshot'))
        return found

    def files(self, backend):
        return sorted(path.name for path in (self.directory / backend).rglob('*')
                      if path.is_file())

    def migrate(self, volume_id, to='beta', wait=True, lock='retype', **columns):
        """Record a migration, place it and hand it to the source; returns its id."""
        record = volume_migrations.start(self.context, volume_id, {
            'operation': 'retype', 'include_snapshots': True, **columns}, lock)
        transition.move(self.context, states.MACHINE, record.id, 'schedule',
                        {'destination_host': f'host@{to}#{to}'})
        source = volumes.get(self.context, volume_id).host.partition('#')[2]
        self.endpoints[source].run_migration(self.context, record.id)
        if wait:
            self.wait(record.id)
        return record.id

    def begun(self, volume_id):
        """A migration of which no link is copied yet, in the hands of the test: work.Work."""
        record = volume_migrations.start(self.context, volume_id, {
            'operation': 'retype', 'include_snapshots': True}, 'retype')
        transition.move(self.context, states.MACHINE, record.id, 'schedule',
                        {'destination_host': 'host@beta#beta'})
        standing, = lease.standings(self.context, [record.id])
        made = self.work(record.id, lease.take(self.context, standing, 'the first', False))
        journey.prepare(made)
        for step, _ in list(flow.move(made).iter_nodes())[:2]:
            step.execute()
        return made

    def wait(self, migration_id, phases=states.ENDED, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            record = self.record(migration_id)
            if record.phase in phases:
                if record.phase in states.ENDED:
                    self.idle(migration_id)
                return self.record(migration_id)
            time.sleep(0.02)
        raise AssertionError(f'still {record.phase} after {seconds} s: {record.as_dict()}')

    def idle(self, migration_id, seconds=30):
        """Return when nobody works on a migration."""
        deadline = time.monotonic() + seconds
        while any(thread.name == migration_id for thread in threading.enumerate()):
            assert time.monotonic() < deadline, 'somebody still works on it'
            time.sleep(0.02)

    def record(self, migration_id):
        return volume_migrations.get(self.context, migration_id)

    def rows(self, volume_id):
        """All columns of a volume and of its snapshots, but when they were changed last."""
        found = []
        with session.get_engine().connect() as connection:
            for model, column in ((models.Volume, 'id'), (models.Snapshot, 'volume_id')):
                table = model.__table__
                found += connection.execute(
                    table.select().where(table.c[column] == volume_id)
                    .order_by(table.c.id)).mappings().all()
        return [{**row, 'updated_at': None} for row in found]

    def bytes_of_files(self, backend):
        """Every file of a backend: name -> its digest and size."""
        return {path.name: digest(path) for path in (self.directory / backend).rglob('*')
                if path.is_file()}

    def messages(self):
        with session.get_engine().connect() as connection:
            return connection.execute(models.Message.__table__.select()).all()


def digest(path):
    """SHA-256 over the blocks that are not zero, with their offsets, and the size."""
    found, size = hashlib.sha256(), os.stat(path).st_size
    with open(path, 'rb') as stream:
        offset = 0
        while offset < size:
            try:
                offset = os.lseek(stream.fileno(), offset, os.SEEK_DATA) // values.MIB * values.MIB
            except OSError:
                break
            block = os.pread(stream.fileno(), values.MIB, offset)
            if block.strip(b'\0'):
                found.update(b'%d:' % offset + block)
            offset += values.MIB
    return found.hexdigest(), size


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def cloud_of(tmp_path):
    """cloud_of(alpha=Driver, beta=Driver): a cloud of these drivers; one per test."""
    made = []

    def make(**kinds):
        made.append(Cloud(tmp_path, kinds))
        return made[0]

    yield make
    made[0].stop()


@pytest.fixture(scope='session')
def xfs(tmp_path_factory):
    """A directory on XFS, which shares blocks."""
    base = tmp_path_factory.mktemp('xfs')
    image, mount = base / 'image', base / 'mount'
    with open(image, 'wb') as stream:
        stream.truncate(4 * values.GIB)
    mount.mkdir()
    subprocess.run(['mkfs.xfs', '-q', '-m', 'reflink=1', str(image)], check=True)
    subprocess.run(['mount', '-o', 'loop', str(image), str(mount)], check=True)
    yield mount
    subprocess.run(['umount', '-l', str(mount)], check=True)


@pytest.fixture
def reflink_cloud_of(xfs):
    """As cloud_of, on a file system that shares blocks; beta where ``beta_at`` says."""
    directory = pathlib.Path(xfs) / str(uuid.uuid4())
    directory.mkdir()
    made = []

    def make(beta_at=None, **kinds):
        if beta_at:
            (directory / 'beta').symlink_to(beta_at)
        made.append(Cloud(directory, kinds))
        return made[0]

    yield make
    made[0].stop()
    shutil.rmtree(directory)


@pytest.fixture
def reflink_cloud(reflink_cloud_of):
    return reflink_cloud_of()


@pytest.fixture(params=['cloud', 'reflink_cloud'])
def any_cloud(request):
    """Sparse copies on a plain file system, and shared blocks."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def noise():
    """noise(length): random bytes, the same in each run."""
    return random.Random(7).randbytes
