"""What was deleted long ago is removed, and nothing else."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import pytest
import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext.db import (
    attachments,
    hosts,
    models,
    online,
    purge,
    session,
    snapshots,
    transition,
    volume_migrations,
    volume_requests,
    volume_types,
    volumes,
)
from cinder_ext.db.volume_migrations import states


@session.writer
def _age(context, model, row_id, days):
    context.session.execute(
        sa.update(model).where(model.id == row_id)
        .values(deleted_at=timeutils.utcnow() - datetime.timedelta(days=days)))


@session.reader
def _count(context, model):
    return context.session.execute(sa.select(sa.func.count()).select_from(model)).scalar_one()


def test_a_volume_goes_with_all_that_hung_on_it(ctxt, make_volume):
    volume_id = make_volume()
    volume_requests.set_metadata(ctxt, volume_id, {'a': 'b'})
    snapshot_id = snapshots.create(ctxt, {'volume_id': volume_id}, {'c': 'd'}).id
    volume_requests.reset_snapshot_status(ctxt, snapshot_id, 'available')
    record = volume_migrations.start(ctxt, volume_id, {'operation': 'retype'}, 'retype')
    transition.move(ctxt, states.MACHINE, record.id, 'schedule')
    volume_migrations.save_plan(ctxt, record.id, [
        {'snapshot_id': None, 'size_bytes': 1, 'source_name_id': 's', 'destination_name_id': 'd'}], {})
    for model, row_id in ((models.Snapshot, snapshot_id), (models.Volume, volume_id)):
        _age(ctxt, model, row_id, 11)
    assert purge.purge(ctxt, 10) == {'snapshots': 1, 'volumes': 1}
    for model in (models.Volume, models.Snapshot, models.VolumeMetadata, models.SnapshotMetadata,
                  models.VolumeMigration, models.MigrationLink):
        assert _count(ctxt, model) == 0, model
    assert purge.purge(ctxt, 10) == {}


def test_what_is_young_or_alive_or_referred_to_stays(ctxt, make_volume):
    young, alive, parent = make_volume(), make_volume(), make_volume()
    snapshots.create(ctxt, {'volume_id': parent})
    attachments.reserve(ctxt, alive)
    _age(ctxt, models.Volume, young, 9)
    _age(ctxt, models.Volume, parent, 11)
    assert purge.purge(ctxt, 10) == {}
    assert _count(ctxt, models.Volume) == 3


def test_a_type_goes_when_its_last_volume_has_gone(ctxt, make_volume):
    type_id = volume_types.create(ctxt, {'name': 'old'}, {'key': 'value'}).id
    volume_id = make_volume(volume_type_id=type_id)
    _age(ctxt, models.VolumeType, type_id, 20)
    _age(ctxt, models.Volume, volume_id, 5)
    assert purge.purge(ctxt, 10) == {}
    _age(ctxt, models.Volume, volume_id, 10)
    assert purge.purge(ctxt, 10) == {'volumes': 1, 'volume_types': 1}
    assert _count(ctxt, models.VolumeTypeExtraSpec) == 0


def test_more_than_a_batch_goes_in_several(ctxt, make_volume, monkeypatch):
    monkeypatch.setattr(purge, 'BATCH', 2)
    for _number in range(5):
        _age(ctxt, models.Volume, make_volume(), 2)
    assert purge.purge(ctxt, 1) == {'volumes': 5}


def test_volumes_are_said_to_be_at_another_pool(ctxt, make_volume):
    moved, other, gone = make_volume(), make_volume(host='node@alpha#x'), make_volume()
    volumes.mark_deleted(ctxt, gone)
    assert hosts.rename(ctxt, 'node@alpha#alpha', 'new@alpha#alpha') == 1
    assert volumes.get(ctxt, moved).host == 'new@alpha#alpha'
    assert volumes.get(ctxt, other).host == 'node@alpha#x'


def test_migrations_at_either_end_of_a_pool_are_known(ctxt, make_volume):
    record = volume_migrations.start(ctxt, make_volume(), {
        'operation': 'migrate', 'destination_host': 'node@beta#beta'}, None)
    assert hosts.migrating(ctxt, 'node@alpha#alpha') == [record.id]
    assert hosts.migrating(ctxt, 'node@beta#beta') == [record.id]
    assert hosts.migrating(ctxt, 'node@gamma#gamma') == []


class Rows:
    """A data migration with so many objects left."""

    __name__ = 'rows'

    def __init__(self, left):
        self.left = left

    def __call__(self, context, most):
        done = min(most, self.left)
        self.left -= done
        return done, done


@pytest.mark.parametrize(('most', 'done', 'code'), [(None, 120, online.DONE), (70, 70, online.MORE)])
def test_data_migrations_run_to_their_end_or_to_a_number(database, ctxt, most, done, code):
    rows = Rows(120)
    assert online.run(ctxt, (rows,), most) == ([('rows', done, done)], code)
    assert rows.left == 120 - done


def test_a_data_migration_that_fails_keeps_none_of_the_others_from_running(database, ctxt):
    @session.writer
    def broken(context, most):
        context.session.execute(sa.text('SELECT nothing FROM nowhere'))

    rows = Rows(3)
    assert online.run(ctxt, (broken, rows)) == ([('broken', 0, 0), ('rows', 3, 3)], online.FAILED)
