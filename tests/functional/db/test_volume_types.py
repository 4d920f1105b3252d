"""Volume types in the database."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    group_models,
    project_models,
    session,
    volume_migrations,
    volume_types,
    volumes,
)


def test_a_type_is_found_by_id_and_by_name(database, ctxt):
    made = volume_types.create(ctxt, {'name': 'fast', 'description': 'd'}, {'k': 'v'})
    assert volume_types.get(ctxt, made.id).name == 'fast'
    assert volume_types.get_by_name_or_id(ctxt, made.id).id == made.id
    assert volume_types.get_by_name_or_id(ctxt, 'fast').id == made.id
    assert volume_types.extra_specs(ctxt, made.id) == {'k': 'v'}


def test_an_id_wins_over_an_equal_name(database, ctxt):
    made = volume_types.create(ctxt, {'name': 'fast'})
    volume_types.create(ctxt, {'name': made.id})
    assert volume_types.get_by_name_or_id(ctxt, made.id).name == 'fast'


def test_an_unknown_type_is_not_found(database, ctxt):
    for call in (volume_types.get, volume_types.get_by_name_or_id, volume_types.delete):
        with pytest.raises(exceptions.VolumeTypeNotFound):
            call(ctxt, 'none')
    with pytest.raises(exceptions.VolumeTypeNotFound):
        volume_types.set_extra_specs(ctxt, 'none', {'k': 'v'})
    with pytest.raises(exceptions.VolumeTypeNotFound):
        volume_types.update(ctxt, 'none', {'name': 'x'})


def test_a_taken_name_is_refused_and_nothing_is_made(database, ctxt):
    volume_types.create(ctxt, {'name': 'fast'})
    with pytest.raises(exceptions.AlreadyExists, match='fast'):
        volume_types.create(ctxt, {'name': 'fast'})
    assert len(volume_types.list_all(ctxt)) == 1


def test_renaming_to_a_taken_name_is_refused_and_to_its_own_is_not(database, ctxt):
    volume_types.create(ctxt, {'name': 'fast'})
    slow = volume_types.create(ctxt, {'name': 'slow'})
    with pytest.raises(exceptions.AlreadyExists):
        volume_types.update(ctxt, slow.id, {'name': 'fast'})
    changed = volume_types.update(ctxt, slow.id, {'name': 'slow', 'description': 'new'})
    assert changed.description == 'new'
    assert volume_types.get(ctxt, slow.id).name == 'slow'


def test_the_name_of_a_removed_type_is_free_again(database, ctxt):
    volume_types.delete(ctxt, volume_types.create(ctxt, {'name': 'fast'}, {'k': 'v'}).id)
    assert volume_types.list_all(ctxt) == []
    assert volume_types.create(ctxt, {'name': 'fast'}).name == 'fast'


def test_a_type_that_a_volume_has_stays(make_volume, ctxt):
    made = volume_types.create(ctxt, {'name': 'fast'})
    volume_id = make_volume(volume_type_id=made.id)
    with pytest.raises(exceptions.InvalidState):
        volume_types.delete(ctxt, made.id)
    assert volume_types.get(ctxt, made.id).deleted_at is None
    volumes.mark_deleted(ctxt, volume_id)
    volume_types.delete(ctxt, made.id)


def test_a_type_that_a_retype_is_giving_stays(make_volume, ctxt):
    made = volume_types.create(ctxt, {'name': 'fast'})
    volume_migrations.start(ctxt, make_volume(), {
        'operation': 'retype', 'destination_type_id': made.id}, 'retype')
    with pytest.raises(exceptions.InvalidState):
        volume_types.delete(ctxt, made.id)


def test_lists_are_filtered_by_visibility(database, ctxt):
    volume_types.create(ctxt, {'name': 'open'})
    volume_types.create(ctxt, {'name': 'closed', 'is_public': False})
    names = {public: [each.name for each in volume_types.list_all(ctxt, public)]
             for public in (None, True, False)}
    assert names == {None: ['open', 'closed'], True: ['open'], False: ['closed']}


def test_extra_specs_are_added_changed_and_removed(database, ctxt):
    made = volume_types.create(ctxt, {'name': 'fast'}, {'a': '1', 'b': '2'})
    volume_types.set_extra_specs(ctxt, made.id, {'b': '3', 'c': '4'})
    volume_types.delete_extra_spec(ctxt, made.id, 'a')
    assert volume_types.extra_specs(ctxt, made.id) == {'b': '3', 'c': '4'}
    assert volume_types.extra_specs_of(ctxt, [made.id, 'none']) == {
        made.id: {'b': '3', 'c': '4'}, 'none': {}}
    with pytest.raises(exceptions.ExtraSpecNotFound):
        volume_types.delete_extra_spec(ctxt, made.id, 'a')


def test_extra_specs_of_a_used_type_stay_but_for_those_of_migrations(make_volume, ctxt):
    made = volume_types.create(ctxt, {'name': 'fast'}, {'a': '1'})
    make_volume(volume_type_id=made.id)
    volume_types.set_extra_specs(ctxt, made.id, {'migration:include_snapshots': '<is> True'})
    volume_types.delete_extra_spec(ctxt, made.id, 'migration:include_snapshots')
    with pytest.raises(exceptions.InvalidState):
        volume_types.set_extra_specs(ctxt, made.id, {'migration:x': 'y', 'a': '2'})
    with pytest.raises(exceptions.InvalidState):
        volume_types.delete_extra_spec(ctxt, made.id, 'a')
    assert volume_types.extra_specs(ctxt, made.id) == {'a': '1'}


@pytest.mark.parametrize(('first', 'second'), [
    ('multiattach', 'cacheable'), ('cacheable', 'multiattach')])
def test_a_type_is_not_both_multiattach_and_cacheable(database, ctxt, first, second):
    made = volume_types.create(ctxt, {'name': 'fast'})
    volume_types.set_extra_specs(ctxt, made.id, {first: '<is> True', second: '<is> False'})
    with pytest.raises(exceptions.InvalidInput):
        volume_types.set_extra_specs(ctxt, made.id, {second: '<is> True'})
    assert volume_types.extra_specs(ctxt, made.id)[second] == '<is> False'


@session.writer
def _add(context, *rows):
    for row in rows:
        context.session.add(row)
        context.session.flush()


@session.reader
def _limits(context, table):
    return {row.resource: row.hard_limit for row in context.session.query(table)}


def test_limits_follow_a_new_name(database, ctxt):
    made = volume_types.create(ctxt, {'name': 'fast'})
    quota = project_models.Quota
    _add(ctxt, quota(project_id='p', resource='volumes_fast', hard_limit=3),
         quota(project_id='p', resource='gigabytes_slow', hard_limit=4),
         quota(project_id='p', resource='volumes_quick', hard_limit=5),
         project_models.QuotaClass(class_name='default', resource='snapshots_fast', hard_limit=6))
    volume_types.update(ctxt, made.id, {'name': 'quick'})
    assert _limits(ctxt, quota) == {'volumes_quick': 3, 'gigabytes_slow': 4}
    assert _limits(ctxt, project_models.QuotaClass) == {'snapshots_quick': 6}


def test_a_type_that_a_group_may_have_stays(database, ctxt):
    made = volume_types.create(ctxt, {'name': 'fast'})
    kind = group_models.GroupType(id='kind', name='kind')
    group = group_models.Group(id='group', project_id='p', user_id='u', status='available',
                               group_type_id='kind')
    _add(ctxt, kind, group, group_models.GroupVolumeType(group_id='group', volume_type_id=made.id))
    with pytest.raises(exceptions.InvalidState):
        volume_types.delete(ctxt, made.id)
