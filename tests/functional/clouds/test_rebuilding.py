"""The records of a site whose database is gone come back from its arrays, and nothing false does."""
# SPDX-License-Identifier: Apache-2.0

import blank
import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    groups,
    replication_tombstones,
    replications,
    session,
    snapshots,
    volume_types,
    volumes,
)
from cinder_ext.volume.replication import rebuild


def _lose_database(cloud, furnish=True):
    session.dispose()
    for path in cloud.directory.glob('test.db*'):
        path.unlink()
    blank.put(cloud.directory / 'test.db')
    if furnish:
        with cloud.bound():
            cloud.prepare()


def _rebuild(cloud, is_dry=False, **options):
    with cloud.bound():
        work = rebuild.Rebuilding(cloud.conf, cloud.context, cloud.host, cloud.driver, **options)
        found = work.look() if is_dry else work.go()
    return {each.name_id: (each.verdict, each.detail) for each in found}


def test_volumes_snapshots_and_the_group_come_back(story):
    rows = story.make(2)
    group_id = story.group(rows)
    with story.a.bound():
        taken = snapshots.create(story.a.context, {'volume_id': rows[0].id, 'name': 's'}, {'k': 'v'})
        story.snapshot(rows[0], taken)
    story.ship(rows)
    _lose_database(story.a)
    found = _rebuild(story.a)
    assert {result for result, _ in found.values()} == {rebuild.REBUILT}
    with story.a.bound():
        ctxt = story.a.context
        for row in rows:
            here = volumes.get(ctxt, row.id)
            assert (here.status, here.name, here.project_id, here.created_at, here.host) == (
                'available', 'data', 'project-a', row.created_at, row.host)
        back, = snapshots.of_volume(ctxt, rows[0].id)
        assert (back.id, back.name, back.status) == (taken.id, 's', 'available')
        assert {each for each, _ in groups.members(ctxt, group_id)} == {row.id for row in rows}
        record, = replications.of_thing(ctxt, 'group', group_id)
        assert (record.state, record.target, record.cross_os, record.rpo_seconds, record.epoch) == (
            'enabling', 'alpha-dr', True, 10, 1)
        assert {each.volume_id for each in replications.members(ctxt, record.id)} == {
            row.id for row in rows}


def test_a_second_run_finds_them_present(story):
    row, = story.make()
    story.ship([row])
    _lose_database(story.a)
    _rebuild(story.a)
    before = story.a.state(), story.b.state()
    assert _rebuild(story.a) == {row.id: (rebuild.PRESENT, 'its record is there')}
    assert (story.a.state(), story.b.state()) == before


def test_a_dry_run_changes_nothing(story):
    row, = story.make()
    story.ship([row])
    _lose_database(story.a)
    before = story.a.state(), story.b.state()
    assert _rebuild(story.a, is_dry=True)[row.id][0] == rebuild.REBUILT
    assert (story.a.state(), story.b.state()) == before


def test_what_the_other_cloud_promoted_is_a_tombstone(story):
    row, = story.make()
    story.ship([row])
    story.a.control(cut=True)
    story.take(name_id=row.id, promote=True)
    story.a.control()
    _lose_database(story.a)
    before = story.b.state()
    result, detail = _rebuild(story.a)[row.id]
    assert result == rebuild.TOMBSTONED
    assert detail == 'promoted by cloud b on alpha-dr at epoch 2'
    with story.a.bound():
        stone = replication_tombstones.latest(story.a.context, [row.id])[row.id]
        assert (stone.epoch, stone.peer) == (2, 'b')
        with pytest.raises(exceptions.VolumeNotFound):
            volumes.get(story.a.context, row.id)
    assert story.b.state() == before


def test_a_silent_target_may_have_been_promoted(story):
    row, = story.make()
    story.ship([row])
    _lose_database(story.a)
    # Its own array still has the manifest of what came back once; here there is none.
    story.b.control(cut=True)
    result, detail = _rebuild(story.a)[row.id]
    assert (result, detail) == (
        rebuild.UNKNOWN, 'no manifest lies beside its points on any array that answers')
    with story.a.bound(), pytest.raises(exceptions.VolumeNotFound):
        volumes.get(story.a.context, row.id)


def _there_and_back(story, row):
    story.ship([row])
    story.fail_over([row])
    story.take(manifest=story.export(row.id, clear_existing=True)['manifest'])
    story.back([row], with_manifests=True)
    story.take(cloud=story.a, manifest=story.export(
        row.id, cloud=story.b, clear_existing=True)['manifest'])


def test_a_silent_target_leaves_it_in_error_unless_home_is_trusted(story):
    row, = story.make()
    _there_and_back(story, row)
    story.b.control(cut=True)
    _lose_database(story.a)
    result, detail = _rebuild(story.a)[row.id]
    assert (result, detail) == (
        rebuild.BROKEN, 'alpha-dr does not answer: it may have been promoted there')
    with story.a.bound():
        here = volumes.get(story.a.context, row.id)
        assert (here.status, here.replication_status) == ('error', 'error')
        record, = replications.of_thing(story.a.context, 'volume', row.id)
        assert record.state == 'error'
        assert record.conditions['split_brain']['reason'] == detail
    _lose_database(story.a)
    assert _rebuild(story.a, trusts_home=True)[row.id][0] == rebuild.REBUILT
    with story.a.bound():
        assert volumes.get(story.a.context, row.id).status == 'available'


def test_what_another_cloud_replicates_to_here_is_left_to_an_import(story):
    row, = story.make()
    story.ship([row])
    _lose_database(story.b)
    assert _rebuild(story.b)[row.id] == (
        rebuild.FOREIGN, 'replicated to here by cloud a: import it')


def test_what_was_imported_comes_back_where_it_was(story):
    row, = story.make()
    story.ship([row])
    story.fail_over([row])
    story.take(manifest=story.export(row.id, clear_existing=True)['manifest'])
    _lose_database(story.b)
    assert _rebuild(story.b)[row.id][0] == rebuild.REBUILT
    with story.b.bound():
        assert volumes.get(story.b.context, row.id).status == 'available'
    assert story.b.read(row.id, 7) == b'first 0'


def test_a_missing_type_is_named_and_nothing_is_made(story):
    row, = story.make()
    story.ship([row])
    _lose_database(story.a)
    with story.a.bound():
        volume_types.delete(story.a.context, story.a.types['gold'])
    assert _rebuild(story.a)[row.id] == (
        rebuild.UNKNOWN, 'Invalid input received: volume type gold is missing')
    with story.a.bound(), pytest.raises(exceptions.VolumeNotFound):
        volumes.get(story.a.context, row.id)


def test_a_forged_manifest_rebuilds_nothing(story):
    row, = story.make()
    story.ship([row])
    _lose_database(story.a)
    beside, = (story.b.array / 'replication' / 'volumes' / row.id).glob('*.manifest')
    beside.write_bytes(beside.read_bytes().replace(b'"project-a"', b'"project-x"'))
    assert _rebuild(story.a)[row.id] == (
        rebuild.UNKNOWN, 'The manifest is refused: its signature is not right.')
