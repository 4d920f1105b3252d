"""The links of a chain, from rows that look like the database's."""
# SPDX-License-Identifier: Apache-2.0

import types
import uuid

from cinder_ext.db import lease
from cinder_ext.drivers import values
from cinder_ext.volume.migration import plan

MIGRATION = str(uuid.UUID(int=1))


def row(**columns):
    return types.SimpleNamespace(**{'name_id': None, 'provider_location': None, **columns})


RECORD = row(id=MIGRATION, source_name_id='old', source_location='there',
             destination_name_id='new', destination_location='here')
VOLUME = row(id='volume', size=3)
SNAPSHOTS = [row(id='b', size=2, created_at=2, provider_location='at b'),
             row(id='a', size=1, created_at=1, name_id='moved before'),
             row(id='c', size=3, created_at=2)]


def chain():
    return plan.chain(VOLUME, SNAPSHOTS, RECORD)


def test_links_are_oldest_first_and_the_head_is_last():
    assert [(link.number, link.snapshot_id, link.size_bytes // values.GIB) for link in chain()] == [
        (0, 'a', 1), (1, 'b', 2), (2, 'c', 3), (3, None, 3)]
    assert [link.is_head for link in chain()] == [False, False, False, True]


def test_source_is_named_as_its_backend_knows_it():
    first, second, _, head = (link.source for link in chain())
    assert first == values.Snapshot('moved before', 'old', values.GIB)
    assert second == values.Snapshot('b', 'old', 2 * values.GIB, 'at b')
    assert head == values.Volume('old', 3 * values.GIB, 'there')


def test_repeated_plan_has_the_same_names_and_another_migration_has_others():
    assert chain() == chain()
    RECORD_2 = row(**{**vars(RECORD), 'id': str(uuid.UUID(int=2))})
    other = plan.chain(VOLUME, SNAPSHOTS, RECORD_2)
    assert not {link.destination_name_id for link in chain()[:-1]} & {
        link.destination_name_id for link in other}


def test_stored_plan_comes_back_with_the_locations_of_the_destination():
    rows = [row(number=link.number, destination_location=f'made {link.number}',
                **plan.columns(link)) for link in chain()]
    restored = plan.restore(RECORD, rows)
    assert [link.source for link in restored] == [link.source for link in chain()]
    assert [link.destination_name_id for link in restored] == [
        link.destination_name_id for link in chain()]
    assert restored[1].destination.location == 'made 1'
    assert restored[1].destination_volume == values.Volume('new', 2 * values.GIB, 'here')
    assert restored[-1].destination == values.Volume('new', 3 * values.GIB, 'here')


def test_temporary_names_differ_by_link_side_and_attempt():
    names = {plan.temporary_name(lease.Fence(MIGRATION, attempt), link, side)
             for link in chain() for side in ('source', 'destination') for attempt in (1, 2)}
    assert len(names) == 16


def test_renamed_links_keep_their_places_and_are_of_one_volume():
    found = [plan.renamed(link, lease.Fence(MIGRATION, 2), 'how') for link in chain()]
    again = [plan.renamed(link, lease.Fence(MIGRATION, 2), 'how') for link in found]
    assert again == found
    assert [link.source for link in found] == [link.source for link in chain()]
    assert {link.destination_volume_name_id for link in found} == {found[-1].destination_name_id}
    names = {link.destination_name_id for link in (
        *found, *chain(), *(plan.renamed(link, lease.Fence(MIGRATION, 3), 'how') for link in found),
        *(plan.renamed(link, lease.Fence(MIGRATION, 2), 'anew') for link in found))}
    assert len(names) == 16


def test_bytes_below_a_position_count_parts_of_ranges():
    parts = [values.Range(0, 10), values.Range(20, 10)]
    assert [plan.bytes_below(parts, position) for position in (0, 5, 15, 25, 99)] == [
        0, 5, 10, 15, 20]
