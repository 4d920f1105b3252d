"""A temporary volume while it is there: the database knows it as work of the migration, only so."""
# SPDX-License-Identifier: Apache-2.0

import pytest
import sqlalchemy as sa

from cinder_ext import context as contexts
from cinder_ext.db import managed, models, quotas, session
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
