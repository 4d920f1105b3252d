"""A volume of one cloud becomes one of another cloud: its bytes, its snapshots, what it is called."""
# SPDX-License-Identifier: Apache-2.0

import copy
from concurrent import futures

from cinder_ext import exceptions
from cinder_ext.db import (
    groups,
    models,
    replication_tombstones,
    session,
    snapshots,
    volume_properties,
    volumes,
)


def test_what_was_failed_over_is_taken_and_released(story):
    row, = story.make(name='data', description='of a', bootable=True)
    with story.a.bound():
        session.writer(lambda context: context.session.add(
            models.VolumeMetadata(volume_id=row.id, key='kept', value='yes')))(story.a.context)
        volume_properties.set_image(story.a.context, row.id, {'os': 'linux'})
        volume_properties.set_admin(story.a.context, row.id, {'readonly': 'True',
                                                              'attached_mode': 'rw'})
    story.ship([row])
    story.fail_over([row])
    exported = story.export(row.id, clear_existing=True)
    assert (exported['role'], exported['released']) == ('primary', True)
    answer = story.take(manifest=exported['manifest'])
    assert [each['result'] for each in answer['volumes']] == ['imported']
    with story.b.bound():
        here = volumes.get(story.b.context, row.id)
        assert (here.status, here.name, here.description, here.size, here.bootable) == (
            'available', 'data', 'of a', 1, True)
        assert (here.host, here.project_id, here.availability_zone) == (
            'b@beta#beta', 'project-b', 'zone-b')
        assert here.volume_type_id == story.b.types['gold']
        assert here.created_at == row.created_at
        assert volumes.metadata(story.b.context, row.id) == {'kept': 'yes'}
        assert volume_properties.image(story.b.context, row.id) == {'os': 'linux'}
        assert volume_properties.admin(story.b.context, row.id) == {'readonly': 'True'}
    assert story.b.read(row.id, 7) == b'first 0'
    with story.a.bound():
        assert replication_tombstones.latest(story.a.context, [row.id])[row.id].epoch == 2
        assert story.a.row(row.id).deleted_at is not None


def test_a_lost_cloud_is_succeeded_at_the_last_common_point_of_all_members(story):
    rows = story.make(2)
    group_id = story.group(rows)
    common = story.ship(rows)
    for number, row in enumerate(rows):
        story.a.write(row.id, f'later {number}'.encode())
    story.a.control(cut=True)
    answer = story.take(name_id=rows[0].id, promote=True)
    assert answer['point']['id'] == common
    assert {each['id'] for each in answer['volumes']} == {row.id for row in rows}
    assert [each['other_sides'] for each in answer['volumes']] == [{'beta-dr': 'unknown'}] * 2
    assert [story.b.read(row.id, 7) for row in rows] == [b'first 0', b'first 1']
    with story.b.bound():
        assert groups.get(story.b.context, group_id).status == 'available'
        assert {each for each, _ in groups.members(story.b.context, group_id)} == {
            row.id for row in rows}


def test_an_import_is_repeated_without_a_change(story):
    rows = story.make(2)
    story.group(rows)
    story.ship(rows)
    story.a.control(cut=True)
    first = story.take(name_id=rows[0].id, promote=True)
    before = story.b.state()
    again = story.take(name_id=rows[1].id, promote=True)
    assert story.b.state() == before
    assert [each['result'] for each in first['volumes']] == ['imported'] * 2
    assert [each['result'] for each in again['volumes']] == ['present'] * 2
    assert [each['id'] for each in again['volumes']] == [each['id'] for each in first['volumes']]


def test_an_import_that_was_killed_between_two_members_goes_on_at_the_same_point(story):
    rows = story.make(2)
    common = story.ship(rows)
    story.a.control(cut=True)
    story.b.driver.promote(story.member(rows[0]), None, 2, common)
    answer = story.take(name_id=rows[1].id, promote=True)
    assert [each['result'] for each in answer['volumes']] == ['imported'] * 2
    assert answer['point']['id'] == common
    assert [each['epoch'] for each in answer['volumes']] == [2, 2]


def test_a_dry_run_changes_nothing_and_says_the_point(story):
    row, = story.make()
    common = story.ship([row])
    before = story.b.state(), story.a.state()
    story.a.control(cut=True)
    answer = story.look(name_id=row.id, promote=True)
    assert answer['point']['id'] == common
    assert [(each['role'], each['result']) for each in answer['volumes']] == [
        ('secondary', 'importable')]
    assert (story.b.state(), story.a.state()) == before


def test_snapshots_come_along_with_their_content(story):
    row, = story.make()
    with story.a.bound():
        for number in (1, 2):
            taken = snapshots.create(story.a.context, {'volume_id': row.id, 'name': f's{number}'},
                                     {'n': str(number)})
            story.snapshot(row, taken)
            story.a.write(row.id, f'after {number}'.encode())
    story.ship([row])
    story.a.control(cut=True)
    story.take(name_id=row.id, promote=True)
    with story.b.bound():
        found = snapshots.of_volume(story.b.context, row.id)
        assert [(each.name, each.status) for each in found] == [
            ('s1', 'available'), ('s2', 'available')]
        assert snapshots.metadata(story.b.context, found[0].id) == {'n': '1'}
    paths = [story.b.array / 'snapshots' / f'snapshot-{each.id}.raw' for each in found]
    assert [path.open('rb').read(7) for path in paths] == [b'first 0', b'after 1']
    assert story.b.read(row.id, 7) == b'after 2'


def test_a_living_cloud_is_fenced_by_force_only(story):
    row, = story.make()
    story.ship([row])
    story.take(name_id=row.id, promote=True, force=True)
    assert story.a.driver.side(story.member(row).volume, None).role == 'fenced'
    assert not story.a.path(row.id).exists()


def test_a_site_that_comes_back_lets_go_of_what_was_taken_over(story):
    row, = story.make()
    story.ship([row])
    story.a.control(cut=True)
    story.take(name_id=row.id, promote=True)
    story.a.control()
    before = story.b.state()
    exported = story.export(row.id, clear_existing=True)
    assert (exported['role'], exported['manifest']['epoch']) == ('primary', 2)
    with story.a.bound():
        assert replication_tombstones.latest(story.a.context, [row.id])[row.id].epoch == 2
    assert story.b.state() == before
    assert story.a.read(row.id, 7) == b'first 0'


def test_ids_can_be_new(story):
    row, = story.make()
    story.ship([row])
    story.a.control(cut=True)
    answer = story.take(name_id=row.id, promote=True, new_id=True)
    made, = (each['id'] for each in answer['volumes'])
    assert made != row.id
    with story.b.bound():
        here = volumes.get(story.b.context, made)
        assert (here.id, here.name_id) == (made, row.id)
    again = story.take(name_id=row.id, promote=True)
    assert [each['id'] for each in again['volumes']] == [made]


def test_types_project_and_zone_are_mapped(story):
    row, = story.make()
    story.ship([row])
    story.a.control(cut=True)
    with story.b.bound():
        story.b.prepare_type('silver')
    story.take(name_id=row.id, promote=True, volume_types={'gold': 'silver'}, project_id='third',
               user_id='she', availability_zone='west')
    with story.b.bound():
        here = volumes.get(story.b.context, row.id)
        assert (here.volume_type_id, here.project_id, here.user_id, here.availability_zone) == (
            story.b.types['silver'], 'third', 'she', 'west')


def test_a_volume_comes_back_and_its_bytes_with_it(story):
    """There and back: written in b, and by its old id in a again."""
    row, = story.make()
    story.ship([row])
    story.fail_over([row])
    story.take(manifest=story.export(row.id, clear_existing=True)['manifest'])
    story.b.write(row.id, b'written in b')
    story.back([row])
    exported = story.export(row.id, cloud=story.b, clear_existing=True)
    assert exported['manifest']['epoch'] == 3
    story.take(cloud=story.a, manifest=exported['manifest'])
    assert story.a.read(row.id, 12) == b'written in b'
    with story.a.bound():
        assert volumes.get(story.a.context, row.id).status == 'available'
        assert volumes.get(story.a.context, row.id).id == row.id


def test_of_two_imports_at_once_one_records_it(story):
    """The other one finds it there, or is told that somebody was first."""
    rows = story.make(2)
    story.ship(rows)
    story.a.control(cut=True)
    with story.b.bound():
        def take(row):
            ctxt = copy.copy(story.b.context)
            try:
                return story.b.endpoint.import_replica(ctxt, {
                    'name_id': row.id, 'promote': True, 'with_group': True})
            except exceptions.ReplicaRefused as refusal:
                return refusal
        with futures.ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(take, rows))
        told = [{each['result'] for each in answer['volumes']} for answer in answers
                if isinstance(answer, dict)]
        assert told.count({'imported'}) == 1
        assert all(each in ({'imported'}, {'present'}) for each in told)
        for row in rows:
            assert volumes.get(story.b.context, row.id).status == 'available'


def test_an_export_does_not_need_the_own_array(story):
    row, = story.make()
    story.ship([row])
    story.fail_over([row])
    story.a.control(cut=True)
    exported = story.export(row.id, clear_existing=True)
    assert (exported['role'], exported['released']) == ('primary', True)
    assert story.take(manifest=exported['manifest'])['volumes'][0]['result'] == 'imported'
