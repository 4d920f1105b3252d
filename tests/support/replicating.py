"""A cloud whose backend alpha replicates to directories that a test can cut off or fill."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import json
import os
import uuid

import sqlalchemy as sa
from replication_rows import policy

from cinder_ext.db import (
    messages,
    models,
    replication_changes,
    replications,
    session,
    snapshots,
    volume_types,
    volumes,
)
from cinder_ext.drivers import loader, values
from cinder_ext.rpc.replication import ReplicationAPI
from cinder_ext.volume.replication import ship

DR = 'alpha-dr'
OFFSITE = 'offsite'
SELDOM = 'seldom'
"""A target that takes a point a minute at most."""
_ENTRY = 'replication_device = backend_id:{name},path:{path},control_file:{path}.json'
ENABLED = '<is> True'


def configuration(directory, targets=(DR,), more=''):
    """The lines that make alpha replicate; the directories are made."""
    for name in targets:
        (directory / name).mkdir(exist_ok=True)
    entries = '\n'.join(
        _ENTRY.format(name=name, path=directory / name)
        + (',min_interval_seconds:60' if name == SELDOM else '') for name in targets)
    return f'[alpha]\nfile_control_file = {directory}/alpha.json\n{entries}\n{more}'


class Replicated:
    """What the API does with replications, and what a test sees of them.

    :param cloud: services Cloud with ``configuration``
    """

    def __init__(self, cloud):
        self.cloud, self.context = cloud, cloud.context
        self.admin = cloud.context.elevated()
        self.api = ReplicationAPI(cloud.conf)

    def control(self, name=DR, **said):
        """What happens to a directory from now on; nothing but good without a word."""
        path = self.cloud.directory / f'{name}.json'
        new = path.with_suffix('.new')
        new.write_text(json.dumps(said))
        os.replace(new, path)

    def forget_all(self):
        """Let all be well, and end what is replicated."""
        for name in (None, DR, OFFSITE):
            self.control(name or 'alpha')
        for row in replications.of_home(self.admin, 'node@alpha'):
            if row.scope != 'volume':
                self.disable(row.id)
        for volume_id in self.volume_ids():
            self.delete(volume_id)
        self.cloud.until(lambda: not self.volume_ids()
                         and not replications.of_home(self.admin, 'node@alpha'), 20)

    def volume_ids(self):
        """Of all volumes that are there."""
        @session.reader
        def look(context):
            return list(context.session.execute(
                sa.select(models.Volume.id).where(models.Volume.deleted_at.is_(None))).scalars())

        return look(self.admin)

    def delete(self, volume_id):
        """As the API does: with the snapshots, and out of its group."""
        volumes.update(self.admin, volume_id, {'group_id': None})
        for each in snapshots.of_volume(self.admin, volume_id):
            snapshots.begin_delete(self.admin, each.id)
        volumes.begin(self.admin, volume_id, 'delete', 'be deleted')
        self.cloud.volume_api.delete_volume(
            self.admin, volumes.get(self.admin, volume_id).host, volume_id)

    def type(self, name=None, rpo=2, **specs):
        """A volume type whose volumes are replicated by themselves; returns its id."""
        asked = {f'replication:{key}': str(value) for key, value in specs.items()}
        return volume_types.create(self.admin, {'name': name or f'type-{uuid.uuid4()}'}, {
            'volume_backend_name': 'alpha', 'replication_enabled': ENABLED,
            'replication:rpo_seconds': str(rpo), **asked}).id

    def volume(self, type_id=None, **values):
        """A new volume of a replicated type, and its replication with a point."""
        volume_id = self.cloud.volume(volume_type_id=type_id or self.type(), **values)
        return volume_id, self.becomes_enabled(volume_id)

    def enable(self, scope, protected_id, rpo=2, target=DR):
        """As the API does for a group, pool or backend; returns the id."""
        row = replications.create(self.admin, policy(scope, rpo_seconds=rpo), protected_id, target)
        self.api.look(self.context, row.home)
        return row.id

    def disable(self, replication_id):
        row = replication_changes.begin_disable(self.admin, replication_id)
        self.api.look(self.context, row.home)

    def of(self, protected_id):
        """The living replications of a thing."""
        return [row for scope in ('volume', 'group', 'pool', 'backend')
                for row in replications.of_thing(self.admin, scope, protected_id)]

    def get(self, replication_id):
        return replications.get(self.admin, replication_id)

    def becomes(self, replication_id, state):
        return self.cloud.until(
            lambda: (row := self.get(replication_id)).state == state and row, 20)

    def becomes_enabled(self, protected_id):
        """Wait for the first point of a thing; returns the id of its replication."""
        row = self.cloud.until(lambda: next(iter(self.of(protected_id)), None), 20)
        return self.becomes(row.id, 'enabled').id

    def ask_point(self, replication_id):
        """Have a point shipped without waiting for its interval; returns when that was asked."""
        asked_at = replication_changes.ask_sync(self.admin, replication_id).ship_asked_at
        self.api.look(self.context)
        return asked_at

    def next_point(self, replication_id):
        """Wait for a point that is taken from now on."""
        before = self.ask_point(replication_id)
        return self.cloud.until(lambda: (row := self.get(replication_id)).last_consistent_at
                                and row.last_consistent_at >= before and row, 20)

    def condition(self, replication_id, word):
        return ((self.get(replication_id).conditions or {}).get(word) or {}).get('status')

    def told(self, resource_id):
        return [each.detail_id for each in
                messages.list_all(self.context, resource_uuid=resource_id)]

    def has_ended(self, replication_id):
        return replication_id not in {
            row.id for row in replications.of_home(self.admin, 'node@alpha')}

    # What lies at the other side

    def driver(self):
        """A driver of the test's own, not started."""
        return loader.load(self.cloud.conf, 'alpha')

    def side(self, volume_id, name=DR, deleted=False):
        """What a side says of a volume: values.Side.

        :param deleted: the volume is in the records no more
        """
        volume = (values.Volume(volume_id, 0) if deleted
                  else member_of(volumes.get(self.admin, volume_id)).volume)
        return self.driver().side(volume, name)

    def read_replica(self, volume_id, offset, length):
        """What the newest point holds; nothing where it is just being replaced by the next one."""
        with contextlib.suppress(FileNotFoundError):
            return self.cloud.read(self.replica(volume_id), offset, length)
        return b''

    def replica(self, volume_id, name=DR):
        """The file with the content of the newest point at a target."""
        point = self.side(volume_id, name).points[-1]
        return (self.cloud.directory / name / 'replication' / 'volumes' / volume_id
                / f'{point.id}.raw')


def member_of(volume):
    """A volume as its backend knows it."""
    return ship.member(volume, ())
