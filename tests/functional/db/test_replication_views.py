"""What lists ask of replications: who is behind, what is in a thing, what a selector chooses."""
# SPDX-License-Identifier: Apache-2.0

import pytest
from replication_rows import BACKEND, DR, OTHER_POOL, POOL, make_group, protect, ship

from cinder_ext import exceptions
from cinder_ext.db import (
    listing,
    replication_models,
    replication_operations,
    replication_views,
)


def _ids(ctxt, is_over):
    rows = listing.rows(ctxt, replication_models.Replication, listing.Page(),
                        [replication_views.over_objective(ctxt, is_over)])
    return {row.id for row in rows}


def test_who_is_behind_is_measured_by_the_own_objective(ctxt, make_volume):
    assert _ids(ctxt, True) == set()
    late, good, young, free = (make_volume() for _ in range(4))
    rows = {each: protect(ctxt, each, rpo_seconds=seconds).id
            for each, seconds in ((late, 10), (good, 60), (young, 10))}
    rows[free] = protect(ctxt, free, schedule='every 2 seconds').id
    for volume_id in (late, good, free):
        ship(ctxt, _row(rows[volume_id]), volume_id, ago=30)
    assert _ids(ctxt, True) == {rows[late]}
    assert _ids(ctxt, False) == {rows[good], rows[young], rows[free]}


def _row(replication_id):
    return replication_models.Replication(id=replication_id)


def test_what_is_in_a_thing_serves_it(ctxt, make_volume):
    group = make_group(ctxt)
    grouped, alone = make_volume(group_id=group), make_volume()
    elsewhere = make_volume(host=OTHER_POOL)
    make_volume()
    of_group, own = protect(ctxt, group, 'group'), protect(ctxt, alone)
    other = protect(ctxt, elsewhere)
    both = [{'volume_id': grouped, 'replication_id': of_group.id},
            {'volume_id': alone, 'replication_id': own.id}]
    found, wider = replication_views.within(ctxt, 'pool', POOL)
    assert (sorted(found, key=str), wider) == (sorted(both, key=str), [])
    both.append({'volume_id': elsewhere, 'replication_id': other.id})
    found, wider = replication_views.within(ctxt, 'backend', BACKEND, DR)
    assert (sorted(found, key=str), wider) == (sorted(both, key=str), [])
    assert replication_views.within(ctxt, 'backend', BACKEND, 'nowhere') == ([], [])


def test_what_is_wider_does_not(ctxt, make_volume):
    group = make_group(ctxt)
    grouped = make_volume(group_id=group)
    protect(ctxt, POOL, 'pool')
    assert replication_views.within(ctxt, 'volume', grouped) == ([], ['pool'])
    assert replication_views.within(ctxt, 'group', group) == ([], ['pool'])


def test_a_selector_chooses_what_is_all_true(ctxt, make_volume):
    first, second = make_volume(), make_volume(host=OTHER_POOL, project_id='other')
    make_volume()
    group = make_group(ctxt)
    make_volume(group_id=group)
    protect(ctxt, group, 'group')
    for volume_id in (first, second):
        protect(ctxt, volume_id)

    def chosen(**selector):
        return {each['volume_id'] for each in replication_views.selected(ctxt, selector)}

    assert chosen() == {first, second}
    assert chosen(project_id='other') == chosen(host=OTHER_POOL) == {second}
    assert chosen(host=BACKEND, volume_ids=[first]) == {first}
    assert chosen(host=POOL, project_id='other') == chosen(volume_type='none') == set()
    assert len(replication_views.selected(ctxt, {}, DR, 1)) == 1
    assert replication_views.selected(ctxt, {}, 'nowhere') == []


def test_operations_are_found_by_their_volumes(ctxt, make_volume):
    first, second = make_volume(), make_volume()
    made = {each: replication_operations.create(ctxt, {
        'verb': 'sync_now', 'replication_id': protect(ctxt, each).id}).id
        for each in (first, second)}
    found = listing.rows(ctxt, replication_models.ReplicationOperation, listing.Page(),
                         [replication_views.operation_on(second)])
    assert [row.id for row in found] == [made[second]]


def test_a_page_follows_its_marker(ctxt, make_volume):
    rows = [protect(ctxt, make_volume()).id for _ in range(3)]
    page = listing.Page(keys=(('last_consistent_at', 'asc'), ('id', 'asc')), marker=min(rows))
    found = listing.rows(ctxt, replication_models.Replication, page,
                         missing=exceptions.ReplicationNotFound)
    assert [row.id for row in found] == sorted(rows)[1:]
    with pytest.raises(exceptions.ReplicationNotFound):
        listing.rows(ctxt, replication_models.Replication, listing.Page(marker='nothing'),
                     missing=exceptions.ReplicationNotFound)
