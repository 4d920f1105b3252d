"""Scheduler and volume services in this process: real files, database, messages and flows.

The tests do what the API does: write the row, then send the message.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import time
import uuid

import assisting
import blank
import pytest
import replicating

from cinder_ext import context, exceptions
from cinder_ext.conf import options
from cinder_ext.db import (
    group_requests,
    group_snapshots,
    group_types,
    groups,
    messages,
    session,
    snapshots,
    volume_migrations,
    volume_types,
    volumes,
)
from cinder_ext.drivers.conformance import media
from cinder_ext.rpc import transport
from cinder_ext.rpc.scheduler import SchedulerAPI
from cinder_ext.rpc.volume import VolumeAPI
from cinder_ext.scheduler.manager import SchedulerService
from cinder_ext.states import migration as migration_states
from cinder_ext.volume.manager import VolumeServices

CONFIGURATION = """
[DEFAULT]
host = node
state_path = {directory}
enabled_backends = alpha,beta
sweep_interval = {sweep_interval}
quota_volumes = -1
quota_gigabytes = -1
[oslo_concurrency]
lock_path = {directory}/locks
[database]
connection = sqlite:///{directory}/test.db
[alpha]
file_path = {directory}/alpha
[beta]
file_path = {directory}/beta
"""


class Cloud:
    """Scheduler and backends alpha and beta, with a volume type for each."""

    def __init__(self, directory, sweep_interval=3600, more=''):
        self.directory = directory
        self.context = context.RequestContext(user_id='user', project_id='project',
                                              roles=['member'], overwrite=False)
        for name in ('alpha', 'beta'):
            (directory / name).mkdir(exist_ok=True)
        file = directory / 'cinder-ext.conf'
        file.write_text(CONFIGURATION.format(
            directory=directory, sweep_interval=sweep_interval) + more)
        self.conf = options.new()
        options.parse(self.conf, ['--config-file', str(file)])
        blank.put(directory / 'test.db')
        session.configure(self.conf)
        transport.init(self.conf, f'local:///{uuid.uuid4()}')
        self.scheduler_api, self.volume_api = SchedulerAPI(self.conf), VolumeAPI(self.conf)
        self.scheduler, self.backends = None, None
        self.types = {
            name: volume_types.create(self.context, {'name': name},
                                      {'volume_backend_name': name}).id
            for name in ('alpha', 'beta')}

    def start(self):
        """Start, and wait until the scheduler knows both backends."""
        self.start_scheduler()
        self.start_backends()
        self.until(lambda: len(self.pools()) == 2)

    def start_scheduler(self):
        self.scheduler = SchedulerService(self.conf)
        self.scheduler.start()

    def start_backends(self):
        self.backends = VolumeServices(self.conf)
        self.backends.start()

    def stop(self):
        for service in (self.backends, self.scheduler):
            if service is not None:
                service.stop()
        self.backends = self.scheduler = None

    def close(self):
        self.stop()
        transport.cleanup()
        session.dispose()

    def pools(self, detail=False):
        return self.scheduler_api.get_pools(self.context, detail)

    @staticmethod
    def until(claim, seconds=60):
        """Wait until ``claim()`` is true, and return what it returned."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = claim()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError('it did not come true in time')

    def record_volume(self, **values):
        return volumes.create(self.context, {
            'project_id': 'project', 'user_id': 'user', 'size': 1,
            'volume_type_id': self.types['alpha'], **values}).id

    def volume(self, status='available', **values):
        """A new volume, asked for and waited for; returns its id."""
        volume_id = self.record_volume(**values)
        self.scheduler_api.create_volume(self.context, volume_id)
        self.becomes(volume_id, status)
        return volume_id

    def becomes(self, volume_id, status):
        """Wait for a volume's status; returns its row."""
        self.until(lambda: self.row(volume_id).status == status)
        return self.row(volume_id)

    def row(self, volume_id):
        return volumes.get(self.context, volume_id)

    def snapshot(self, volume_id):
        """A new snapshot, asked for and waited for; returns its id."""
        snapshot_id = snapshots.create(self.context, {'volume_id': volume_id}).id
        self.volume_api.create_snapshot(self.context, self.row(volume_id).host, snapshot_id)
        self.until(lambda: snapshots.get(self.context, snapshot_id).status == 'available')
        return snapshot_id

    def migrate(self, volume_id, lock='retype', **values):
        """Record a migration and have it placed; returns its record when it has ended."""
        record = volume_migrations.start(self.context, volume_id, {
            'operation': 'retype', 'include_snapshots': False, **values}, lock)
        self.scheduler_api.place_migration(self.context, record.id)
        return self.until(lambda: self.ended(record.id), 60)

    def ended(self, migration_id):
        record = volume_migrations.get(self.context, migration_id)
        return record if record.phase in migration_states.ENDED else None

    def told(self, resource_id):
        """(action, detail, text) of the user messages about something."""
        return [(each.action_id, each.detail_id, each.user_message)
                for each in messages.list_all(self.context, resource_uuid=resource_id)]

    def path(self, resource_id, backend='alpha', kind='volume'):
        return self.directory / backend / f'{kind}s' / f'{kind}-{resource_id}.raw'

    def write(self, volume_id, offset, content):
        with open(self.path(volume_id), 'r+b') as file:
            file.seek(offset)
            file.write(content)

    def read(self, path, offset, length):
        with open(path, 'rb') as file:
            file.seek(offset)
            return file.read(length)


class Groups:
    """What the API does with groups, on a Cloud."""

    CONSISTENT = {group_types.CONSISTENT: group_types.TRUE}

    def __init__(self, cloud):
        self.cloud = cloud
        self.context = cloud.context

    def group_type(self, specs=None, name='plain'):
        return group_types.create(self.context, {'name': name}, specs).id

    def record(self, group_type_id=None, types=('alpha',)):
        return groups.create(self.context, {
            'project_id': 'project', 'user_id': 'user',
            'group_type_id': group_type_id or self.group_type()},
            [self.cloud.types[name] for name in types]).id

    def group(self, status='available', **more):
        """A new group, asked for and waited for; returns its id."""
        group_id = self.record(**more)
        self.cloud.scheduler_api.create_group(self.context, group_id)
        self.becomes(group_id, status)
        return group_id

    def becomes(self, group_id, status):
        self.cloud.until(lambda: groups.get(self.context, group_id).status == status)
        return groups.get(self.context, group_id)

    def member(self, group_id, **values):
        """A new volume in a group."""
        volume_id = group_requests.create_volume(self.context, None, None, {
            'project_id': 'project', 'user_id': 'user', 'size': 1, 'group_id': group_id,
            'volume_type_id': self.cloud.types['alpha'], **values}).id
        self.cloud.scheduler_api.create_volume(self.context, volume_id)
        self.cloud.becomes(volume_id, 'available')
        return volume_id

    def record_snapshot(self, group_id):
        return group_snapshots.create(self.context, group_id, {'user_id': 'user', 'name': 's'}).id

    def snapshot(self, group_id, status='available'):
        """A new group snapshot, asked for and waited for; returns its id and its members'."""
        whole_id = self.record_snapshot(group_id)
        self.cloud.volume_api.create_group_snapshot(self.context, self.host(group_id), whole_id)
        self.snapshot_becomes(whole_id, status)
        return whole_id, self.members(whole_id)

    def snapshot_becomes(self, whole_id, status):
        self.cloud.until(lambda: group_snapshots.get(self.context, whole_id).status == status)

    def members(self, whole_id):
        """Of a group snapshot: volume id -> snapshot id."""
        return {each.volume_id: each.id
                for each in snapshots.of_group_snapshot(self.context, whole_id)}

    def host(self, group_id):
        return groups.get(self.context, group_id).host

    def volumes(self, group_id):
        return [self.cloud.row(volume_id)
                for volume_id, _status in groups.members(self.context, group_id)]

    def from_snapshot(self, whole_id):
        return group_requests.create_from_snapshot(
            self.context, group_snapshots.get(self.context, whole_id),
            {'project_id': 'project', 'user_id': 'user', 'name': 'copy'})

    def from_group(self, group_id):
        return group_requests.create_from_group(
            self.context, group_id, {'project_id': 'project', 'user_id': 'user', 'name': 'copy'})

    def is_gone(self, get, identity):
        try:
            get(self.context, identity)
        except exceptions.NotFound:
            return True
        return False

    def two(self, **more):
        """A group with two volumes that hold their number."""
        group_id = self.group(**more)
        members = [self.member(group_id) for _ in range(2)]
        for number, volume_id in enumerate(members):
            self.cloud.write(volume_id, 4096, b'content %d' % number)
        return group_id, members

    def content(self, resource_id, kind='volume'):
        return self.cloud.read(self.cloud.path(resource_id, kind=kind), 4096, 9)


@pytest.fixture
def make_cloud(tmp_path):
    """make_cloud(sweep_interval=..., more=...) -> Cloud that is not started."""
    made = []

    def make(**settings):
        made.append(Cloud(tmp_path, **settings))
        return made[-1]

    yield make
    for cloud in made:
        cloud.close()


@pytest.fixture
def cloud(make_cloud):
    """A Cloud that has been started."""
    found = make_cloud()
    found.start()
    return found


@pytest.fixture
def work(cloud):
    return Groups(cloud)


@pytest.fixture
def on_xfs(make_cloud, tmp_path):
    """Groups on a backend whose files share blocks; the type ``alpha`` is there."""
    if os.geteuid() != 0:
        pytest.skip('mounting an XFS needs root')
    place = tmp_path / 'medium'
    place.mkdir()
    with media.mounted_xfs(place) as point:
        (tmp_path / 'alpha').symlink_to(point)
        cloud = make_cloud()
        cloud.start()
        yield Groups(cloud)
        cloud.close()


@pytest.fixture(scope='module')
def replicating_cloud(tmp_path_factory):
    """A started Cloud whose backend alpha replicates to three targets."""
    directory = tmp_path_factory.mktemp('replicating')
    made = Cloud(directory, more=replicating.configuration(
        directory, (replicating.DR, replicating.OFFSITE, replicating.SELDOM)))
    made.start()
    yield made
    made.close()


@pytest.fixture
def replicated(replicating_cloud):
    """replicating.Replicated: at its end all is well again, and nothing is replicated."""
    made = replicating.Replicated(replicating_cloud)
    yield made
    made.forget_all()


@pytest.fixture
def replicating_groups(replicating_cloud):
    return Groups(replicating_cloud)


@pytest.fixture(scope='module')
def assisted_cloud(tmp_path_factory):
    """A started Cloud with qcow2 volumes for servers, and its compute service."""
    with assisting.compute_service() as nova:
        made = Cloud(tmp_path_factory.mktemp('assisted'), more=assisting.CONFIGURATION.format(
            url=nova.url, export=assisting.EXPORT))
        made.start()
        yield made, nova
        made.close()


@pytest.fixture
def assisted(assisted_cloud):
    """assisting.Work: what was there before is not seen, and what is left is forgotten."""
    made = assisting.Work(*assisted_cloud)
    yield made
    made.forget_all()


@pytest.fixture
def assisted_groups(assisted):
    """Groups whose volumes are on the Cloud of ``assisted``."""
    return Groups(assisted.cloud)
