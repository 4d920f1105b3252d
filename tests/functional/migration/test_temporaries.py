"""A temporary volume while it is there: the database knows it as work of the migration, only so."""
# SPDX-License-Identifier: Apache-2.0

import threading

import pytest
import sqlalchemy as sa

from cinder_ext import context as contexts
from cinder_ext.db import managed, migration_actions, models, quotas, session
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.file import FileDriver

MIB = values.MIB


class NoSnapshotConnect(FileDriver):
    """Reads snapshots through volumes only.

    :ivar look: called with the name of each temporary volume when it is there
    """

    look = staticmethod(lambda name_id: None)

    def switched_off(self):
        return super().switched_off() | {capabilities.SnapshotConnect}

    def create_volume_from_snapshot(self, volume, snapshot):
        super().create_volume_from_snapshot(volume, snapshot)
        self.look(volume.name_id)


def ids(table):
    with session.get_engine().connect() as connection:
        return set(connection.execute(sa.select(table.id)).scalars())


def records():
    with session.get_engine().connect() as connection:
        return connection.execute(sa.select(models.VolumeMigration.__table__)).all()


@pytest.mark.parametrize('end', ['alpha', 'beta'])
def test_it_has_no_row_takes_no_quota_and_cannot_be_had(cloud_of, noise, end):
    cloud = cloud_of(**{end: NoSnapshotConnect})
    volume_id = cloud.volume(1)
    cloud.write(volume_id, 0, noise(6 * MIB))
    cloud.snapshot(volume_id)
    before = ids(models.Volume), quotas.usage(cloud.context, 'project')
    seen = []

    def look(name_id):
        # In the thread of the driver, which has a transaction of its own.
        mine = contexts.admin_context()
        [record] = records()
        noted = [left for left in record.leftovers if left['name_id'] == name_id]
        seen.append((name_id, ids(models.Volume), quotas.usage(mine, 'project'),
                     managed.owners(mine, 'volume', [name_id]), noted))

    cloud.drivers[end].look = look
    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'finished', record.error
    [(name_id, rows, usage, owners, [noted])] = seen
    assert (rows, usage) == before
    assert owners == {name_id: volume_id}
    assert (noted['kind'], noted['temporary'], noted['host']) == (
        'volume', True, f'host@{end}#{end}')
    assert record.leftovers in (None, [])
    assert managed.owners(cloud.context, 'volume', [name_id]) == {}
    assert (ids(models.Volume), quotas.usage(cloud.context, 'project')) == before


def test_source_without_room_for_one_is_refused(cloud_of, noise):
    cloud = cloud_of(alpha=NoSnapshotConnect)
    volume_id = cloud.volume(1)
    cloud.write(volume_id, 0, noise(6 * MIB))
    cloud.snapshot(volume_id)
    [report] = cloud.drivers['alpha'].report()
    full = values.PoolReport(report.name, report.total_bytes, 5 * MIB, 0, 0)
    cloud.drivers['alpha'].report = lambda: [full]
    record = cloud.record(cloud.migrate(volume_id))
    assert record.error_code == 'cinder_ext.preflight_failed'
    assert [check['name'] for check in record.checks if check['passed'] is False] == [
        'source-temporary-capacity']
    assert f'{6 * MIB} bytes' in record.error
    assert cloud.files('beta') == []


@pytest.fixture
def reading(cloud_of, noise):
    """reading(): (cloud, volume id, migration id) while a snapshot is slowly read through one."""
    def begin():
        cloud = cloud_of(alpha=NoSnapshotConnect)
        cloud.conf.set_override('file_copy_bytes_per_second', 4 * MIB, 'alpha')
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise(24 * MIB))
        cloud.snapshot(volume_id)
        made = threading.Event()
        cloud.drivers['alpha'].look = lambda name_id: made.set()
        migration_id = cloud.migrate(volume_id, wait=False)
        assert made.wait(30)
        cloud.wait(migration_id, ('copying',))
        return cloud, volume_id, migration_id
    return begin


def volumes_at(cloud, backend):
    return len(list((cloud.directory / backend / 'volumes').iterdir()))


def test_it_goes_while_the_migration_is_paused(reading):
    cloud, volume_id, migration_id = reading()
    before = cloud.contents(volume_id)
    assert volumes_at(cloud, 'alpha') == 2
    migration_actions.pause(cloud.context, migration_id)
    cloud.idle(migration_id)
    record = cloud.record(migration_id)
    assert (record.phase, record.leftovers) == ('paused', [])
    assert volumes_at(cloud, 'alpha') == 1

    cloud.conf.clear_override('file_copy_bytes_per_second', 'alpha')
    migration_actions.resume(cloud.context, migration_id)
    cloud.endpoints['alpha'].run_migration(cloud.context, migration_id)
    record = cloud.wait(migration_id)
    assert (record.phase, record.leftovers) == ('finished', []), record.error
    assert cloud.contents(volume_id) == before
    assert cloud.files('alpha') == []


def test_it_goes_when_the_migration_is_cancelled(reading):
    cloud, volume_id, migration_id = reading()
    before = cloud.contents(volume_id)
    migration_actions.cancel(cloud.context, migration_id)
    record = cloud.wait(migration_id)
    assert (record.phase, record.leftovers) == ('cancelled', [])
    assert (volumes_at(cloud, 'alpha'), cloud.files('beta')) == (1, [])
    assert cloud.contents(volume_id) == before
