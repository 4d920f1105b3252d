"""A backend and its target as two directories, with real records, flows and bytes, in this process.

What asks for operations is left out: a test records one as the API does, and has it worked on.
"""
# SPDX-License-Identifier: Apache-2.0

import datetime
import functools
import json
import pathlib
import shutil
import tempfile
import threading
import uuid

import blank
import replication_rows

from cinder_ext import context
from cinder_ext.conf import options
from cinder_ext.db import (
    attachments,
    replication_operations,
    replication_shipping,
    replications,
    services,
    session,
    snapshots,
    transition,
    volumes,
)
from cinder_ext.drivers import loader, values
from cinder_ext.drivers import values as driver_values
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as volume_states
from cinder_ext.volume import engine, ownership
from cinder_ext.volume import values as row_values
from cinder_ext.volume.replication import operation
from cinder_ext.volume.replication.tools import Tools

HOST = 'node@alpha'
POOL = 'node@alpha#alpha'
MIB, GIB = values.MIB, values.GIB


@functools.cache
def _flows():
    """A database of flows without any: making one takes half a second."""
    # Removed when the last reference goes: with the process.
    directory = tempfile.TemporaryDirectory(prefix='cinder-ext-flows-')
    conf = options.new()
    options.parse(conf, [])
    conf.set_override('state_path', directory.name)
    made = engine.Engine(conf)
    made.prepare()
    made.close()
    return directory, pathlib.Path(directory.name) / 'flows.db'


class Stage:
    """Backend alpha of the host node, with the target dr.

    :ivar steps: (flow, step, state) of all flows that were run
    """

    target = 'dr'

    def __init__(self, directory, more_targets=(), host=HOST, starts=True):
        self.directory = directory
        self.conf = options.new()
        options.parse(self.conf, [])
        self.conf.set_override('connection', f'sqlite:///{directory}/test.db', 'database')
        self.conf.set_override('state_path', str(directory))
        self.conf.set_override('host', 'node')
        self.conf.set_override('enabled_backends', ['alpha'])
        self.context = context.RequestContext(user_id='user', project_id='project',
                                              is_admin=True, overwrite=False)
        blank.put(directory / 'test.db')
        if not (directory / 'flows.db').exists():
            shutil.copy(_flows()[1], directory / 'flows.db')
        session.configure(self.conf)
        for name in ('alpha', self.target, *more_targets):
            (directory / name).mkdir(exist_ok=True)
        loader.load(self.conf, 'alpha')
        self.conf.set_override('file_path', str(directory / 'alpha'), 'alpha')
        self.conf.set_override('file_control_file', str(directory / 'alpha.json'), 'alpha')
        self.conf.set_override('replication_device', [
            {'backend_id': name, 'path': str(directory / name),
             'control_file': str(directory / f'{name}.json')}
            for name in (self.target, *more_targets)], 'alpha')
        self.steps, self.watchers = [], []
        self.open(host, starts)
        if starts:
            self.beat()

    def open(self, host=HOST, starts=True):
        """A process comes: other engine, leases and drivers, the same records."""
        self.engine = engine.Engine(self.conf, watchers=[self._watch])
        self.ownership = ownership.Ownership(self.conf)
        self.stopping = threading.Event()
        self.tools = Tools(self.conf, host, self.engine, self.ownership, self.stopping)
        if starts:
            self.driver.start()

    def _watch(self, flow, step, state):
        self.steps.append((flow, step, state))
        for watch in self.watchers:
            watch(flow, step, state)

    def close(self):
        self.ownership.stop()
        self.engine.close()

    def restart(self, host=HOST, starts=True):
        self.close()
        self.open(host, starts)

    def stop(self):
        self.close()
        session.dispose()

    @property
    def driver(self):
        return self.tools.driver_of(self.context, HOST)

    def beat(self):
        services.heartbeat(self.context, services.VOLUME_BINARY, HOST, 'topic', 'nova')

    @property
    def service(self):
        return services.get(self.context, services.VOLUME_BINARY, HOST)

    # Arrays

    def control(self, side=None, **said):
        """Have an array fail; without words it is well."""
        path = self.directory / f'{side or "alpha"}.json'
        path.write_text(json.dumps(said))

    # Volumes

    def volume(self, content=None, host=POOL, **columns):
        """A new volume of 1 GiB; returns its id."""
        row = volumes.create(self.context, {
            'project_id': 'project', 'user_id': 'user', 'size': 1, 'name': 'a volume', 'host': host,
            **columns})
        location = self.driver.create_volume(driver_values.Volume(row.id, GIB))
        transition.move(self.context, volume_states.MACHINE, row.id, 'created',
                        {'provider_location': location})
        if content is not None:
            self.write(row.id, content)
        return row.id

    def row(self, volume_id):
        return volumes.get(self.context, volume_id)

    def snapshot(self, volume_id):
        row = snapshots.create(self.context, {'volume_id': volume_id, 'name': 'a snapshot'})
        location = self.driver.create_snapshot(
            row_values.snapshot_value(row, self.row(volume_id)))
        transition.move(self.context, snapshot_states.MACHINE, row.id, 'created',
                        {'provider_location': location})
        return row.id

    def path(self, volume_id):
        """Where a consumer finds a volume now; raises what the driver raises."""
        found = self.driver.connect_volume(row_values.volume_value(self.row(volume_id)),
                                           {'host': 'server'})
        return found.data['device_path']

    def write(self, volume_id, content, offset=0):
        with open(self.path(volume_id), 'r+b') as stream:
            stream.seek(offset)
            stream.write(content)

    def read(self, volume_id, length, offset=0):
        with open(self.path(volume_id), 'rb') as stream:
            stream.seek(offset)
            return stream.read(length)

    def attach(self, volume_id, server_id=None):
        """A server uses a volume; returns the attachment's id."""
        row = attachments.reserve(self.context, volume_id, server_id or str(uuid.uuid4()))
        attachments.connect(self.context, row.id, {'host': 'server'})
        attachments.store_connection(self.context, row.id, {
            'device_path': self.path(volume_id), 'access_mode': 'rw', 'qos_specs': None})
        attachments.complete(self.context, row.id)
        return row.id

    # Replication

    def protect(self, protected_id, scope='volume', ships=True, target=None):
        """Protect it; a first point is at the target."""
        row = replication_rows.protect(self.context, protected_id, scope, target or self.target)
        if ships:
            self.ship(row.id)
        return replications.get(self.context, row.id)

    def members(self, replication_id):
        rows = replications.members(self.context, replication_id)
        found = []
        for each in rows:
            volume = self.row(each.volume_id)
            found.append(driver_values.Member(row_values.volume_value(volume), tuple(
                row_values.snapshot_value(snapshot, volume)
                for snapshot in snapshots.of_volume(self.context, volume.id))))
        return found

    def ship(self, replication_id):
        """As the shipper: a point of all members arrives.  Returns its id."""
        row, members = replications.get(self.context, replication_id), self.members(replication_id)
        together = [members] if row.scope == 'group' else [[each] for each in members]
        ids = {(each.name_id or each.id): each.id for each in (
            self.row(member.volume_id)
            for member in replications.members(self.context, replication_id))}
        for some in together:
            point_id = str(uuid.uuid4())
            sides = row.source_side, row.destination_side
            self.driver.pair(some, *sides, row.epoch)
            point = self.driver.ship(some, *sides, point_id, row.retention)
            replication_shipping.arrived(
                self.context, row, point.id,
                datetime.datetime.fromtimestamp(point.taken_at, datetime.UTC).replace(tzinfo=None),
                [ids[each.volume.name_id] for each in some])
        return point_id

    def replication(self, replication_id):
        return replications.get(self.context, replication_id)

    # Operations

    def ask(self, verb, replication_id=None, **columns):
        """Record an operation; returns its id."""
        if replication_id is None:
            columns = {'home': HOST, 'target': self.target, **columns}
        return replication_operations.create(self.context, {
            'verb': verb, 'replication_id': replication_id, **columns}).id

    def go(self, operation_id):
        operation.go(self.tools, self.engine, self.context, operation_id)
        return self.result(operation_id)

    def operate(self, verb, replication_id=None, **columns):
        """An operation from its beginning to its end: Result."""
        return self.go(self.ask(verb, replication_id, **columns))

    def result(self, operation_id):
        return Result(replication_operations.get(self.context, operation_id), {
            row.volume_id: row
            for row in replication_operations.members(self.context, operation_id)})

    def words(self, volume_id):
        """(status, replication_status, location) of a volume."""
        row = self.row(volume_id)
        return row.status, row.replication_status, row.provider_location


class Result:
    """What became of an operation.

    :ivar members: volume id -> row
    """

    def __init__(self, row, members):
        self.row, self.members = row, members
        self.state = row.state

    @property
    def results(self):
        return {volume_id: row.result for volume_id, row in self.members.items()}

    def __repr__(self):
        return (f'{self.row.verb} {self.state} {self.row.error} '
                + '; '.join(f'{row.result} {row.step} {row.error}' for row in self.members.values()))
