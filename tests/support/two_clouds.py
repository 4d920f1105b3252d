"""Two clouds in this process, each with a database and a backend; the array of one is the target of
the other's.  Only one of them is bound to the package at a time.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import hashlib
import json
import os
import pathlib
import sqlite3
import uuid

import blank
import sparse

from cinder_ext import context as request_context
from cinder_ext.conf import options
from cinder_ext.db import group_types, models, services, session, volume_types
from cinder_ext.drivers import loader
from cinder_ext.volume import values as row_values
from cinder_ext.volume.replication import clouds
from cinder_ext.volume.replication import tools as replication_tools

KEY = 'a key that both clouds know'
GIB = 1024 ** 3
_CONFIGURATION = """
[DEFAULT]
host = {cloud}
enabled_backends = {backend}
state_path = {directory}/{cloud}
quota_volumes = -1
quota_snapshots = -1
quota_gigabytes = -1
quota_groups = -1
[oslo_concurrency]
lock_path = {directory}/{cloud}/locks
[database]
connection = sqlite:///{directory}/{cloud}/test.db
[replication]
cloud = {cloud}
peer_keys = {other}:{key}
[{backend}]
file_path = {directory}/array-{cloud}
file_control_file = {directory}/array-{cloud}.json
replication_device = {device}
"""
_DEVICE = ('backend_id:{target},path:{directory}/array-{other},modes:async,cross_os:true,'
           'peer:{other},control_file:{directory}/array-{other}.json')


class Cloud:
    """One of them: options, driver, and the endpoint of hand-overs."""

    def __init__(self, directory, cloud, other, backend, target):
        self.name, self.other, self.target = cloud, other, target
        self.host = f'{cloud}@{backend}'
        self.directory = directory / cloud
        self.directory.mkdir()
        self.array = directory / f'array-{cloud}'
        self.array.mkdir()
        file = self.directory / 'cinder-ext.conf'
        file.write_text(_CONFIGURATION.format(
            cloud=cloud, other=other, backend=backend, directory=directory, key=KEY,
            device=_DEVICE.format(target=target, directory=directory, other=other)))
        self.conf = options.new()
        options.parse(self.conf, ['--config-file', str(file)])
        blank.put(self.directory / 'test.db')
        self.driver = loader.load(self.conf, backend)
        self.driver.start()
        self.tools = replication_tools.Tools(self.conf, self.host, None, None)
        self.tools.hand_over(self.driver)
        self.endpoint = clouds.CloudsEndpoint(self.tools)
        self.context = request_context.RequestContext(
            user_id=f'admin-{cloud}', project_id=f'project-{cloud}', roles=['admin'], is_admin=True,
            overwrite=False)

    @contextlib.contextmanager
    def bound(self):
        """The package works on this cloud's database."""
        session.dispose()
        session.configure(self.conf)
        try:
            yield self
        finally:
            session.dispose()

    def prepare(self, group_type='together'):
        services.heartbeat(self.context, 'cinder-volume', self.host, 'topic', f'zone-{self.name}')
        self.types = {}
        self.prepare_type('gold')
        self.group_type = group_types.create(self.context, {'name': group_type}, {}).id

    def prepare_type(self, name):
        self.types[name] = volume_types.create(
            self.context, {'name': name}, {'volume_backend_name': self.host.partition('@')[2]}).id

    def volume(self, content=b'', **columns):
        """A volume of 1 GiB with content, put there by hand: models.Volume."""
        @session.writer
        def insert(context):
            row = models.Volume(**{
                'id': str(uuid.uuid4()), 'project_id': 'project-a', 'user_id': 'user', 'size': 1,
                'status': 'available', 'attach_status': 'detached', 'name': 'data',
                'host': f'{self.host}#{self.host.partition("@")[2]}',
                'volume_type_id': self.types['gold'], **columns})
            context.session.add(row)
            context.session.flush()
            return row.id
        volume_id = insert(self.context)
        row = self.row(volume_id)
        self.driver.create_volume(row_values.volume_value(row))
        self.write(volume_id, content)
        return row

    def row(self, volume_id):
        return session.reader(lambda context: context.session.get(models.Volume, volume_id))(
            self.context)

    def path(self, volume_id):
        return self.array / 'volumes' / f'volume-{volume_id}.raw'

    def write(self, volume_id, content, offset=0):
        descriptor = os.open(self.path(volume_id), os.O_WRONLY)
        os.pwrite(descriptor, content, offset)
        os.close(descriptor)

    def read(self, volume_id, length, offset=0):
        with open(self.path(volume_id), 'rb') as stream:
            stream.seek(offset)
            return stream.read(length)

    def control(self, **said):
        """Make this cloud's array fail."""
        pathlib.Path(f'{self.array}.json').write_text(json.dumps(said))

    def state(self):
        """Everything that its database and its array hold, for comparison."""
        return rows(self.directory / 'test.db'), tree(self.array)


def rows(path):
    """Table -> all its rows, of an SQLite file."""
    found = {}
    with contextlib.closing(sqlite3.connect(path)) as live:
        tables = [name for name, in live.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            found[table] = sorted(map(repr, live.execute(f'SELECT * FROM "{table}"')))
    return found


def tree(directory):
    """Path -> digest of every file; names of directories too.  Locks are nobody's content."""
    found = {}
    for path in sorted(pathlib.Path(directory).rglob('*')):
        name = str(path.relative_to(directory))
        if path.is_dir():
            found[name] = None
        elif path.name != 'lock':
            digest = hashlib.sha256()
            for offset, part in sparse.parts(path, 1 << 20):
                digest.update(f'{offset}-{offset + len(part)}'.encode() + part)
            found[name] = (path.stat().st_size, digest.hexdigest())
    return found


class Pair:
    """Clouds a and b."""

    def __init__(self, directory):
        self.a = Cloud(directory, 'a', 'b', 'alpha', 'alpha-dr')
        self.b = Cloud(directory, 'b', 'a', 'beta', 'beta-dr')
        for each in (self.a, self.b):
            with each.bound():
                each.prepare()
