"""Cloud a ships a volume, or a group of them, to the array of cloud b; real files and databases."""
# SPDX-License-Identifier: Apache-2.0

import json
import types
import uuid

import pytest
import two_clouds

from cinder_ext.db import groups, session, snapshots, transition, volumes
from cinder_ext.drivers import values
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.volume import values as row_values
from cinder_ext.volume.replication import manifest


class Story:
    """What a shipper and a failover of cloud a do, step by step."""

    def __init__(self, pair):
        self.pair, self.a, self.b = pair, pair.a, pair.b
        self.epoch = 1
        self.points = []

    def member(self, row):
        with self.a.bound():
            taken = [] if self.a.row(row.id) is None else snapshots.of_volume(self.a.context, row.id)
        return values.Member(row_values.volume_value(row),
                             tuple(row_values.snapshot_value(each, row) for each in taken))

    def make(self, count=1, **columns):
        with self.a.bound():
            return [self.a.volume(f'first {number}'.encode(), **columns) for number in range(count)]

    def group(self, rows):
        with self.a.bound():
            made = groups.create(self.a.context, {
                'id': str(uuid.uuid4()), 'name': 'both', 'project_id': 'project-a', 'user_id': 'user',
                'group_type_id': self.a.group_type, 'host': rows[0].host}, [self.a.types['gold']])
            groups.created(self.a.context, made.id)
            for row in rows:
                volumes.update(self.a.context, row.id, {'group_id': made.id})
            return made.id

    def ship(self, rows):
        """One common point of some volumes at the array of cloud b; its id."""
        members, point_id = [self.member(row) for row in rows], str(uuid.uuid4())
        target = self.a.driver.replication_targets()[0]
        record = types.SimpleNamespace(scope='group' if len(rows) > 1 else 'volume', mode='async',
                                       rpo_seconds=10, epoch=self.epoch)
        with self.a.bound():
            manifests = manifest.of(self.a.conf, self.a.context, record,
                                    [self.a.row(row.id) for row in rows], point_id, target)
        self.a.driver.pair(members, None, self.a.target, self.epoch)
        self.a.driver.ship(members, None, self.a.target, point_id, 3, manifests)
        self.points.append(point_id)
        return point_id

    def fail_over(self, rows):
        """Planned: fence, last point, demote, promote there."""
        members = [self.member(row) for row in rows]
        for member in members:
            self.a.driver.fence(member, None, self.epoch)
        self.ship_last(rows)
        self.epoch += 1
        for member in members:
            self.a.driver.promote(member, self.a.target, self.epoch)
            self.a.driver.demote(member, None, self.epoch)

    def snapshot(self, row, taken):
        """Have a snapshot on the array that is recorded."""
        self.a.driver.create_snapshot(row_values.snapshot_value(taken, row))
        transition.move(self.a.context, snapshot_states.MACHINE, taken.id, 'created')

    def back(self, rows, with_manifests=False):
        """Cloud b ships to cloud a and fails over to it."""
        members, driver = [self.member(row) for row in rows], self.b.driver
        point, manifests = [str(uuid.uuid4()), str(uuid.uuid4())], None
        record = types.SimpleNamespace(scope='volume', mode='async', rpo_seconds=10, epoch=self.epoch)
        if with_manifests:
            with self.b.bound():
                manifests = manifest.of(self.b.conf, self.b.context, record, rows, point[0],
                                        driver.replication_targets()[0])
        driver.pair(members, None, self.b.target, self.epoch)
        driver.ship(members, None, self.b.target, point[0], 3, manifests)
        for member in members:
            driver.fence(member, None, self.epoch)
        driver.ship(members, None, self.b.target, point[1], 3)
        self.epoch += 1
        for member in members:
            driver.promote(member, self.b.target, self.epoch)
            driver.demote(member, None, self.epoch)

    def ship_last(self, rows):
        point_id = str(uuid.uuid4())
        self.a.driver.ship([self.member(row) for row in rows], None, self.a.target, point_id, 3)
        self.points.append(point_id)

    def export(self, volume_id, cloud=None, **request):
        cloud = cloud or self.a
        with cloud.bound():
            return cloud.endpoint.export_replica(
                cloud.context, {'volume_id': volume_id, **request})

    def take(self, cloud=None, **request):
        cloud = cloud or self.b
        with cloud.bound():
            answer = cloud.endpoint.import_replica(cloud.context, {'with_group': True, **request})
        return json.loads(json.dumps(answer))

    def look(self, **request):
        with self.b.bound():
            return self.b.endpoint.examine_replica(self.b.context, {'with_group': True, **request})


@pytest.fixture
def story(tmp_path):
    yield Story(two_clouds.Pair(tmp_path))
    session.dispose()
